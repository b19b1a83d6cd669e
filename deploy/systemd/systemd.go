// Package systemd has the units, for those who install without a package.
package systemd

import _ "embed"

// Agent is the unit of the agent. Its program is /usr/bin/snapwatch-agent, its settings
// /etc/snapwatch/agent.env.
//
//go:embed snapwatch-agent.service
var Agent string
