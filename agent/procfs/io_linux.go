package procfs

import (
	"os"
	"strconv"
)

// ioBytes are the bytes that a process or thread has read from and written to disks.
type ioBytes struct{ read, written int64 }

var unknownIO = ioBytes{Unknown, Unknown}

func (b ioBytes) known() bool { return b.read != Unknown && b.written != Unknown }

// ownIO is what a process has read and written itself. /proc/[pid]/io adds what the children did that it has waited
// for, and their children. So that file is only right until it waits for the first one. From then on, the numbers of
// its threads are added up, which do not have those of children.
type ownIO struct {
	total   ioBytes
	group   ioBytes // the last content of /proc/[pid]/io, unless it has one thread
	waited  bool    // it has waited for a child
	threads map[int32]ioBytes
	task    openFile // io of its only thread
}

// maxIOThreads bounds the threads whose numbers are added up. The I/O of a process with more of them that has waited
// for a child is unknown.
const maxIOThreads = 512

// groupIO reads /proc/[pid]/io, unless the numbers of the threads are read instead.
func (r *Reader) groupIO(p *cachedProcess, keepOpen bool) ioBytes {
	if !r.options.IO || p.ioDenied || p.ownIO.waited && p.last.Threads == 1 {
		return unknownIO
	}
	text, err := r.readFile(p, &p.io, "io", keepOpen)
	if err != nil {
		p.ioDenied = os.IsPermission(err)
		return unknownIO
	}
	return parseIO(text)
}

// ioOf returns what a process has read and written itself. group is the content of /proc/[pid]/io before stat.
func (r *Reader) ioOf(p *cachedProcess, stat *procStat, group ioBytes, keepOpen bool) (read, written int64) {
	own := &p.ownIO
	switch {
	case !r.options.IO || p.ioDenied:
		return Unknown, Unknown
	case stat.childFaults == 0:
		own.total = group
		return group.read, group.written
	case own.waited && stat.threads > 1 && group != unknownIO && group == own.group:
		return own.total.read, own.total.written
	}
	own.group = group
	now, ok := r.threadsIO(p, stat.threads, keepOpen)
	if !ok {
		own.threads, own.total, own.waited = nil, unknownIO, true
		return Unknown, Unknown
	}
	if own.threads == nil {
		sum := ioBytes{}
		for _, one := range now {
			sum.read, sum.written = sum.read+one.read, sum.written+one.written
		}
		// Threads that have exited are not in the sum.
		own.total = ioBytes{max(own.total.read, sum.read), max(own.total.written, sum.written)}
	} else {
		for thread, one := range now {
			before := own.threads[thread]
			own.total.read += max(one.read-before.read, 0)
			own.total.written += max(one.written-before.written, 0)
		}
	}
	own.threads, own.waited = now, true
	return own.total.read, own.total.written
}

// threadsIO reads the numbers of each thread of a process.
func (r *Reader) threadsIO(p *cachedProcess, threads int32, keepOpen bool) (list map[int32]ioBytes, ok bool) {
	list = make(map[int32]ioBytes, threads)
	if threads == 1 {
		r.close(&p.io)
		text, err := r.readFile(p, &p.ownIO.task, "task/"+p.pid+"/io", keepOpen)
		if err != nil {
			return nil, false
		}
		list[p.last.PID] = parseIO(text)
		return list, list[p.last.PID].known()
	}
	r.close(&p.ownIO.task)
	dir, err := os.Open(r.root + "/" + p.pid + "/task")
	if err != nil {
		return nil, false
	}
	names, err := dir.Readdirnames(maxIOThreads + 1)
	_ = dir.Close()
	if err != nil || len(names) > maxIOThreads {
		return nil, false
	}
	for _, name := range names {
		thread, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue
		}
		if text, err := r.readFile(p, &openFile{}, "task/"+name+"/io", false); err == nil { // or it has just exited
			if list[int32(thread)] = parseIO(text); !list[int32(thread)].known() {
				return nil, false
			}
		}
	}
	return list, len(list) > 0
}

// parseIO parses the file io of a process or thread; see proc_pid_io(5).
func parseIO(text []byte) ioBytes {
	return ioBytes{parseNumber(text, "\nread_bytes: "), parseNumber(text, "\nwrite_bytes: ")}
}
