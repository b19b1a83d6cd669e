package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Dir returns the data directory, the default one if none is set.
func (d Database) Dir() (string, error) {
	return dir(d.DataDir, "/var/lib/snapwatch", "XDG_DATA_HOME", ".local/share", "snapwatch")
}

// Dir returns the state directory, the default one if none is set.
func (a Agent) Dir() (string, error) {
	return dir(a.StateDir, "/var/lib/snapwatch-agent", "XDG_STATE_HOME", ".local/state", "snapwatch-agent")
}

// AgentFile returns where an agent's settings are, by default.
func AgentFile() string {
	if base := os.Getenv("ProgramData"); runtime.GOOS == "windows" && base != "" {
		return filepath.Join(base, "snapwatch", "agent.env")
	}
	return "/etc/snapwatch/agent.env"
}

// File returns where the settings of this agent are.
func (a Agent) File() (string, error) {
	if a.Config != "" {
		return filepath.Abs(a.Config)
	}
	return AgentFile(), nil
}

// dir follows the XDG base directories for those who are not root.
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
