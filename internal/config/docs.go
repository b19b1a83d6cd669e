package config

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// groups holds all settings in the order of the generated documents.
var groups = []struct {
	title    string
	settings any
}{
	{"Both programs", &Log{}},
	{"Server: database", &Database{}},
	{"Server", &Server{}},
	{"Server: access", &Access{}},
	{"Server: single sign-on (snapwatch serve only)", &OIDC{}},
	{"Server: TLS", &TLS{}},
	{"Agent", &Agent{}},
}

// document writes a heading for each group of settings and an entry for each setting.
func document(head string, heading func(title string) string, entry func(*kong.Flag) string) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	for _, group := range groups {
		flags, err := Flags(group.settings)
		if err != nil {
			return "", err
		}
		b.WriteString(heading(group.title))
		for _, flag := range flags {
			b.WriteString(entry(flag))
		}
	}
	return b.String(), nil
}

// EnvExample returns the content of .env.example: every setting with its default.
func EnvExample() (string, error) {
	const head = `# All settings with their defaults. Copy this file to .env, or set the variables in the environment.
# Generated from package config by: go generate ./internal/config
`
	return document(
		head,
		func(title string) string { return fmt.Sprintf("\n## %s\n", title) },
		func(flag *kong.Flag) string {
			return fmt.Sprintf("\n%s# %s=%s\n", comment(flag.Help), flag.Envs[0], flag.Default)
		},
	)
}

// comment wraps a text at 100 columns, as lines that begin with a number sign.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 100 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// Reference returns the content of docs/settings.md.
func Reference() (string, error) {
	const head = `# Settings

Each setting is a flag and an environment variable. A flag overrides the environment, and the environment overrides
~.env~ in the working directory. Packages read ~/etc/snapwatch/snapwatch.env~ and ~/etc/snapwatch/agent.env~.
Other users of a machine can see command lines, so set secrets in the environment or in a file.

Retention is a setting of the database (see [storage.md](storage.md)). A machine's polling interval, and whether it
records, are set through the API. ~make generate~ generates this page from package config.
`
	return document(
		strings.ReplaceAll(head, "~", "`"),
		func(title string) string {
			return fmt.Sprintf("\n## %s\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n", title)
		},
		func(flag *kong.Flag) string {
			value := flag.Default
			if value != "" {
				value = "`" + value + "`"
			}
			meaning := strings.ReplaceAll(flag.Help, "|", "\\|")
			return fmt.Sprintf("| `--%s` | `%s` | %s | %s |\n", flag.Name, flag.Envs[0], value, meaning)
		},
	)
}
