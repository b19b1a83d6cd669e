package procfs

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/snapshot"
)

// taskReader is the part of a Reader that takes the values of processes from a TaskSource. The names, command lines and
// control groups are still read from /proc, but only when they have changed.
type taskReader struct {
	source TaskSource // nil if all values are read from /proc
	err    error      // why a source is not used any more
	// cgroups has the control groups of each key that was in the last list.
	cgroups map[uint64]cgroupPath
	// absent has the processes that the source lacks. They are read from /proc.
	absent map[int32]string
	// differences counts the processes that were in /proc and not in the source.
	differences int64
}

// cgroupPath is the control group of a key.
type cgroupPath struct {
	path   string
	readAt time.Time
	round  uint64 // the last one in which a process had it
}

// UseTasks makes the reader take the values of processes from a source. After an error of the source, it reads them
// from /proc, until UseTasks is called again.
func (r *Reader) UseTasks(source TaskSource) {
	r.tasks = taskReader{
		source: source, differences: r.tasks.differences,
		cgroups: make(map[uint64]cgroupPath), absent: make(map[int32]string),
	}
	if r.events != nil { // the source has these changes
		r.events.Close()
		r.events = nil
	}
}

// TaskStatus returns how many processes were in /proc and not in the source of UseTasks. The error says why the source
// is not used any more.
func (r *Reader) TaskStatus() (differences int64, err error) { return r.tasks.differences, r.tasks.err }

// readTasks lists the processes with the values of the source. It returns false if the source has failed; the list is
// then empty.
func (r *Reader) readTasks(ctx context.Context, refresh bool) (ok bool, err error) {
	if r.tasks.source == nil {
		return false, nil
	}
	before := ticksOf(SinceBoot())
	list, err := r.tasks.source.Tasks()
	if err != nil {
		r.stopTasks(err)
		return false, nil
	}
	for i := range list {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		r.addTask(&list[i])
	}
	if refresh {
		if err := r.compareWithProc(before); err != nil {
			return true, err
		}
	} else {
		r.addAbsent()
	}
	for key, group := range r.tasks.cgroups {
		if group.round != r.round {
			delete(r.tasks.cgroups, key)
		}
	}
	return true, nil
}

// addAbsent adds the processes to the list that the source lacked when it was compared with /proc.
func (r *Reader) addAbsent() {
	for pid, name := range r.tasks.absent {
		if p := r.cache[pid]; p != nil && p.round == r.round { // it has this one now, or another one with the pid
			delete(r.tasks.absent, pid)
		} else if p := r.process(pid, name, true); p == nil {
			delete(r.tasks.absent, pid)
		} else {
			r.add(p)
		}
	}
}

// stopTasks changes to /proc.
func (r *Reader) stopTasks(err error) {
	r.tasks = taskReader{err: err, differences: r.tasks.differences}
	r.events, _ = procevents.Open(eventBuffer, procevents.Exec, procevents.UID, procevents.Comm)
	r.eventsLost = true // events before now were not seen
	for _, p := range r.cache {
		p.ranSinceIdentity = true
		p.group = 0
	}
}

// compareWithProc finds the processes that are in /proc and not in the list, unless they are younger than the list.
func (r *Reader) compareWithProc(listed int64) error {
	names, err := processNames(r.root)
	if err != nil {
		return err
	}
	clear(r.tasks.absent)
	for pid, name := range names {
		if p := r.cache[pid]; p != nil && p.round == r.round {
			continue
		}
		if p := r.process(pid, name, true); p != nil && p.last.StartTicks < listed {
			r.tasks.absent[pid] = name
			r.tasks.differences++
			r.add(p)
		} else if p != nil {
			r.remove(pid)
		}
	}
	return nil
}

// addTask adds a process with the values of a source to the list.
func (r *Reader) addTask(t *Task) {
	p := r.cache[t.PID]
	if p != nil && p.last.StartTicks != t.StartTicks {
		r.remove(t.PID)
		p = nil
	}
	if p == nil {
		p = &cachedProcess{pid: strconv.Itoa(int(t.PID))}
		r.cache[t.PID] = p
	}
	last := &p.last
	p.ranSinceIdentity = p.ranSinceIdentity || last.CPU != t.CPU
	p.kernelThread = t.Flags&flagKernelThread != 0
	p.comm = stableName(r.wholeName(p, t), t.Flags)
	last.PID, last.PPID = t.PID, t.PPID
	last.StartTicks, last.StartedAt = t.StartTicks, r.boot.startedAt(t.StartTicks)
	last.State, last.Threads, last.OneThread = t.State, t.Threads, t.OneThread
	last.CPU, last.ChildCPU, last.ExactChildCPU = t.CPU, t.ChildCPU, true
	last.Memory = t.Pages * r.pageSize
	last.ReadBytes, last.WriteBytes, last.OpenFiles = Unknown, Unknown, Unknown
	if r.options.IO {
		last.ReadBytes, last.WriteBytes = t.ReadBytes, t.WriteBytes
		p.ownIO.total = ioBytes{t.ReadBytes, t.WriteBytes}
	}
	if r.options.OpenFiles {
		last.OpenFiles = t.OpenFiles
		if t.OpenFiles == Unknown && r.sizedFolders {
			last.OpenFiles = r.openFiles(p)
		}
	}
	// A program that changes its user often changes its command line too.
	changed := p.round == 0 || p.uid != t.UID || p.identifiedComm != p.comm || p.execID != t.ExecID
	if changed || r.mayHaveNewIdentity(p) {
		p.execID, p.identifyBy = t.ExecID, r.at.Add(identityAge)
		r.identifyText(p)
		r.spreadIdentities(p)
	}
	if p.round == 0 || p.uid != t.UID {
		p.uid, last.User = t.UID, r.users.Name(t.UID)
	}
	r.setCgroup(p, t.CgroupsKey)
	p.round = r.round
	r.add(p)
}

// wholeName returns the kernel's name of a process. The kernel has longer names of its own threads in /proc than
// elsewhere. They do not change.
func (r *Reader) wholeName(p *cachedProcess, t *Task) string {
	if !p.kernelThread || len(t.Comm) < maxComm {
		return t.Comm
	}
	if p.cutName != t.Comm {
		p.cutName, p.longName = t.Comm, t.Comm
		text, err := r.readFile(p, &openFile{}, "comm", false)
		if name := strings.TrimSuffix(string(text), "\n"); err == nil && strings.HasPrefix(name, t.Comm) {
			p.longName = name
		}
	}
	return p.longName
}

// setCgroup sets the control group of a process to that of its key.
func (r *Reader) setCgroup(p *cachedProcess, key uint64) {
	if !r.options.Cgroups {
		p.last.Cgroup = ""
		return
	}
	group, known := r.tasks.cgroups[key]
	// It is read again, because the process may have moved before it was read.
	if !known || r.at.Sub(group.readAt) >= identityAge {
		text, err := r.readFile(p, &openFile{}, "cgroup", false)
		if err != nil {
			return
		}
		group.readAt = r.at
		group.path = clean.Text(parseCgroup(text), snapshot.MaxPathBytes)
	}
	group.round = r.round
	r.tasks.cgroups[key] = group
	p.last.Cgroup = group.path
}

// IsEnding reports whether a process is ending and is no zombie yet.
func IsEnding(pid uint32) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	stat, err := parseStat(text)
	return err == nil && stat.flags&flagExiting != 0 && stat.state != "Z"
}
