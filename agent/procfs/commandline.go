package procfs

import (
	"bytes"
	"strings"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// truncated ends a command line that was cut.
	truncated = "…[truncated]"
	// cutMargin is how much more of a command line than its limit is searched for secrets, in bytes. It is longer than
	// most secrets, so that none is cut in two.
	cutMargin = 4096
	// minLine is the length to which every command line is recorded, in bytes.
	minLine = 256
)

// LineBudget bounds the memory that many command lines take. Each may have up to snapshot.MaxCommandLineBytes while
// there is room, then less, and always minLine.
type LineBudget struct{ max, used int }

// NewLineBudget returns a budget of a number of bytes.
func NewLineBudget(bytes int) LineBudget { return LineBudget{max: bytes} }

// Limit returns how long the next command line may be.
func (b *LineBudget) Limit() int {
	return min(max((b.max-b.used)/64, minLine), snapshot.MaxCommandLineBytes)
}

// Use adds a command line.
func (b *LineBudget) Use(line string) { b.used += len(line) }

// Release removes a command line.
func (b *LineBudget) Release(line string) { b.used -= len(line) }

// CutLine cuts a command line to at most limit bytes, and marks it as cut. If the mark is longer than limit, only the
// mark is left.
func CutLine(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	return clean.Cut(strings.TrimSuffix(line, truncated), max(limit-len(truncated), 0)) + truncated
}

// commandLine returns the command line in /proc/[pid]/cmdline without secrets, cut to at most limit bytes. complete is
// false if text is only the start of the file.
func commandLine(text []byte, complete bool, scrubber *Scrubber, limit int) string {
	if len(text) > limit+cutMargin {
		text, complete = text[:limit+cutMargin], false
	}
	if complete {
		text = bytes.TrimRight(text, "\x00")
	}
	if len(text) == 0 {
		return ""
	}
	arguments := strings.Split(string(text), "\x00")
	if last := len(arguments) - 1; !complete {
		arguments[last] = withoutLastWord(arguments[last])
	}
	line := strings.Join(scrubber.Arguments(arguments), " ")
	line = clean.Text(line, 4*len(line)) // an escape takes four bytes
	if !complete {
		line += truncated
	}
	return CutLine(line, limit)
}

// withoutLastWord removes the last word, or at most the last cutMargin bytes, of an argument that was cut. It may be a
// part of a secret, which would not be recognised.
func withoutLastWord(argument string) string {
	shortest := max(len(argument)-cutMargin, 0)
	return argument[:max(strings.LastIndexAny(argument, " \t\n")+1, shortest)]
}
