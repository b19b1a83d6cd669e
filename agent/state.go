package agent

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
	"github.com/snapwatch/snapwatch/snapshot"
)

// loadConfig reads the last config of the server from a file. It returns the default config if there is none.
func loadConfig(path string) snapshot.Config {
	config := snapshot.DefaultConfig()
	if text, err := statefile.Read(path); err == nil {
		_ = json.Unmarshal(text, &config) // missing or damaged values stay at their defaults until the first post
	}
	config.PollingInterval = min(max(config.PollingInterval, snapshot.MinPollingInterval), snapshot.MaxPollingInterval)
	return config
}

// saveConfig writes a config to a file.
func saveConfig(path string, config snapshot.Config) error {
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("encode the config: %w", err)
	}
	return statefile.Write(path, string(text)+"\n")
}

// loadMachineID returns the id in the config, or else the one in the state directory. If there is none yet, it derives
// one from the operating system's machine id and stores it. It hashes that id, as machine-id(5) requires, because it is
// confidential.
func loadMachineID(cfg Config) (string, error) {
	if cfg.MachineID != "" {
		if err := snapshot.CheckMachineID(cfg.MachineID); err != nil {
			return "", fmt.Errorf("the setting --machine-id is not valid: %w", err)
		}
		return cfg.MachineID, nil
	}
	path := filepath.Join(cfg.StateDir, "machine-id")
	stored, err := statefile.Read(path)
	if id := strings.TrimSpace(string(stored)); err == nil && id != "" {
		if err := snapshot.CheckMachineID(id); err != nil {
			return "", fmt.Errorf("the machine id in %s is not valid: %w", path, err)
		}
		return id, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the machine id: %w", err)
	}
	var sum [16]byte
	if system := systemMachineID(); system != "" {
		mac := hmac.New(sha256.New, []byte(system))
		mac.Write([]byte("snapwatch"))
		copy(sum[:], mac.Sum(nil))
	} else if _, err := rand.Read(sum[:]); err != nil {
		return "", fmt.Errorf("generate a machine id: %w", err)
	}
	id := hex.EncodeToString(sum[:])
	if err := statefile.Write(path, id+"\n"); err != nil {
		return "", fmt.Errorf("store the machine id: %w", err)
	}
	return id, nil
}

// systemMachineID returns the operating system's machine id, or "" if there is none.
func systemMachineID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid"} {
		if text, err := os.ReadFile(path); err == nil {
			if id := strings.TrimSpace(string(text)); id != "" && id != "uninitialized" {
				return id
			}
		}
	}
	return ""
}
