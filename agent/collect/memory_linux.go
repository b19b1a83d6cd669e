package collect

import (
	"bytes"
	"context"
	"os"
	"strconv"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// readMemory adds the memory to a snapshot.
func readMemory(_ context.Context, m *snapshot.MachineSnapshot) {
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		parseMemory(text, m)
	}
}

// parseMemory parses /proc/meminfo. The values are those of free in procps 4: used is what is not available, and the
// cache contains the part of the kernel's slab that can be reclaimed. See proc_meminfo(5).
func parseMemory(text []byte, m *snapshot.MachineSnapshot) {
	var total, free, available, buffers, cached, reclaimable, shared, slab *uint64
	fields := map[string]**uint64{
		"MemTotal": &total, "MemFree": &free, "MemAvailable": &available, "Buffers": &buffers, "Cached": &cached,
		"SReclaimable": &reclaimable, "Shmem": &shared, "Slab": &slab,
	}
	for line := range bytes.Lines(text) {
		name, value, found := bytes.Cut(line, []byte{':'})
		field := fields[string(name)]
		if !found || field == nil {
			continue
		}
		kibibytes, _ := bytes.CutSuffix(bytes.TrimSpace(value), []byte(" kB"))
		if n, err := strconv.ParseUint(string(kibibytes), 10, 54); err == nil {
			*field = new(n * 1024)
		}
	}
	size := func(n *uint64) *int64 {
		if n == nil {
			return nil
		}
		return clean.Size(*n)
	}
	m.TotalRAM = size(total)
	if total != nil && free != nil {
		// Kernels before 3.14 have no MemAvailable. In some containers, it is that of the host.
		if available == nil || *available > *total {
			available = free
		}
		m.AvailableRAM, m.UsedRAM = size(available), clean.Size(*total-min(*available, *total))
	}
	if cached != nil && reclaimable != nil {
		cached = new(*cached + *reclaimable)
	}
	m.BuffersRAM, m.CachedRAM, m.SharedRAM, m.SlabRAM = size(buffers), size(cached), size(shared), size(slab)
}
