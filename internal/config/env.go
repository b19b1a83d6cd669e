package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/joho/godotenv"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// LoadEnv reads .env in the working directory into the environment, if the file exists. Variables
// that are already set stay as they are.
func LoadEnv() error {
	if err := load(".env"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read .env: %w", err)
	}
	return nil
}

// LoadAgentFile reads an agent's settings file into the environment: the file that the arguments or
// the environment name, or else the default one if it is readable. Variables that are already set
// stay as they are.
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
		if err := load(path); err != nil {
			return fmt.Errorf("read the settings file: %w", err)
		}
		return nil
	}
	return loadOptional(AgentFile())
}

// ServiceFile is the settings file of the service that packages install.
const ServiceFile = "/etc/snapwatch/snapwatch.env"

// LoadServiceFile reads the settings of the service into the environment, if the file exists and the current user may
// read it. Variables that are already set stay as they are.
func LoadServiceFile() error { return loadOptional(ServiceFile) }

// loadOptional reads a file if it exists and the current user may read it.
func loadOptional(path string) error {
	err := load(path)
	if err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return fmt.Errorf("read the settings file %s: %w", path, err)
}

// load reads a file into the environment. Settings name programs to run and servers to send to, so the file must be one
// of the current user or of root.
func load(path string) error {
	text, err := strictpath.ReadOwnFile(path)
	if err != nil {
		return err
	}
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		return err
	}
	for name, value := range values {
		if _, isSet := os.LookupEnv(name); isSet {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
