// Package testlog keeps the logs of tests. make test reads those of the whole run for
// secrets when it is done.
package testlog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// folderVariable names the folder that logs are kept in; without it they are dropped.
const folderVariable = "SNAPWATCH_TEST_LOGS"

// Writer returns what takes the logs of this process's tests; it is safe for
// concurrent use, a write at a time.
var Writer = sync.OnceValue(func() io.Writer {
	folder := os.Getenv(folderVariable)
	if folder == "" {
		return io.Discard
	}
	file, err := os.CreateTemp(folder, filepath.Base(os.Args[0])+"-*.log")
	if err != nil {
		panic(fmt.Errorf("keep the tests' logs: %w", err))
	}
	return file
})

// Logger logs everything, down to the last detail, to Writer.
func Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(Writer(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
