//go:build !linux

package collect

import (
	"context"

	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// readMemory adds the memory to a snapshot.
func readMemory(ctx context.Context, m *snapshot.MachineSnapshot) {
	if ram, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.TotalRAM, m.UsedRAM, m.AvailableRAM = clean.Size(ram.Total), clean.Size(ram.Used), clean.Size(ram.Available)
	}
}
