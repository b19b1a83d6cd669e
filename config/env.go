package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

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

// EnvExample returns the text of .env.example: every setting with its default.
func EnvExample() string {
	var b strings.Builder
	b.WriteString("# Every setting with its default. Copy to .env, or set in the environment.\n# Made from package config by: go generate ./config\n")
	for _, group := range []struct {
		title    string
		settings any
	}{
		{"Both programs", Log{}}, {"The server: where the snapshots are", Database{}}, {"The server", Server{}}, {"The agent", Agent{}},
	} {
		fmt.Fprintf(&b, "\n## %s\n", group.title)
		kind := reflect.TypeOf(group.settings)
		for i := range kind.NumField() {
			tag := kind.Field(i).Tag
			fmt.Fprintf(&b, "\n# %s\n# %s=%s\n", tag.Get("help"), tag.Get("env"), tag.Get("default"))
		}
	}
	return b.String()
}
