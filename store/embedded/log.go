package embedded

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// maxLogRead is how many bytes of the cluster's log are searched for the reason of a failure.
const maxLogRead = 64 << 10

// maxLog is the size in bytes from which on the cluster's log is cut, and keptLog is how much of it is kept.
const (
	maxLog  = 16 << 20
	keptLog = 1 << 20
)

// trimLog moves the end of a long log to another file, and empties it. PostgreSQL appends to the file, so it need not
// open it again.
func (c *Cluster) trimLog() {
	size := c.logSize()
	if size <= maxLog {
		return
	}
	err := c.moveLog(size)
	if err != nil {
		c.cfg.Logger.Warn("could not shorten the log of the private database", "log", c.logPath(), "err", err)
	}
}

func (c *Cluster) moveLog(size int64) error {
	log, err := strictpath.Open(c.logPath(), os.O_RDWR, 0o600, c.owner.user())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	end := make([]byte, keptLog)
	if _, err := log.ReadAt(end, size-keptLog); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	// On a full disk, there is no room for a copy, and the space is needed.
	copyErr := c.owner.write(c.logPath()+".1", os.O_TRUNC, string(end))
	return errors.Join(copyErr, log.Truncate(0))
}

// logSize returns the size of the cluster's log, 0 if there is none.
func (c *Cluster) logSize() int64 {
	info, err := os.Stat(c.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// failureSince returns the last fatal message that the cluster has logged after a position of its log, "" if there is
// none.
func (c *Cluster) failureSince(position int64) string {
	file, err := os.Open(c.logPath())
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	if end := c.logSize(); end-position > maxLogRead {
		position = end - maxLogRead
	}
	if _, err := file.Seek(position, io.SeekStart); err != nil {
		return ""
	}
	reason := ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		for _, level := range []string{"FATAL:", "PANIC:"} {
			if _, message, found := strings.Cut(lines.Text(), level); found {
				reason = strings.TrimSpace(message)
			}
		}
	}
	return reason
}
