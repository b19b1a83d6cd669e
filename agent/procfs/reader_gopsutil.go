package procfs

import (
	"context"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// gopsutilReader lists processes on systems other than Linux. It keeps gopsutil's objects, which cache what they have
// read, per (pid, start time).
type gopsutilReader struct {
	cache    map[snapshot.ProcessKey]*gopsutilProcess
	options  Options
	scrubber *Scrubber
}

type gopsutilProcess struct {
	process  *process.Process
	identity snapshot.Identity
	seen     bool
}

func newGopsutilReader(scrubber *Scrubber) *gopsutilReader {
	return &gopsutilReader{
		scrubber: scrubber,
		options:  everything(),
		cache:    make(map[snapshot.ProcessKey]*gopsutilProcess),
	}
}

// Close does nothing: the reader holds no files open.
func (r *gopsutilReader) Close() {}

// Read lists the processes. With refresh it reads the identity of every process again.
func (r *gopsutilReader) Read(ctx context.Context, options Options, refresh bool) ([]Process, error) {
	refresh = refresh || options != r.options
	r.options = options
	found, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Process, 0, len(found))
	for _, p := range found {
		created, err := p.CreateTimeWithContext(ctx)
		if err != nil || len(list) == snapshot.MaxProcesses {
			continue // the process has exited, or the list is full
		}
		key := snapshot.ProcessKey{PID: p.Pid, StartedAt: snapshot.Time(created)}
		cached := r.cache[key]
		if cached == nil || refresh {
			cached = &gopsutilProcess{process: p, identity: r.identity(ctx, p)}
			r.cache[key] = cached
		}
		cached.seen = true
		list = append(list, r.sample(ctx, key, cached))
	}
	for key, cached := range r.cache {
		if !cached.seen {
			delete(r.cache, key)
		}
		cached.seen = false
	}
	return list, nil
}

func (r *gopsutilReader) identity(ctx context.Context, p *process.Process) snapshot.Identity {
	name, _ := p.NameWithContext(ctx)
	owner, _ := p.UsernameWithContext(ctx)
	id := snapshot.Identity{
		Name: clean.Text(name, snapshot.MaxTextBytes),
		User: clean.Text(owner, snapshot.MaxTextBytes),
	}
	if id.Name == "" {
		id.Name = "?"
	}
	if r.options.CommandLines {
		arguments, _ := p.CmdlineSliceWithContext(ctx)
		line := clean.Text(strings.Join(r.scrubber.Arguments(arguments), " "), 2*snapshot.MaxCommandLineBytes)
		id.CommandLine = CutLine(line, snapshot.MaxCommandLineBytes)
	}
	return id
}

func (r *gopsutilReader) sample(ctx context.Context, key snapshot.ProcessKey, cached *gopsutilProcess) Process {
	p := cached.process
	out := Process{
		ProcessKey: key,
		StartTicks: int64(key.StartedAt),
		Identity:   cached.identity,
		ReadBytes:  Unknown,
		WriteBytes: Unknown,
		OpenFiles:  Unknown,
	}
	if ppid, err := p.PpidWithContext(ctx); err == nil && ppid > 0 {
		out.PPID = ppid
	}
	if states, err := p.StatusWithContext(ctx); err == nil && len(states) > 0 {
		out.State = stateLetter(states[0])
	}
	if times, err := p.TimesWithContext(ctx); err == nil {
		out.CPU = time.Duration((times.User + times.System) * float64(time.Second))
	}
	if memory, err := p.MemoryInfoWithContext(ctx); err == nil {
		out.Memory = clean.Counter(memory.RSS)
	}
	if threads, err := p.NumThreadsWithContext(ctx); err == nil && threads > 0 {
		out.Threads = threads
	}
	if r.options.IO {
		if counters, err := p.IOCountersWithContext(ctx); err == nil {
			out.ReadBytes, out.WriteBytes = clean.Counter(counters.ReadBytes), clean.Counter(counters.WriteBytes)
		}
	}
	if r.options.OpenFiles {
		if n, err := p.NumFDsWithContext(ctx); err == nil && n >= 0 {
			out.OpenFiles = n
		}
	}
	return out
}

// stateLetter converts gopsutil's word for a state into the letter that ps prints. Other states are unknown.
func stateLetter(word string) string {
	switch word {
	case process.Running:
		return "R"
	case process.Sleep, process.Wait:
		return "S"
	case process.Blocked:
		return "D"
	case process.Zombie:
		return "Z"
	case process.Stop:
		return "T"
	case process.Idle:
		return "I"
	}
	return ""
}
