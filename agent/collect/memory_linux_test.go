package collect

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// The values are those that free of procps 4 prints for the same /proc/meminfo, in a machine with tmpfs, and in
// containers whose available memory is unknown or that of the host.
func TestMemoryIsThatOfFree(t *testing.T) {
	type values struct{ total, used, available, buffers, cached, shared, slab int64 }
	for name, test := range map[string]struct {
		text string
		want values
	}{
		// free: total 24684096, used 3151324, shared 407528, buffers 215560, cache 10089956, available 21532772
		"a machine": {"MemTotal:       24684096 kB\nMemFree:        12015716 kB\nMemAvailable:   21532772 kB\n" +
			"Buffers:          215560 kB\nCached:          8604744 kB\nSwapCached:            0 kB\n" +
			"Shmem:            407528 kB\nSlab:            1618556 kB\nSReclaimable:    1485212 kB\n" +
			"HugePages_Total:       0\n",
			values{24684096, 3151324, 21532772, 215560, 10089956, 407528, 1618556}},
		"an old kernel": {"MemTotal: 1000 kB\nMemFree: 300 kB\nBuffers: 10 kB\nCached: 200 kB\nSReclaimable: 5 kB\n" +
			"Shmem: 7 kB\nSlab: 9 kB\n", values{1000, 700, 300, 10, 205, 7, 9}},
		"available is that of the host": {"MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 5000 kB\n" +
			"Buffers: 10 kB\nCached: 200 kB\nSReclaimable: 5 kB\nShmem: 7 kB\nSlab: 9 kB\n",
			values{1000, 700, 300, 10, 205, 7, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			var m snapshot.MachineSnapshot
			parseMemory([]byte(test.text), &m)
			got := values{
				*m.TotalRAM / 1024, *m.UsedRAM / 1024, *m.AvailableRAM / 1024, *m.BuffersRAM / 1024,
				*m.CachedRAM / 1024, *m.SharedRAM / 1024, *m.SlabRAM / 1024,
			}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
	var m snapshot.MachineSnapshot
	parseMemory([]byte("MemTotal: x kB\nMemFree: 3 kB\n"), &m)
	if m.TotalRAM != nil || m.UsedRAM != nil || m.BuffersRAM != nil {
		t.Errorf("%+v, want nothing", m)
	}
}

// A file in a tmpfs takes memory.
func TestMemoryOfAFileInATmpfs(t *testing.T) {
	const size = 256 << 20
	read := func() (used, shared int64) {
		var m snapshot.MachineSnapshot
		readMemory(t.Context(), &m)
		return *m.UsedRAM, *m.SharedRAM
	}
	// Other processes use and free memory at the same time.
	testwait.Until(t, "the used memory to grow by the size of the file", func() bool {
		fd, err := unix.MemfdCreate("snapwatch-test", unix.MFD_CLOEXEC)
		if err != nil {
			t.Skip(err)
		}
		file := os.NewFile(uintptr(fd), "memfd")
		defer file.Close()
		usedBefore, sharedBefore := read()
		if _, err := file.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		used, shared := read()
		isSize := func(n int64) bool { return n > size/2 && n < size*3/2 }
		return isSize(used-usedBefore) && isSize(shared-sharedBefore)
	})
}
