package agenttest

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// StartProcesses starts idle processes, and busy ones that work for a moment ten times a second. It returns the number
// of processes on the machine. The benchmark stops them when it ends.
func StartProcesses(b *testing.B, idle, busy int) (total int) {
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
	time.Sleep(time.Second) // until the last of them is ready
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	b.Logf("%d processes", len(stats))
	return len(stats)
}

// CPUPerProcess calls do at an interval, and reports the CPU time of this process per call and per process. It does not
// measure the first two calls.
func CPUPerProcess(b *testing.B, processes int, interval time.Duration, do func()) {
	b.Helper()
	do()
	do()
	var spent time.Duration
	rounds := 0
	for b.Loop() {
		b.StopTimer()
		time.Sleep(interval)
		b.StartTimer()
		before := ownCPU()
		do()
		spent += ownCPU() - before
		rounds++
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(rounds*processes), "cpu-ns/process")
}

// ownCPU returns the CPU time that this process has used.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
