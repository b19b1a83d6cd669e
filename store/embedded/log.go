package embedded

import (
	"bufio"
	"io"
	"os"
	"strings"
)

// maxLogRead is how many bytes of the cluster's log are searched for the reason of a failure.
const maxLogRead = 64 << 10

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
