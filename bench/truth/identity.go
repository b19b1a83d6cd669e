//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
)

// nobody is a user that is not root.
const nobody = "65534"

// identityCase is a process that changes what others see of it, and then sleeps.
type identityCase struct {
	name    string
	command []string      // of the process, without the program if it is a workload
	program bool          // command is not a workload
	until   string        // how the command line ends after the change; empty if the process reports the change
	within  time.Duration // when the change must be stored; 0 for the next snapshot
}

// runIdentities runs processes that change their user, command line or name. Each change must be in the next snapshot.
func (b *bench) runIdentities(ctx context.Context) ([]row, error) {
	first, second := filepath.Join(b.dir, "a.sh"), filepath.Join(b.dir, "b.sh")
	for path, script := range map[string]string{
		first: "read line\nexec sh " + second + "\n", second: "read line\n:\n",
	} {
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			return nil, err
		}
	}
	var functions []func(context.Context) ([]row, error)
	for _, c := range []identityCase{
		{
			name:    "setuid and a new command line, then asleep",
			command: []string{"title", nobody, "worker of nobody", "-"},
		},
		{
			name:    "setuid and a new name, then asleep",
			command: []string{"title", nobody, "worker with a name", "renamed"},
		},
		{name: "sh runs exec sh, then asleep", command: []string{"sh", first}, program: true, until: second},
	} {
		functions = append(functions, func(ctx context.Context) ([]row, error) { return b.runIdentity(ctx, &c) })
	}
	return inParallel(ctx, functions...)
}

// runTitle runs a process that only overwrites its command line, with a longer one. The kernel reports no event for
// this, so it must be stored within a minute.
func (b *bench) runTitle(ctx context.Context) ([]row, error) {
	title := "a title that is longer than all arguments of the program: " + strings.Repeat("x", 300)
	return b.runIdentity(ctx, &identityCase{
		name:    "a command line that grows, within a minute",
		command: []string{"title", "-", title, "-"}, within: time.Minute,
	})
}

func (b *bench) runIdentity(ctx context.Context, c *identityCase) ([]row, error) {
	start := b.startWorkload
	if c.program {
		start = b.startProcess
	}
	w, err := start(nil, c.command...)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	if _, err := b.machine.after(ctx, time.Now(), 2); err != nil {
		return nil, err
	}
	if c.until == "" {
		if _, err := w.step(ctx); err != nil {
			return nil, err
		}
	} else {
		if err := w.begin(); err != nil {
			return nil, err
		}
		for !strings.HasSuffix(commandLine(w.pid()), c.until) {
			if err := product.Pause(ctx, 10*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	r, err := b.compareIdentity(ctx, c.name, w.pid(), c.within)
	return []row{r}, err
}

// runExecs runs a process that calls exec several times, with the same program and other arguments.
func (b *bench) runExecs(ctx context.Context) (rows []row, err error) {
	steps := 5
	if b.short {
		steps = 2
	}
	w, err := b.startWorkload(nil, "exec", "1", fmt.Sprint(steps))
	if err != nil {
		return nil, err
	}
	defer w.stop()
	var r report
	if err := w.output.Decode(&r); err != nil {
		return nil, err
	}
	for step := 1; ; step++ {
		name := fmt.Sprintf("exec %d of %d of the same program", step, steps)
		r, err := b.compareIdentity(ctx, name, w.pid(), 0)
		if err != nil {
			return rows, err
		}
		if rows = append(rows, r); step == steps {
			return rows, nil
		}
		if _, err := w.step(ctx); err != nil {
			return rows, err
		}
	}
}

// compareIdentity compares a process with the next snapshot, or with those within a time until one is right.
func (b *bench) compareIdentity(ctx context.Context, name string, pid int, within time.Duration) (row, error) {
	changed := time.Now()
	truth, err := identity(pid)
	if err != nil {
		return row{}, err
	}
	for after := changed; ; {
		snapshot, err := b.machine.next(ctx, after)
		if err != nil {
			return row{}, err
		}
		p := snapshot.process(pid)
		r := textRow(name, truth, identityText(p.User, p.Name, p.CommandLine))
		if after = snapshot.Timestamp; !r.missed || within == 0 || after.Sub(changed) > within+b.interval {
			return r, nil
		}
	}
}

// identity returns user, name and command line of a process.
func identity(pid int) (string, error) {
	folder := fmt.Sprintf("/proc/%d", pid)
	comm, err := os.ReadFile(folder + "/comm")
	if err != nil {
		return "", err
	}
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return "", err
	}
	_, ids, _ := strings.Cut(string(status), "\nUid:\t")
	id, _, _ := strings.Cut(ids, "\t")
	owner, err := user.LookupId(id)
	if err != nil {
		return "", err
	}
	return identityText(owner.Username, strings.TrimSpace(string(comm)), commandLine(pid)), nil
}

// commandLine returns the command line of a process, empty if it has exited.
func commandLine(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " ")
}

// identityText returns an identity as text. It shortens paths and long command lines.
func identityText(owner, name, line string) string {
	const room = 40
	words := strings.Split(line, " ")
	for i, word := range words {
		if strings.HasPrefix(word, "/") {
			words[i] = filepath.Base(word)
		}
	}
	line = strings.Join(words, " ")
	if len(line) > room {
		line = fmt.Sprintf("%s… (%d bytes)", line[:room], len(line))
	}
	return fmt.Sprintf("%s, %s, `%s`", owner, name, line)
}
