package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// findBinaries returns the directory of the newest server of at least MinMajor. An existing cluster needs
// exactly the major version wanted.
func findBinaries(dir string, wanted int) (string, error) {
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
				return "", fmt.Errorf("search %s: %w", pattern, err)
			}
			candidates = append(candidates, found...)
		}
	}
	best, bestMajor := "", 0
	for _, candidate := range candidates {
		major := serverMajor(candidate)
		if major >= MinMajor && major > bestMajor && (wanted == 0 || major == wanted) {
			best, bestMajor = candidate, major
		}
	}
	if best != "" {
		return best, nil
	}
	if wanted != 0 {
		return "", fmt.Errorf("%w of version %d, which the existing cluster requires", ErrNoBinaries, wanted)
	}
	return "", fmt.Errorf(
		"%w: install PostgreSQL %d or newer (Debian: apt-get install postgresql), or set DATABASE_URL", ErrNoBinaries,
		MinMajor,
	)
}

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
