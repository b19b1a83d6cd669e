package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/joho/godotenv"
)

// LoadEnv reads .env in the working directory into the environment, if the file exists. Variables
// that are already set stay as they are.
func LoadEnv() error {
	if err := godotenv.Load(".env"); err != nil && !errors.Is(err, os.ErrNotExist) {
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
		if err := godotenv.Load(path); err != nil {
			return fmt.Errorf("read the settings file: %w", err)
		}
		return nil
	}
	path = AgentFile()
	err := godotenv.Load(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the settings file %s: %w", path, err)
	}
	return nil
}

// ServiceFile is the settings file of the service that packages install.
const ServiceFile = "/etc/snapwatch/snapwatch.env"

// LoadServiceFile reads the settings of the service into the environment, if the file exists and the current user may
// read it. Variables that are already set stay as they are.
func LoadServiceFile() error {
	err := godotenv.Load(ServiceFile)
	if err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return fmt.Errorf("read the settings file %s: %w", ServiceFile, err)
}
