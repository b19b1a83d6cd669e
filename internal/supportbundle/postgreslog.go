package supportbundle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// maxLog is how many bytes at the end of the log are read.
const maxLog = 256 << 10

var (
	logLine = regexp.MustCompile(`^(\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\]) (LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC):\s+(.*)$`)
	// statementText begins the statement in a message, such as: duration: 1 ms  execute <unnamed>: SELECT 1.
	statementText = regexp.MustCompile(`\b(statement|execute|parse|bind|fastpath function call)( [^:]*)?: .*$`)
	// quotedText is a name or a value. Those of PostgreSQL's own files stay.
	quotedText = regexp.MustCompile(`"([^"]*)"?|'[^']*'?`)
	ownFile    = regexp.MustCompile(`^"(pg_|base/|global/)[A-Za-z0-9_./]*"$`)
)

// readLog returns the last messages of a log of PostgreSQL, without statements, details and quoted values: they can
// contain recorded data.
func readLog(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the log of the private database: %w", err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > maxLog {
		if _, err := file.Seek(-maxLog, io.SeekEnd); err != nil {
			return nil, fmt.Errorf("read the log of the private database: %w", err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxLog))
	if err != nil {
		return nil, fmt.Errorf("read the log of the private database: %w", err)
	}
	return filterLog(text), nil
}

// filterLog keeps the lines that say what happened.
func filterLog(text []byte) []byte {
	var out bytes.Buffer
	dropped := 0
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxLog+1)
	for lines.Scan() {
		match := logLine.FindStringSubmatch(lines.Text())
		if match == nil {
			dropped++
			continue
		}
		message := statementText.ReplaceAllString(match[3], "$1: (hidden)")
		message = quotedText.ReplaceAllStringFunc(message, func(quoted string) string {
			if ownFile.MatchString(quoted) {
				return quoted
			}
			return `"(hidden)"`
		})
		fmt.Fprintf(&out, "%s %s:  %s\n", match[1], match[2], strings.TrimSpace(message))
	}
	fmt.Fprintf(&out, "(%d lines with statements and details are left out)\n", dropped)
	return out.Bytes()
}
