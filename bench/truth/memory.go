//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// runResident compares the resident memory of processes that sleep.
func (b *bench) runResident(ctx context.Context) ([]row, error) {
	const processes = 10
	var list []*workload
	for range processes {
		w, err := b.startProcess(nil, "sleep", "1000")
		if err != nil {
			return nil, err
		}
		defer func() {
			_ = w.cmd.Process.Kill()
			w.stop()
		}()
		list = append(list, w)
	}
	if _, err := b.machine.after(ctx, time.Now(), 1); err != nil { // they have begun to sleep
		return nil, err
	}
	snapshot, err := b.machine.next(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	var worst row
	var worstDiff int64
	for _, w := range list {
		truth, err := kibibytes(fmt.Sprintf("/proc/%d/status", w.pid()), "VmRSS")
		if err != nil {
			return nil, err
		}
		stored := snapshot.process(w.pid()).Memory
		if diff := max(stored-truth, truth-stored); worst.name == "" || diff > worstDiff {
			name := fmt.Sprintf("resident memory of sleep, the worst of %d", processes)
			worst, worstDiff = bytesRow(name, truth, stored, 0), diff
		}
	}
	return []row{worst}, nil
}

// runTmpfs compares the used memory before and after a file is written to a tmpfs.
func (b *bench) runTmpfs(ctx context.Context) ([]row, error) {
	size, allowed := int64(1<<30), int64(block) // the kernel's own counters are not exact to the page
	if b.short {
		size, allowed = 64<<20, 8<<20 // other tests use memory at the same time
	}
	name := fmt.Sprintf("used memory, with a file of %d MiB in a tmpfs", size/block)
	available, err := kibibytes("/proc/meminfo", "MemAvailable")
	if err != nil {
		return nil, err
	}
	if available < 2*size {
		return []row{{name: name, skipped: "too little memory is available"}}, nil
	}
	folder := filepath.Join(b.dir, "tmpfs")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	w, err := b.startWorkload(
		&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, "tmpfs", folder, strconv.FormatInt(size, 10),
	)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	before, err := b.usedMemory(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.step(ctx); err != nil {
		return nil, err
	}
	after, err := b.usedMemory(ctx)
	if err != nil {
		return nil, err
	}
	// Other processes change the used memory too, so it is not one number while a snapshot is taken.
	noise := (before.high - before.low + after.high - after.low) / 2
	return []row{
		bytesRow(name, after.middle(), after.stored, (after.high-after.low)/2+allowed),
		bytesRow(
			name+": increase", after.middle()-before.middle(), after.stored-before.stored, noise+allowed,
		),
	}, nil
}

// usedMemory is the memory that was used while a snapshot was taken, and what is stored.
type usedMemory struct{ low, high, stored int64 }

func (u usedMemory) middle() int64 { return (u.low + u.high) / 2 }

// usedMemory waits for the next snapshot, and compares its used memory.
func (b *bench) usedMemory(ctx context.Context) (u usedMemory, err error) {
	snapshot, err := b.machine.next(ctx, time.Now())
	if err != nil {
		return u, err
	}
	u.stored = snapshot.Machine.UsedRAM
	// The system is read after the processes, and before the next snapshot.
	following, err := b.machine.next(ctx, snapshot.Timestamp)
	if err != nil {
		return u, err
	}
	u.low, u.high, err = b.kernel.used(snapshot.Timestamp, following.Timestamp)
	return u, err
}
