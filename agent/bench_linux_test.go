package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/snapwatch/snapwatch/snapshot"
)

// crowd starts the processes that the targets are about: idle ones, and busy ones, which
// work for a moment ten times a second.
func crowd(b *testing.B, idle, busy int) {
	b.Helper()
	start := func(arguments ...string) {
		child := exec.Command(arguments[0], arguments[1:]...)
		if err := child.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			_ = child.Process.Kill()
			_ = child.Wait()
		})
	}
	for range idle {
		start("sleep", "1000")
	}
	for range busy {
		start("perl", "-e", "while (1) { select(undef, undef, undef, 0.1); for (my $i = 0; $i < 5000; $i++) {} }")
	}
	time.Sleep(time.Second) // until the last of them has begun
}

// bareReader is the limit that the reader is measured against: it reads, of the processes
// there are when it begins, the files that a sample needs, from kept descriptors, and
// takes out what a sample needs. It notices no births and no deaths, and knows no
// identities.
type bareReader struct {
	files  []int
	buffer []byte
}

func newBareReader(b *testing.B, names ...string) *bareReader {
	b.Helper()
	r := &bareReader{buffer: make([]byte, 4096)}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, stat := range stats {
		for _, name := range names {
			fd, err := syscall.Open(filepath.Join(filepath.Dir(stat), name), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			b.Cleanup(func() { _ = syscall.Close(fd) })
			r.files = append(r.files, fd)
		}
	}
	return r
}

func (r *bareReader) read() {
	for _, fd := range r.files {
		n, err := syscall.Pread(fd, r.buffer, 0)
		if err != nil {
			continue
		}
		if _, err := parseStat(r.buffer[:n]); err != nil {
			number(r.buffer[:n], "\nread_bytes: ")
			number(r.buffer[:n], "\nwrite_bytes: ")
		}
	}
}

// spentOf measures the CPU time of this process while something runs.
func spentOf(do func()) time.Duration {
	now := func() time.Duration {
		var usage syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := now()
	do()
	return now() - before
}

// perProcess reports the CPU time of what is done at an interval, for each of so many
// processes; the first two times do not count.
func perProcess(b *testing.B, processes int, interval time.Duration, do func()) {
	b.Helper()
	do()
	do()
	var spent time.Duration
	rounds := 0
	for b.Loop() {
		b.StopTimer()
		time.Sleep(interval)
		b.StartTimer()
		spent += spentOf(do)
		rounds++
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(rounds*processes), "cpu-ns/process")
}

// BenchmarkReaders is the figures of the process list: CPU time of this process for each
// process and sample, samples 200 ms apart, beside 500 idle and 50 busy processes. The
// limit is a bare reader of the same files. A sampler's sample is the whole of what the
// agent does before it encodes: processes, amounts, and the machine.
func BenchmarkReaders(b *testing.B) {
	crowd(b, 500, 50)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	b.Logf("%d processes", len(stats))
	run := func(name string, prepare func(b *testing.B) func()) {
		b.Run(name, func(b *testing.B) {
			perProcess(b, len(stats), 200*time.Millisecond, prepare(b))
		})
	}
	run("bare stat", func(b *testing.B) func() { return newBareReader(b, "stat").read })
	run("bare stat and io", func(b *testing.B) func() { return newBareReader(b, "stat", "io").read })
	reader := func(refresh bool) func(*testing.B) func() {
		return func(b *testing.B) func() {
			bootMS, err := bootTime("/proc", b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			r := newProcReader("/proc", bootMS, usualScrubber(b))
			b.Cleanup(r.close)
			return func() {
				if _, err := r.read(b.Context(), r.want, refresh); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	run("ours", reader(false))
	run("ours, for a full snapshot", reader(true))
	run("ours, a sample", func(b *testing.B) func() {
		s, err := newSampler(b.TempDir(), usualScrubber(b), quiet())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.close)
		n := 0
		return func() {
			n++
			if _, err := s.sample(b.Context(), time.Now(), wantedBy(snapshot.Config{}), n%12 == 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	run("gopsutil with kept objects", func(b *testing.B) func() {
		r := newGopsutilReader(nil)
		return func() {
			if _, err := r.read(b.Context(), r.want, false); err != nil {
				b.Fatal(err)
			}
		}
	})
	run("gopsutil", func(b *testing.B) func() {
		r := newGopsutilReader(nil)
		return func() {
			pids, err := process.PidsWithContext(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for _, pid := range pids {
				if p, err := process.NewProcessWithContext(b.Context(), pid); err == nil {
					known := &gopsutilProcess{process: p, identity: r.identity(b.Context(), p)}
					r.sample(b.Context(), snapshot.ProcessKey{PID: pid}, known)
				}
			}
		}
	})
}

// BenchmarkAgent is the CPU time of all that the agent does about a sample, for each
// process: reading, encoding, keeping on disk and posting, with a full snapshot in twelve.
func BenchmarkAgent(b *testing.B) {
	crowd(b, 500, 50)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(
			w,
			`{"stored":1,"polling_interval":0.5,"enabled":true,"config":{"polling_interval":0.5,"enabled":true},"config_version":1}`,
		)
	}))
	defer web.Close()
	a, err := New(
		b.Context(),
		Config{
			Server:    web.URL,
			StateDir:  b.TempDir(),
			MachineID: "m",
			Token:     "the bench's",
			FullEvery: 6 * time.Second,
		},
		quiet(),
	)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.lock.Close() }()
	defer a.recorder.sampler.close()
	step := func() {
		if _, err := a.recorder.record(b.Context(), 500*time.Millisecond); err != nil {
			b.Fatal(err)
		}
		if _, err := a.sender.step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	perProcess(b, len(stats), 500*time.Millisecond, step)
}
