package agent

import (
	"context"
	"strings"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/snapwatch/snapwatch/snapshot"
)

// gopsutilReader lists processes on systems other than Linux. It keeps gopsutil's
// objects, which cache what they have read, per (pid, start time).
type gopsutilReader struct {
	known map[snapshot.ProcessKey]*gopsutilProcess
	want  wanted
	scrub *scrubber
}

type gopsutilProcess struct {
	process  *process.Process
	identity snapshot.Identity
	seen     bool
}

func newGopsutilReader(scrub *scrubber) *gopsutilReader {
	return &gopsutilReader{
		scrub: scrub,
		want:  wantedBy(snapshot.Config{}),
		known: make(map[snapshot.ProcessKey]*gopsutilProcess),
	}
}

func (r *gopsutilReader) close() {}

func (r *gopsutilReader) read(ctx context.Context, want wanted, refresh bool) ([]rawProcess, error) {
	refresh = refresh || want != r.want
	r.want = want
	found, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]rawProcess, 0, len(found))
	for _, p := range found {
		created, err := p.CreateTimeWithContext(ctx)
		if err != nil || len(list) == snapshot.MaxProcesses {
			continue // it has ended, or there is no room
		}
		key := snapshot.ProcessKey{PID: p.Pid, StartedAt: snapshot.Time(created)}
		known := r.known[key]
		if known == nil || refresh {
			known = &gopsutilProcess{process: p, identity: r.identity(ctx, p)}
			r.known[key] = known
		}
		known.seen = true
		list = append(list, r.sample(ctx, key, known))
	}
	for key, known := range r.known {
		if !known.seen {
			delete(r.known, key)
		}
		known.seen = false
	}
	return list, nil
}

func (r *gopsutilReader) identity(ctx context.Context, p *process.Process) snapshot.Identity {
	var id snapshot.Identity
	name, _ := p.NameWithContext(ctx)
	command := ""
	if r.want.commandLines {
		arguments, _ := p.CmdlineSliceWithContext(ctx)
		command = strings.Join(r.scrub.arguments(arguments), " ")
	}
	owner, _ := p.UsernameWithContext(ctx)
	id.Name, id.CommandLine, id.User = clean(
		name, snapshot.MaxTextBytes,
	), clean(
		command, maxCommandLine,
	), clean(
		owner, snapshot.MaxTextBytes,
	)
	if id.Name == "" {
		id.Name = "?"
	}
	return id
}

func (r *gopsutilReader) sample(ctx context.Context, key snapshot.ProcessKey, known *gopsutilProcess) rawProcess {
	p := known.process
	raw := rawProcess{
		ProcessKey: key,
		Identity:   known.identity,
		readBytes:  unknown,
		writeBytes: unknown,
		openFiles:  unknown,
	}
	if ppid, err := p.PpidWithContext(ctx); err == nil && ppid > 0 {
		raw.PPID = ppid
	}
	if states, err := p.StatusWithContext(ctx); err == nil && len(states) > 0 {
		raw.state = stateLetter(states[0])
	}
	if times, err := p.TimesWithContext(ctx); err == nil {
		raw.cpuMS = int64((times.User + times.System) * 1000)
	}
	if memory, err := p.MemoryInfoWithContext(ctx); err == nil {
		raw.memory = signed(memory.RSS)
	}
	if threads, err := p.NumThreadsWithContext(ctx); err == nil && threads > 0 {
		raw.threads = threads
	}
	if r.want.io {
		if counters, err := p.IOCountersWithContext(ctx); err == nil {
			raw.readBytes, raw.writeBytes = signed(counters.ReadBytes), signed(counters.WriteBytes)
		}
	}
	if r.want.openFiles {
		if n, err := p.NumFDsWithContext(ctx); err == nil && n >= 0 {
			raw.openFiles = n
		}
	}
	return raw
}

// stateLetter turns gopsutil's word for a state into the letter of ps.
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
	if len(word) == 1 {
		return strings.ToUpper(word)
	}
	return ""
}
