package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// procStat has the fields of /proc/[pid]/stat that the agent uses; see proc_pid_stat(5).
type procStat struct {
	pid, ppid, threads     int32
	comm, state            string
	userTicks, systemTicks int64
	startTicks, rssPages   int64
	flags                  int64 // PF_… of linux/sched.h
	// childTicks is the CPU time of the children that it has waited for, and of theirs. childFaults is how many page
	// faults they had. It is only 0 if it has waited for no child.
	childTicks, childFaults int64
}

// These are flags of processes, of linux/sched.h.
const (
	flagExiting      = 0x00000004 // PF_EXITING
	flagKernelWorker = 0x00000020 // PF_WQ_WORKER
	flagKernelThread = 0x00200000 // PF_KTHREAD
)

// errExited means that a process has exited and the kernel is removing it. Its directory still exists, but most of its
// values are already 0.
var errExited = errors.New("the process has exited")

// parseStat parses the line "pid (comm) state ppid …". The name may contain anything, including parentheses and blanks,
// so it ends at the last parenthesis. parseStat returns errExited for a process that the kernel is removing. Its state
// is X, or x on old kernels, or it has no threads left. A zombie still has one.
func parseStat(text []byte) (procStat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 2 || end < open || len(text) < end+4 {
		return procStat{}, errors.New("there is no name in parentheses")
	}
	s := procStat{comm: string(text[open+1 : end]), state: string(text[end+2 : end+3])}
	if c := s.state[0] | 0x20; c < 'a' || c > 'z' {
		s.state = ""
	}
	pid, err := strconv.ParseInt(string(text[:open-1]), 10, 32)
	if err != nil {
		return procStat{}, fmt.Errorf("parse the pid: %w", err)
	}
	s.pid = int32(pid)
	// Fields are numbered from 1 as in the manual. The first one to parse is the 4th, ppid.
	var childMinorFaults, childMajorFaults, childUser, childSystem int64
	field, at := 4, end+4
	for at < len(text) && field <= 24 {
		fieldEnd := at
		for fieldEnd < len(text) && text[fieldEnd] != ' ' && text[fieldEnd] != '\n' {
			fieldEnd++
		}
		var wide *int64
		var narrow *int32
		switch field {
		case 4:
			narrow = &s.ppid
		case 9:
			wide = &s.flags
		case 11:
			wide = &childMinorFaults
		case 13:
			wide = &childMajorFaults
		case 14:
			wide = &s.userTicks
		case 15:
			wide = &s.systemTicks
		case 16:
			wide = &childUser
		case 17:
			wide = &childSystem
		case 20:
			narrow = &s.threads
		case 22:
			wide = &s.startTicks
		case 24:
			wide = &s.rssPages
		}
		if wide != nil || narrow != nil {
			n, err := strconv.ParseInt(string(text[at:fieldEnd]), 10, 64)
			if err != nil {
				return procStat{}, fmt.Errorf("parse field %d: %w", field, err)
			}
			if n = max(n, 0); wide != nil {
				*wide = n
			} else {
				*narrow = int32(n)
			}
		}
		field, at = field+1, fieldEnd+1
	}
	if field <= 24 {
		return procStat{}, fmt.Errorf("the line ends at field %d", field-1)
	}
	s.childFaults, s.childTicks = childMinorFaults+childMajorFaults, childUser+childSystem
	if s.state == "X" || s.state == "x" || s.threads == 0 {
		return procStat{}, errExited
	}
	return s, nil
}
