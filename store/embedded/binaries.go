package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinMajor is the oldest supported major version of PostgreSQL.
const MinMajor = 15

// ErrNoBinaries means that no usable PostgreSQL server is installed.
var ErrNoBinaries = errors.New("no PostgreSQL server binaries found")

// binaryDirs are the directories where packages install the server.
var binaryDirs = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // PGDG on Red Hat
	"/usr/libexec/postgresql*",           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin", // macOS
	"/usr/local/opt/postgresql@*/bin",    // macOS on Intel
	"/usr/local/pgsql/bin",               // built from source
	"/Library/PostgreSQL/*/bin",          // EDB's installer
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// installation is a directory with the programs of a PostgreSQL server.
type installation struct {
	dir   string
	major int
}

// installations returns the servers of at least MinMajor in dir or, if that is "", in the usual places. A newer one
// comes first.
func installations(dir string) ([]installation, error) {
	candidates := []string{dir}
	if dir == "" {
		candidates = nil
		if path, err := exec.LookPath("postgres"); err == nil {
			if path, err = filepath.EvalSymlinks(path); err == nil {
				candidates = append(candidates, filepath.Dir(path))
			}
		}
		for _, pattern := range binaryDirs {
			found, err := filepath.Glob(pattern)
			if err != nil {
				return nil, fmt.Errorf("search %s: %w", pattern, err)
			}
			candidates = append(candidates, found...)
		}
	}
	var found []installation
	slices.Sort(candidates)
	for _, candidate := range slices.Compact(candidates) {
		if major := serverMajor(candidate); major >= MinMajor {
			found = append(found, installation{candidate, major})
		}
	}
	slices.SortStableFunc(found, func(a, b installation) int { return cmp.Compare(b.major, a.major) })
	return found, nil
}

// findBinaries returns the directory of the newest server of at least MinMajor. An existing cluster needs
// exactly the major version wanted.
func findBinaries(dir string, wanted int) (string, error) {
	all, err := installations(dir)
	if err != nil {
		return "", err
	}
	for _, found := range all {
		if wanted == 0 || found.major == wanted {
			return found.dir, nil
		}
	}
	if wanted != 0 {
		return "", &MissingVersionError{Major: wanted, Found: describe(all)}
	}
	return "", fmt.Errorf(
		"%w: install PostgreSQL %d or newer (Debian: apt-get install postgresql), or set DATABASE_URL", ErrNoBinaries,
		MinMajor,
	)
}

// findPrograms finds the programs for the cluster. An upgrade of a package can move them to another directory, so each
// start searches again.
func (c *Cluster) findPrograms() error {
	bin, err := findBinaries(c.cfg.BinDir, clusterMajor(c.data()))
	if err != nil {
		return err
	}
	c.bin = bin
	return nil
}

// isMissing reports whether a file does not exist.
func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// describe returns the versions and directories of servers.
func describe(all []installation) string {
	var text []string
	for _, found := range all {
		text = append(text, fmt.Sprintf("%d in %s", found.major, found.dir))
	}
	return strings.Join(text, ", ")
}

// MissingVersionError means that the server of an existing cluster's major version is not installed. It wraps
// ErrNoBinaries.
type MissingVersionError struct {
	Major int
	// Found describes the servers of other versions.
	Found string
}

// Error says how to use the cluster nevertheless.
func (e *MissingVersionError) Error() string {
	found := ""
	if e.Found != "" {
		found = ", only version " + e.Found
	}
	return fmt.Sprintf("%s of version %d, which the existing cluster requires%s; install PostgreSQL %d as well "+
		"(Debian: apt-get install postgresql-%d), and use snapwatch upgrade-database to move the cluster to a newer "+
		"version (docs/operations.md)", ErrNoBinaries, e.Major, found, e.Major, e.Major)
}

// Unwrap returns ErrNoBinaries.
func (e *MissingVersionError) Unwrap() error { return ErrNoBinaries }

var versionPattern = regexp.MustCompile(`PostgreSQL\) (\d+)`)

// serverMajor returns the major version of the server in dir, 0 if there is none.
func serverMajor(dir string) int {
	for _, program := range []string{"initdb", "pg_ctl"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() {
			return 0
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(match[1]))
	return major
}

// clusterMajor returns the major version of the cluster in dir, 0 if there is none.
func clusterMajor(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return major
}
