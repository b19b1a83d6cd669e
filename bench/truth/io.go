//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runIO runs trees of processes: a parent, its shell, and the shell's child, which writes a file and reads it again.
func (b *bench) runIO(ctx context.Context) (rows []row, err error) {
	folder, err := folderOnDisk(b.dir, "/var/tmp")
	if err != nil {
		return []row{{name: "I/O of processes", skipped: err.Error()}}, nil
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	size := int64(100 * block)
	if b.short {
		size = 20 * block
	}
	for _, own := range []int64{0, size / 10 / block * block} {
		if b.short && own == 0 {
			continue
		}
		more, err := b.runTree(ctx, filepath.Join(folder, "file"), size, own)
		if rows = append(rows, more...); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// folderOnDisk creates a folder in the first of the candidates that is on a disk.
func folderOnDisk(candidates ...string) (string, error) {
	for _, candidate := range candidates {
		var fs unix.Statfs_t
		err := unix.Statfs(candidate, &fs)
		if err != nil || fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
			continue
		}
		return os.MkdirTemp(candidate, "snapwatch-truth-")
	}
	return "", fmt.Errorf("neither of %s is on a disk; use -dir", strings.Join(candidates, ", "))
}

// runTree lets the shell's child write and read a file of the given size, and the parent one of its own.
func (b *bench) runTree(ctx context.Context, file string, size, own int64) (rows []row, err error) {
	began := time.Now()
	tree, err := b.startWorkload(nil, "tree", file, strconv.FormatInt(size, 10), strconv.FormatInt(own, 10))
	if err != nil {
		return nil, err
	}
	// Snapshots are taken before the parent begins, after the shell has waited for its child, after the parent has
	// waited for the shell, and after the parent's exit.
	if _, err := b.machine.after(ctx, time.Now(), 1); err != nil {
		return nil, err
	}
	r, err := tree.step(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := b.machine.after(ctx, time.Now(), 2); err != nil {
		return nil, err
	}
	if _, err := tree.step(ctx); err != nil {
		return nil, err
	}
	if _, err := b.machine.after(ctx, time.Now(), 2); err != nil {
		return nil, err
	}
	tree.stop()
	if _, err := b.machine.after(ctx, time.Now(), 3); err != nil {
		return nil, err
	}
	windows, err := b.machine.windows(ctx, began)
	if err != nil {
		return nil, err
	}
	stored := make(map[int]processIO)
	for i := range windows {
		for _, u := range windows[i].usage {
			one := stored[u.PID]
			one.Read, one.Write = one.Read+valueOrZero(u.ReadBytes), one.Write+valueOrZero(u.WriteBytes)
			stored[u.PID] = one
		}
	}
	name := fmt.Sprintf("a child of a shell writes %d MiB", size/block)
	if own > 0 {
		name += fmt.Sprintf(", and their parent %d MiB", own/block)
	}
	var truth, sum processIO
	for i, who := range []string{"the child", "the parent", "the shell"} {
		p := r.IO[i]
		truth.Read, truth.Write = truth.Read+p.Read, truth.Write+p.Write
		sum.Read, sum.Write = sum.Read+stored[p.PID].Read, sum.Write+stored[p.PID].Write
		rows = append(rows, bytesRow(name+": "+who, p.Write, stored[p.PID].Write, 0))
	}
	return append(
		rows, bytesRow(name+": sum", truth.Write, sum.Write, 0),
		// A program's pages are read when they are first needed, maybe after the truth was.
		bytesRow(name+": sum of what they read", truth.Read, sum.Read, block),
	), nil
}
