package exits

import (
	"encoding/binary"
	"maps"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// exitDatagram returns the datagram that the kernel sends for a thread that has exited.
func exitDatagram(change func(stats []byte)) []byte {
	stats := make([]byte, 400)
	binary.NativeEndian.PutUint16(stats[versionOffset:], 16)
	copy(stats[commOffset:], "cc1")
	binary.NativeEndian.PutUint32(stats[pidOffset:], 4712)
	binary.NativeEndian.PutUint32(stats[groupOffset:], 4711)
	binary.NativeEndian.PutUint64(stats[ranOffset:], 30_000_000)
	stats[flagsOffset] = lastThread
	binary.NativeEndian.PutUint32(stats[exitCodeOffset:], 3<<8)
	if change != nil {
		change(stats)
	}
	attribute := func(kind uint16, value []byte) []byte {
		b := make([]byte, 4, 4+len(value))
		binary.NativeEndian.PutUint16(b, uint16(4+len(value)))
		binary.NativeEndian.PutUint16(b[2:], kind)
		return append(b, value...)
	}
	body := append(make([]byte, 4), attribute(4, append(attribute(1, []byte{0, 0, 0, 0}), attribute(3, stats)...))...)
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b, uint32(16+len(body)))
	binary.NativeEndian.PutUint16(b[4:], 25)
	return append(b, body...)
}

func TestParseExits(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]byte)
		n      int
		ok     bool
	}{
		"current kernel": {nil, 1, true},
		"old kernel":     {func(b []byte) { b[versionOffset] = 11 }, 0, false},
		"broken kernel":  {func(b []byte) { b[versionOffset] = 15 }, 0, false},
	} {
		n := 0
		err := parseExits(exitDatagram(test.change), 25, func(r exitRecord) {
			n++
			if r.pid != 4712 || r.group != 4711 || r.comm != "cc1" || !r.last || r.ran != 30*time.Millisecond ||
				r.waitStatus != 3<<8 {
				t.Errorf("%s: %+v", name, r)
			}
		})
		if n != test.n || (err == nil) != test.ok {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
}

func FuzzParseExits(f *testing.F) {
	f.Add(exitDatagram(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		_ = parseExits(datagram, 25, func(r exitRecord) {
			if r.elapsed < 0 || r.ran < 0 || r.alive < 0 || r.waited < 0 || r.peakMemory < 0 || len(r.comm) > 32 {
				t.Errorf("%+v", r)
			}
		})
	})
}

// Without permission, openTaskstats fails. It closes its socket, and no other descriptor.
func TestOpenTaskstatsWithoutPermission(t *testing.T) {
	dropCapabilities(t)
	openDescriptors(t) // the runtime opens descriptors of its own when a file is first opened
	before := openDescriptors(t)
	if fd, _, err := openTaskstats(); err == nil {
		_ = unix.Close(fd)
		t.Fatal("openTaskstats succeeds without a capability")
	}
	if after := openDescriptors(t); !maps.Equal(before, after) {
		t.Errorf("the open descriptors were %v and are now %v", before, after)
	}
}

// dropCapabilities runs the rest of a test without capabilities. They belong to a thread, so the test keeps its thread,
// which ends with it.
func dropCapabilities(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
}

// openDescriptors returns the target of each open descriptor of this process.
func openDescriptors(t *testing.T) map[string]string {
	t.Helper()
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	targets := make(map[string]string)
	for _, entry := range entries {
		if target, err := os.Readlink(dir + "/" + entry.Name()); err == nil { // not the one of dir itself
			targets[entry.Name()] = target
		}
	}
	return targets
}
