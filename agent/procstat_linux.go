package agent

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// procStat is what we use of /proc/[pid]/stat; see proc_pid_stat(5).
type procStat struct {
	pid, ppid, threads     int32
	comm, state            string
	userTicks, systemTicks int64
	startTicks, rssPages   int64
}

// parseStat reads the line "pid (comm) state ppid …". The name may hold anything,
// parentheses and blanks too, so it ends at the last parenthesis.
func parseStat(text []byte) (procStat, error) {
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 2 || shut < open || len(text) < shut+4 {
		return procStat{}, errors.New("no name in parentheses")
	}
	s := procStat{comm: string(text[open+1 : shut]), state: string(text[shut+2 : shut+3])}
	if c := s.state[0] | 0x20; c < 'a' || c > 'z' {
		s.state = ""
	}
	pid, err := strconv.ParseInt(string(text[:open-1]), 10, 32)
	if err != nil {
		return procStat{}, fmt.Errorf("pid: %w", err)
	}
	s.pid = int32(pid)
	// Fields are numbered from 1 as in the manual; ppid, the 4th, comes first.
	field, at := 4, shut+4
	for at < len(text) && field <= 24 {
		end := at
		for end < len(text) && text[end] != ' ' && text[end] != '\n' {
			end++
		}
		var target *int64
		var narrow *int32
		switch field {
		case 4:
			narrow = &s.ppid
		case 14:
			target = &s.userTicks
		case 15:
			target = &s.systemTicks
		case 20:
			narrow = &s.threads
		case 22:
			target = &s.startTicks
		case 24:
			target = &s.rssPages
		}
		if target != nil || narrow != nil {
			n, err := strconv.ParseInt(string(text[at:end]), 10, 64)
			if err != nil {
				return procStat{}, fmt.Errorf("field %d: %w", field, err)
			}
			if n = max(n, 0); target != nil {
				*target = n
			} else {
				*narrow = int32(n)
			}
		}
		field, at = field+1, end+1
	}
	if field <= 24 {
		return procStat{}, fmt.Errorf("it ends at field %d", field-1)
	}
	return s, nil
}
