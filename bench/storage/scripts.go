package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// shortLivedMachine is a simulated machine that starts many processes, which end at once: those of shell scripts and
// health checks, or compilers.
type shortLivedMachine struct {
	rng     *rand.Rand
	builds  bool
	pid     int32
	sources []string // of a machine that builds
	jobs    []job
	fixed   []snapshot.ProcessSample
	at      int // processes of the snapshot so far
	// snapshots is how many there were.
	snapshots int
}

// job is a script or a build. It has a control group of its own if it runs in a container.
type job struct {
	pid          int32
	user, cgroup string
	lines        []string
}

// program has the median CPU time of a program in microseconds, its memory in pages, and whether it writes a file.
type program struct {
	cpu, pages float64
	writes     bool
}

var programs = map[string]program{
	"sh": {700, 240, false}, "sed": {800, 480, false}, "grep": {750, 520, false}, "cat": {500, 420, false},
	"rm": {520, 440, false}, "mkdir": {530, 430, false}, "expr": {480, 410, false}, "awk": {1500, 950, false},
	"basename": {450, 400, false}, "date": {500, 420, false}, "sleep": {450, 400, false}, "curl": {6000, 2600, false},
	"git": {2500, 1300, false}, "gcc": {1600, 620, false}, "cc1": {110_000, 9500, true}, "as": {9000, 1500, true},
	"ld": {60_000, 12_000, true}, "python3": {30_000, 3300, true},
}

var words = strings.Fields(`alloc array buffer cache client codec config core data decode device encode engine error
	event file filter format graph group hash heap image index input json kernel layer list loader lock math memory
	module net node object output parse path pipe pool queue reader region render route scan scene schema script
	search server shader signal socket sort state store stream string table task text thread time token trace tree`)

func newShortLivedMachine(seed uint64, builds bool, begin snapshot.Time) *shortLivedMachine {
	m := &shortLivedMachine{rng: rand.New(rand.NewPCG(seed, 11)), builds: builds, pid: 1000}
	for range 12 * 2500 {
		m.sources = append(m.sources, fmt.Sprintf("%s/%s_%s%d", m.word(), m.word(), m.word(), m.rng.IntN(64)))
	}
	for i := range 40 {
		m.jobs = append(m.jobs, m.newJob(i))
	}
	for pid := int32(1); pid <= 20; pid++ {
		m.fixed = append(m.fixed, snapshot.ProcessSample{
			PID: pid, StartedAt: begin.Add(-time.Hour), PPID: new(min(pid-1, 1)), Name: "daemon", State: "S",
			CommandLine: fmt.Sprintf("/usr/sbin/daemon --unit %d", pid), User: "root", CPUTime: new(snapshot.CPUTime),
			MemoryUsage: new(int64(8 << 20)),
		})
	}
	return m
}

func (m *shortLivedMachine) word() string { return words[m.rng.IntN(len(words))] }

func (m *shortLivedMachine) random(n int, alphabet string) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[m.rng.IntN(len(alphabet))]
	}
	return string(text)
}

func (m *shortLivedMachine) newJob(i int) job {
	one := job{pid: m.nextPID(), user: []string{"root", "nagios", "app"}[i%3]}
	one.cgroup = []string{
		"/system.slice/cron.service", "/system.slice/nrpe.service",
		"/system.slice/docker-" + m.random(64, "0123456789abcdef") + ".scope",
	}[i%3]
	for range 25 {
		name := []string{"sed", "grep", "cat", "awk", "date", "expr", "basename", "mkdir", "rm"}[m.rng.IntN(9)]
		one.lines = append(one.lines, name+" -F : "+m.word()+" /srv/"+m.word()+"/"+m.word()+".conf")
	}
	return one
}

func (m *shortLivedMachine) nextPID() int32 {
	m.pid++
	if m.rng.IntN(12) == 0 { // threads take numbers, too
		m.pid += m.rng.Int32N(6)
	}
	if m.pid > 4_000_000 {
		m.pid = 1000
	}
	return m.pid
}

