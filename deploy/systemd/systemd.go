// Package systemd embeds the systemd units, for installations without a package.
package systemd

import _ "embed"

// Agent is the unit of the agent. It runs /usr/bin/snapwatch-agent with the settings file
// /etc/snapwatch/agent.env.
//
//go:embed snapwatch-agent.service
var Agent string
