//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	// verifyShare is the part of the time that is kept for the comparison of all snapshots.
	verifyShare = 8
	// diskBytes is the size of the file system that is filled.
	diskBytes = 1 << 30
)

// run runs the load and all faults, and compares what is stored. If a step fails, the result has what came before it.
func run(ctx context.Context, s settings) (result *results, err error) {
	result = &results{}
	list, err := choose(s)
	if err != nil {
		return result, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.duration)
	defer cancel()
	deadline := time.Now().Add(s.duration - s.duration/verifyShare)
	dir, err := os.MkdirTemp("", "snapwatch-chaos-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the cluster's owner passes through it
		return result, err
	}
	random := rand.New(rand.NewPCG(s.seed, 0))
	random.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	if err := runMain(ctx, s, dir, deadline, list, result); err != nil {
		return result, err
	}
	if s.chosen(replicasName) {
		if err := runReplicas(ctx, s, filepath.Join(dir, "replicas"), result); err != nil {
			return result, fmt.Errorf("%s: %w", replicasName, err)
		}
	}
	if s.chosen(firstStartName) {
		if err := runFirstStarts(ctx, s, filepath.Join(dir, "starts"), random, deadline, result); err != nil {
			return result, fmt.Errorf("%s: %w", firstStartName, err)
		}
	}
	return result, nil
}

// chosen reports whether a fault is to be injected.
func (s *settings) chosen(name string) bool { return len(s.only) == 0 || slices.Contains(s.only, name) }

// choose returns the faults of one server. It returns an error for a name that does not exist.
func choose(s settings) (list []fault, err error) {
	names := []string{replicasName, firstStartName}
	for _, one := range faults() {
		names = append(names, one.name)
		if s.chosen(one.name) {
			list = append(list, one)
		}
	}
	for _, name := range s.only {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("there is no fault %q; there are %q", name, names)
		}
	}
	return list, nil
}

// runMain injects the faults of one server with a private database.
func runMain(
	ctx context.Context, s settings, dir string, deadline time.Time, list []fault, result *results,
) (err error) {
	if len(list) == 0 {
		return nil
	}
	data := filepath.Join(dir, "disk")
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := syscall.Mount("tmpfs", data, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", diskBytes)); err != nil {
			return fmt.Errorf("mount a small disk: %w", err)
		}
		defer func() { err = errors.Join(err, unmount(data)) }()
	}
	w, err := startWorld(ctx, s, filepath.Join(data, "data"), filepath.Join(dir, "state"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if result.before, err = w.baseline(ctx); err != nil {
		return err
	}
	for _, one := range list {
		if one.root && os.Geteuid() != 0 {
			result.add(row{name: one.name, skipped: "needs root"})
			continue
		}
		if time.Until(deadline) < 2*s.hold {
			result.add(row{name: one.name, skipped: "no time left"})
			continue
		}
		r, err := w.inject(ctx, one)
		if err == nil {
			r.after, err = w.settle(ctx, result.before)
		}
		result.add(r)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	return w.verify(ctx, result)
}

// unmount unmounts a file system that programs which are about to end may still use.
func unmount(path string) (err error) {
	for range 50 {
		if err = syscall.Unmount(path, 0); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("unmount %s: %w", path, err), syscall.Unmount(path, syscall.MNT_DETACH))
}
