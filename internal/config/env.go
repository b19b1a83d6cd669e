package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/joho/godotenv"
)

// LoadEnv reads .env in the working directory, if there is one. What the
// environment says already stays.
func LoadEnv() error {
	if err := godotenv.Load(".env"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read .env: %w", err)
	}
	return nil
}

// LoadAgentFile reads the file with an agent's settings: the one that the arguments or
// the environment name, or the usual one if it is there and may be read. What the
// environment says already stays.
func LoadAgentFile(args []string) error {
	path := os.Getenv("SNAPWATCH_CONFIG")
	for i, arg := range args {
		if value, given := strings.CutPrefix(arg, "--config="); given {
			path = value
		} else if arg == "--config" && i+1 < len(args) {
			path = args[i+1]
		}
	}
	if path != "" {
		if err := godotenv.Load(path); err != nil {
			return fmt.Errorf("read the settings: %w", err)
		}
		return nil
	}
	path = AgentFile()
	err := godotenv.Load(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the settings of %s: %w", path, err)
	}
	return nil
}

// Given lists those of some groups of settings that differ from their defaults, under the
// names of their variables: what a file of settings has to say.
func Given(groups ...any) (map[string]string, error) {
	set := make(map[string]string)
	for _, group := range groups {
		values := reflect.ValueOf(group)
		for i := range values.NumField() {
			field, value := values.Type().Field(i), values.Field(i)
			name := field.Tag.Get("env")
			if value.IsZero() || name == "SNAPWATCH_CONFIG" {
				continue
			}
			if value.Kind() == reflect.Slice {
				if value.Len() > 1 {
					return nil, fmt.Errorf("%s holds one value: join the others to it with |", name)
				}
				value = value.Index(0)
			}
			if text, usual := fmt.Sprint(value.Interface()), field.Tag.Get("default"); text != usual &&
				!sameDuration(text, usual) {
				set[name] = text
			}
		}
	}
	return set, nil
}

func sameDuration(a, b string) bool {
	x, err := time.ParseDuration(a)
	y, failed := time.ParseDuration(b)
	return err == nil && failed == nil && x == y
}

// groups are all settings, in the order in which documents list them.
var groups = []struct {
	title    string
	settings any
}{
	{
		"Both programs",
		Log{},
	}, {"The server: where the snapshots are", Database{}}, {"The server", Server{}}, {"The server: who gets in", Access{}}, {"The server: log-in through an identity provider, with serve", OIDC{}},
	{"The server: TLS, with serve", TLS{}}, {"The agent", Agent{}},
}

// EnvExample returns the text of .env.example: every setting with its default.
func EnvExample() string {
	var b strings.Builder
	b.WriteString(
		"# Every setting with its default. Copy to .env, or set in the environment.\n# Made from package config by: go generate ./internal/config\n",
	)
	for _, group := range groups {
		fmt.Fprintf(&b, "\n## %s\n", group.title)
		kind := reflect.TypeOf(group.settings)
		for i := range kind.NumField() {
			tag := kind.Field(i).Tag
			if kind.Field(i).Anonymous { // a group of its own
				continue
			}
			fmt.Fprintf(&b, "\n# %s\n# %s=%s\n", tag.Get("help"), tag.Get("env"), tag.Get("default"))
		}
	}
	return b.String()
}

// Reference returns the text of docs/settings.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Settings

Each is a flag and an environment variable; a flag wins over the environment, the environment over ` + "`.env`" + ` in the working directory. Packages read
` + "`/etc/snapwatch/snapwatch.env` and `/etc/snapwatch/agent.env`" + `. What is kept for how long is a setting of the database ([storage.md](storage.md)); a machine's polling
interval and whether it records are set through the API. Made from package config by ` + "`make generate`" + `.
`)
	for _, group := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n", group.title)
		kind := reflect.TypeOf(group.settings)
		for i := range kind.NumField() {
			field := kind.Field(i)
			if field.Anonymous {
				continue
			}
			value := field.Tag.Get("default")
			if value != "" {
				value = "`" + value + "`"
			}
			fmt.Fprintf(
				&b,
				"| `--%s` | `%s` | %s | %s |\n",
				flagOf(field),
				field.Tag.Get("env"),
				value,
				strings.ReplaceAll(field.Tag.Get("help"), "|", "\\|"),
			)
		}
	}
	return b.String()
}

// flagOf names a field's flag as the command line does: from the tag, or with a
// dash before each word of the field's name.
func flagOf(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range field.Name {
		// A word begins after a small letter, or with the last capital of several.
		after := i > 0 && unicode.IsLower(rune(field.Name[i-1]))
		last := i > 0 && i+1 < len(field.Name) && unicode.IsUpper(rune(field.Name[i-1])) &&
			unicode.IsLower(rune(field.Name[i+1]))
		if unicode.IsUpper(r) && (after || last) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
