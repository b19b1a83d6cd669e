// Package testlog writes the logs of tests to files. After the tests, make test searches the files for secrets.
package testlog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// folderVariable is the environment variable with the directory for log files. If it is empty, logs are
// discarded.
const folderVariable = "SNAPWATCH_TEST_LOGS"

// Writer returns the log file of this process. It is safe for concurrent use.
var Writer = sync.OnceValue(func() io.Writer {
	folder := os.Getenv(folderVariable)
	if folder == "" {
		return io.Discard
	}
	file, err := os.CreateTemp(folder, filepath.Base(os.Args[0])+"-*.log")
	if err != nil {
		panic(fmt.Errorf("create a log file for tests: %w", err))
	}
	return file
})

// Logger returns a logger that writes to Writer at level debug.
func Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(Writer(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
