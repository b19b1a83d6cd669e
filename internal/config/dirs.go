package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// Dir returns the absolute path of the data directory: the setting, or else the default.
func (d Database) Dir() (string, error) {
	return dir(d.DataDir, "/var/lib/snapwatch", "XDG_DATA_HOME", ".local/share", "snapwatch")
}

// Dir returns the absolute path of the state directory: the setting, or else the default.
func (a Agent) Dir() (string, error) {
	return dir(a.StateDir, "/var/lib/snapwatch-agent", "XDG_STATE_HOME", ".local/state", "snapwatch-agent")
}

// ServiceRuntimeDir is the runtime directory of the systemd service. Only root and the user of the service can write to
// it.
const ServiceRuntimeDir = "/run/snapwatch"

// rootRuntimeDir is the runtime directory of servers that root runs.
const rootRuntimeDir = "/run/snapwatch-root"

// RuntimePath returns the directory in which a server records that it runs: the setting, or else the default.
func (d Database) RuntimePath() string {
	switch base := os.Getenv("XDG_RUNTIME_DIR"); {
	case d.RuntimeDir != "":
		return d.RuntimeDir
	case os.Geteuid() == 0:
		return rootRuntimeDir
	case filepath.IsAbs(base):
		return filepath.Join(base, "snapwatch")
	}
	return temporaryRuntimeDir(strconv.Itoa(os.Geteuid()))
}

// RuntimePaths returns patterns of the directories in which servers record that they run, including those of other
// users. If the setting is given, it is the only one.
func (d Database) RuntimePaths() []string {
	if d.RuntimeDir != "" {
		return []string{d.RuntimeDir}
	}
	return []string{
		ServiceRuntimeDir, rootRuntimeDir, d.RuntimePath(), "/run/user/*/snapwatch", temporaryRuntimeDir("*"),
	}
}

// temporaryRuntimeDir returns the runtime directory of a user without XDG_RUNTIME_DIR. It does not depend on TMPDIR,
// which may differ between a server and a command.
func temporaryRuntimeDir(uid string) string { return "/tmp/snapwatch-" + uid }

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
