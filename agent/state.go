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

	"github.com/snapwatch/snapwatch/snapshot"
)

// writeState replaces a small file of the state directory as a whole.
func writeState(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// keptConfig reads the config that the server gave last, or the default one.
func keptConfig(path string) snapshot.Config {
	config := snapshot.DefaultConfig()
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &config) // what is missing or damaged stays as by default; the server tells soon
	}
	config.PollingInterval = min(max(config.PollingInterval, snapshot.MinPollingInterval), snapshot.MaxPollingInterval)
	return config
}

// keepConfig keeps it.
func keepConfig(path string, config snapshot.Config) error {
	text, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("encode the config: %w", err)
	}
	return writeState(path, string(text)+"\n")
}

// machineID returns the machine's stable id: the one kept in the state directory
// or, the first time, one made from the operating system's machine id. That one
// is hashed, as machine-id(5) asks, because it is meant to stay confidential.
func machineID(stateDir string) (string, error) {
	path := filepath.Join(stateDir, "machine-id")
	kept, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(kept)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the machine's id: %w", err)
	}
	var sum [16]byte
	if system := systemMachineID(); system != "" {
		mac := hmac.New(sha256.New, []byte(system))
		mac.Write([]byte("snapwatch"))
		copy(sum[:], mac.Sum(nil))
	} else if _, err := rand.Read(sum[:]); err != nil {
		return "", fmt.Errorf("make up a machine id: %w", err)
	}
	id := hex.EncodeToString(sum[:])
	if err := writeState(path, id+"\n"); err != nil {
		return "", fmt.Errorf("keep the machine's id: %w", err)
	}
	return id, nil
}

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