// snapshot returns a snapshot with n processes that started and ended in the interval before it. It is full at the
// start of a minute.
func (m *shortLivedMachine) snapshot(at snapshot.Time, interval time.Duration, n int) snapshot.Snapshot {
	s := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindChanges, IntervalMS: interval.Milliseconds()}
	if m.snapshots%fullEvery == 0 {
		s.Kind, s.Processes = snapshot.KindFull, append(s.Processes, m.fixed...)
	}
	m.snapshots++
	for m.at = 0; m.at < n; {
		j := &m.jobs[int(float64(len(m.jobs))*m.rng.Float64()*m.rng.Float64())]
		if m.rng.IntN(4000) == 0 {
			*j = m.newJob(m.rng.IntN(3))
		}
		run := func(ppid int32, name, commandLine string) int32 {
			// Starts are spread over the interval, the later ones last.
			start := at - 1 - snapshot.Time(float64(interval.Milliseconds()-2)*(1-float64(m.at)/float64(n+8)))
			one := m.process(j, ppid, name, commandLine)
			one.StartedAt = start
			s.Processes = append(s.Processes, one)
			m.at++
			return one.PID
		}
		if m.builds {
			m.build(j, run)
		} else {
			m.script(j, run)
		}
	}
	return s
}

func (m *shortLivedMachine) script(j *job, run func(ppid int32, name, commandLine string) int32) {
	line := j.lines[m.rng.IntN(len(j.lines))]
	name, _, _ := strings.Cut(line, " ")
	switch x := m.rng.IntN(100); {
	case x < 45: // $(a command)
		run(run(j.pid, "sh", "/bin/sh /opt/checks/"+j.lines[0]+" --interval 10"), name, line)
	case x < 85:
		run(j.pid, name, line)
	case x < 94:
		run(j.pid, "sleep", fmt.Sprintf("sleep 0.%d", 1+m.rng.IntN(9)))
	case x < 98:
		run(j.pid, "curl", fmt.Sprintf("curl -fsS -m 5 http://10.0.3.%d:8080/health", m.rng.IntN(20)))
	default:
		run(j.pid, "expr", fmt.Sprintf("expr %d + 1", m.rng.IntN(1_000_000)))
	}
}

func (m *shortLivedMachine) build(j *job, run func(ppid int32, name, commandLine string) int32) {
	source := m.sources[m.rng.IntN(len(m.sources))]
	temporary := "/tmp/cc" + m.random(6, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
	switch x := m.rng.IntN(100); {
	case x < 30: // four processes
		gcc := "gcc -std=gnu11 -Wall -Iinclude -DNDEBUG -O2 -g -MD -MF obj/" + source + ".d -c -o obj/" + source +
			".o src/" + source + ".c"
		driver := run(run(j.pid, "sh", "/bin/sh -c "+gcc), "gcc", gcc)
		run(driver, "cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -I include -imultiarch x86_64-linux-gnu"+
			" -MD obj/"+source+".d -D NDEBUG src/"+source+".c -quiet -mtune=generic -march=x86-64 -g -O2 -Wall -o "+
			temporary+".s")
		run(driver, "as", "as --gdwarf-5 -I include --64 -o obj/"+source+".o "+temporary+".s")
	case x < 32:
		run(j.pid, "ld", "/usr/bin/ld -plugin-opt=-fresolution="+temporary+".res --build-id -o bin/"+m.word())
	case x < 38:
		run(j.pid, "git", "git -C /builds/"+m.word()+" rev-parse HEAD")
	case x < 41:
		run(j.pid, "python3", fmt.Sprintf("python3 tools/gen_%s.py --out /tmp/tmp%s --seed %d", m.word(),
			m.random(8, "abcdefghijklmnopqrstuvwxyz0123456789"), m.rng.IntN(10_000_000)))
	default:
		m.script(j, run)
	}
}

func (m *shortLivedMachine) process(j *job, ppid int32, name, commandLine string) snapshot.ProcessSample {
	spread := func(median, sigma float64) float64 { return median * math.Exp(sigma*m.rng.NormFloat64()) }
	kind := programs[name]
	one := snapshot.ProcessSample{
		PID: m.nextPID(), PPID: new(ppid), Name: name, CommandLine: commandLine, User: j.user, Cgroup: j.cgroup,
		State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(spread(kind.cpu, 0.4))),
		MemoryUsage: new(4096 * int64(kind.pages+15*m.rng.NormFloat64())),
		ReadBytes:   new(int64(0)), WriteBytes: new(int64(0)), ExitStatus: snapshot.ExitStatusOf(0),
	}
	if kind.pages > 1400 {
		one.MemoryUsage = new(4096 * int64(spread(kind.pages, 0.25)))
	}
	if m.rng.IntN(30) == 0 {
		one.ReadBytes = new(4096 * m.rng.Int64N(60))
	}
	if kind.writes || m.rng.IntN(25) == 0 {
		one.WriteBytes = new(4096 * m.rng.Int64N(80))
	}
	if m.rng.IntN(40) == 0 {
		one.ExitStatus = snapshot.ExitStatusOf(1 << 8)
	}
	return one
}
