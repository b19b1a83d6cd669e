//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cgroup is a control group with a limit of half a core.
type cgroup struct {
	path  string
	reset func() error // undoes changes to the parent
}

// halfCore creates a cgroup with half a core, in version 2 or 1 of cgroups.
func halfCore() (*cgroup, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		root, kind, options := fields[1], fields[2], strings.Split(fields[3], ",")
		switch {
		case kind == "cgroup2" && hasController(root, "cgroup.controllers"):
			c := &cgroup{path: groupIn(root)}
			if !hasController(root, "cgroup.subtree_control") {
				control := filepath.Join(root, "cgroup.subtree_control")
				if err := os.WriteFile(control, []byte("+cpu"), 0o600); err != nil {
					return nil, err
				}
				c.reset = func() error { return os.WriteFile(control, []byte("-cpu"), 0o600) }
			}
			return c, c.create(map[string]string{"cpu.max": "50000 100000"})
		case kind == "cgroup" && slices.Contains(options, "cpu"):
			c := &cgroup{path: groupIn(root)}
			return c, c.create(map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"})
		}
	}
	return nil, errors.New("there is no cgroup controller for CPU time")
}

func groupIn(root string) string {
	return filepath.Join(root, "snapwatch-truth-"+strconv.Itoa(os.Getpid()))
}

// hasController reports whether a file of a cgroup lists the controller for CPU time.
func hasController(group, file string) bool {
	text, err := os.ReadFile(filepath.Join(group, file))
	return err == nil && slices.Contains(strings.Fields(string(text)), "cpu")
}

func (c *cgroup) create(limits map[string]string) error {
	if err := os.Mkdir(c.path, 0o755); err != nil {
		return err
	}
	for name, value := range limits {
		if err := os.WriteFile(filepath.Join(c.path, name), []byte(value), 0o600); err != nil {
			return errors.Join(err, c.remove())
		}
	}
	return nil
}

// add moves a process to the cgroup.
func (c *cgroup) add(pid int) error {
	if err := os.WriteFile(filepath.Join(c.path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		return fmt.Errorf("move a process to a cgroup: %w", err)
	}
	return nil
}

// remove removes the cgroup, whose processes must have exited.
func (c *cgroup) remove() error {
	err := os.Remove(c.path)
	if c.reset != nil {
		err = errors.Join(err, c.reset())
	}
	return err
}
