package procfs

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/snapshot"
)

// bareReader is the lower limit for a reader. It reads the given files of the processes that exist when it is created,
// from descriptors that stay open, and parses the values that a sample needs. It does not notice new or exited
// processes, and reads no identities.
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
			parseNumber(r.buffer[:n], "\nread_bytes: ")
			parseNumber(r.buffer[:n], "\nwrite_bytes: ")
		}
	}
}

// BenchmarkReaders compares readers of the process list: CPU time per process and sample, with samples 200 ms apart, of
// 500 idle and 50 busy processes. collect.BenchmarkSample measures a whole sample.
func BenchmarkReaders(b *testing.B) {
	processes := agenttest.StartProcesses(b, 500, 50)
	run := func(name string, prepare func(b *testing.B) func()) {
		b.Run(name, func(b *testing.B) {
			agenttest.CPUPerProcess(b, processes, 200*time.Millisecond, prepare(b))
		})
	}
	run("bare stat", func(b *testing.B) func() { return newBareReader(b, "stat").read })
	run("bare stat and io", func(b *testing.B) func() { return newBareReader(b, "stat", "io").read })
	reader := func(refresh bool) func(*testing.B) func() {
		return func(b *testing.B) func() {
			r, err := NewReader(b.TempDir(), defaultScrubber(b), NewUsers())
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(r.Close)
			// Identities are read as often as with the default interval.
			now := time.Now()
			r.now = func() time.Time {
				now = now.Add(5 * time.Second)
				return now
			}
			return func() {
				if _, err := r.Read(b.Context(), r.options, refresh); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	run("ours", reader(false))
	run("ours, for a full snapshot", reader(true))
	run("gopsutil with kept objects", func(b *testing.B) func() {
		r := newGopsutilReader(nil)
		return func() {
			if _, err := r.Read(b.Context(), r.options, false); err != nil {
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
					read := &gopsutilProcess{process: p, identity: r.identity(b.Context(), p)}
					r.sample(b.Context(), snapshot.ProcessKey{PID: pid}, read)
				}
			}
		}
	})
}
