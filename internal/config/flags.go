package config

import (
	"fmt"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// Flags returns kong's model of the flags of a settings struct, for example of *Agent. Each flag has
// one environment variable.
func Flags(settings any) ([]*kong.Flag, error) {
	parser, err := kong.New(settings, kong.NoDefaultHelp())
	if err != nil {
		return nil, fmt.Errorf("settings of %T: %w", settings, err)
	}
	for _, flag := range parser.Model.Flags {
		if len(flag.Envs) != 1 {
			return nil, fmt.Errorf("--%s has %d environment variables, want one", flag.Name, len(flag.Envs))
		}
	}
	return parser.Model.Flags, nil
}

// NonDefault returns the values of settings that differ from their defaults, by environment variable:
// the content of a settings file. The arguments are pointers to settings structs.
func NonDefault(settings ...any) (map[string]string, error) {
	values := make(map[string]string)
	for _, group := range settings {
		flags, err := Flags(group)
		if err != nil {
			return nil, err
		}
		for _, flag := range flags {
			name, value := flag.Envs[0], flag.Target
			if value.IsZero() || name == "SNAPWATCH_CONFIG" {
				continue
			}
			if value.Kind() == reflect.Slice {
				if value.Len() > 1 {
					return nil, fmt.Errorf("%s can have one value only: join the patterns with |", name)
				}
				value = value.Index(0)
			}
			text := fmt.Sprint(value.Interface())
			if text != flag.Default && !sameDuration(text, flag.Default) {
				values[name] = text
			}
		}
	}
	return values, nil
}

func sameDuration(a, b string) bool {
	x, err := time.ParseDuration(a)
	y, failed := time.ParseDuration(b)
	return err == nil && failed == nil && x == y
}
