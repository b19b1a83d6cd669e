package procfs

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentOf returns VmRSS of a process, in bytes, or Unknown.
func residentOf(t *testing.T, pid int32) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/status")
	if err != nil {
		return Unknown
	}
	_, rest, _ := strings.Cut(string(text), "\nVmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " kB")
	kib, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return Unknown
	}
	return kib << 10
}

// The memory of sleeping processes is that in /proc/[pid]/status to the byte.
func TestMemoryIsExact(t *testing.T) {
	children := map[string]*child{"perl with 30 MB": startChild(t, "perl", "-e",
		`$| = 1; $x = "x" x 10_000_000; $y = "y" x 5_000_000; print "up\n"; <STDIN>`)}
	for i := range 20 {
		children["shell "+strconv.Itoa(i)] = startChild(t, "sh", "-c", "echo up; read x")
	}
	r, _ := realReader(t)
	for name, c := range children {
		got, want := int64(-1), int64(-2)
		for range 10 { // until it sleeps in read, and the kernel does not take memory back meanwhile
			before := residentOf(t, c.pid)
			got = listed(t, r, c.pid).Memory
			if want = residentOf(t, c.pid); before == want {
				break
			}
		}
		if got != want {
			t.Errorf("%s has %d bytes, want %d", name, got, want)
		}
	}
}
