package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Dir returns the absolute path of the data directory: the setting, or else the default.
func (d Database) Dir() (string, error) {
	return dir(d.DataDir, "/var/lib/snapwatch", "XDG_DATA_HOME", ".local/share", "snapwatch")
}

// Dir returns the absolute path of the state directory: the setting, or else the default.
func (a Agent) Dir() (string, error) {
	return dir(a.StateDir, "/var/lib/snapwatch-agent", "XDG_STATE_HOME", ".local/state", "snapwatch-agent")
}

// AgentFile returns the path of the agent's default settings file.
func AgentFile() string {
	if base := os.Getenv("ProgramData"); runtime.GOOS == "windows" && base != "" {
		return filepath.Join(base, "snapwatch", "agent.env")
	}
	return "/etc/snapwatch/agent.env"
}

// File returns the path of this agent's settings file: the setting, or else the default.
func (a Agent) File() (string, error) {
	if a.Config != "" {
		return filepath.Abs(a.Config)
	}
	return AgentFile(), nil
}

// dir returns the directory that is set, or else the default one. For users other than root that is an
// XDG base directory.
func dir(set, root, variable, underHome, name string) (string, error) {
	if set != "" {
		return filepath.Abs(set)
	}
	if base := os.Getenv("ProgramData"); runtime.GOOS == "windows" && base != "" {
		return filepath.Join(base, name), nil
	}
	if os.Geteuid() == 0 {
		return root, nil
	}
	if base := os.Getenv(variable); filepath.IsAbs(base) {
		return filepath.Join(base, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a default directory: %w", err)
	}
	return filepath.Join(home, underHome, name), nil
}
