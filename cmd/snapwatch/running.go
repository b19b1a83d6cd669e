package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/gofrs/flock"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// runningServer is what a server records about itself while it runs, so that commands find its database.
type runningServer struct {
	PID     int    `json:"pid"`
	DataDir string `json:"data_dir"`
	// External is whether the server uses a database of its settings instead of a private one.
	External bool `json:"external"`

	owner   int  // user of the server
	service bool // in a directory that only root and the user of the server can write to
}

// record is the file of a running server. The server holds a lock on it, so that a file of a killed one is recognised.
type record struct{ lock *flock.Flock }

// newRecord records a running server in a directory, and removes the files of those that no longer run.
func newRecord(dir string, s runningServer) (*record, error) {
	if err := strictpath.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("record the running server: %w", err)
	}
	for _, path := range recordsIn(dir) {
		if !isLocked(path) {
			_ = os.Remove(path)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("record the running server: %w", err)
	}
	// The file gets its name only after it is locked and complete.
	path := filepath.Join(dir, fmt.Sprintf("%d.json", s.PID))
	temporary := path + ".new"
	_ = os.Remove(temporary)
	r := &record{flock.New(
		temporary, flock.SetFlag(os.O_CREATE|os.O_EXCL|os.O_RDWR|strictpath.NoFollow), flock.SetPermissions(0o644),
	)}
	locked, err := r.lock.TryLock()
	if err == nil && !locked {
		err = errors.New("the file is locked")
	}
	if err == nil {
		//nolint:gosec // other users may read it: it holds no secret
		err = errors.Join(os.WriteFile(temporary, text, 0o600), os.Chmod(temporary, 0o644))
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = r.lock.Close()
		return nil, fmt.Errorf("record the running server: %w", err)
	}
	return r, nil
}

// remove removes the file.
func (r *record) remove() {
	_ = os.Remove(strings.TrimSuffix(r.lock.Path(), ".new"))
	_ = r.lock.Close()
}

func recordsIn(pattern string) []string {
	paths, _ := filepath.Glob(filepath.Join(pattern, "*.json")) // the pattern is valid
	return paths
}

// isLocked reports whether the server of a file still runs.
func isLocked(path string) bool {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY|strictpath.NoFollow))
	free, err := lock.TryRLock()
	_ = lock.Close()
	return err == nil && !free
}

// findServers returns the servers that run on this machine, and that the current user may know of.
func findServers(database config.Database) []runningServer {
	var servers []runningServer
	var seen []string
	for _, pattern := range database.RuntimePaths() {
		for _, path := range recordsIn(pattern) {
			if slices.Contains(seen, path) {
				continue
			}
			seen = append(seen, path)
			if server, err := readRecord(path); err == nil && isLocked(path) {
				server.service = filepath.Dir(path) == config.ServiceRuntimeDir || database.RuntimeDir != ""
				servers = append(servers, server)
			}
		}
	}
	return servers
}

// readRecord reads a file of any user: the owner of the file is that of the server.
func readRecord(path string) (server runningServer, err error) {
	owner := strictpath.Owner(path)
	text, err := strictpath.ReadFile(path, owner)
	if err != nil {
		return server, err
	}
	if err := json.Unmarshal(text, &server); err != nil {
		return server, fmt.Errorf("read %s: %w", path, err)
	}
	if server.DataDir != "" && !filepath.IsAbs(server.DataDir) {
		return server, fmt.Errorf("read %s: the data directory is not absolute", path)
	}
	// Any user can record a server, and the directory is printed on the terminals of others.
	if strings.ContainsFunc(server.DataDir, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return server, fmt.Errorf("read %s: the data directory has characters that are not printable", path)
	}
	server.owner = owner
	return server, nil
}

// usable reports whether a command may use the server by default. A user may use their own servers. Root may
// use the service too, but not what other users have recorded: a password would go to a database of theirs.
func (s *runningServer) usable() bool {
	return s.owner == os.Geteuid() || os.Geteuid() == 0 && s.service
}

// describe returns a line about the server.
func (s *runningServer) describe() string {
	where := "the data directory " + s.DataDir
	if s.External {
		where = "the database of its DATABASE_URL"
	}
	return fmt.Sprintf("process %d of user %s with %s", s.PID, osUser(s.owner), where)
}
