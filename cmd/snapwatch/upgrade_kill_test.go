//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// upgradeDatabase starts an upgrade of the private database.
func upgradeDatabase(t *testing.T, dir string, args ...string) (*exec.Cmd, *bufio.Scanner, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), append(
		[]string{"upgrade-database", "--data-dir", dir}, args...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=")
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out), &failure
}

// readLines reads lines until one begins with a text, and reports whether there was one.
func readLines(lines *bufio.Scanner, until string) bool {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), until) {
			return true
		}
	}
	return false
}

// kill kills a command and waits for its end.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// An upgrade that is killed at any of its steps leaves a cluster with all data, with which commands and servers work.
// The next upgrade starts over.
func TestUpgradeIsKilled(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"pg_upgrade", "dump"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			h := newHistory(4)
			dir, before := stored(t, h)
			from := version(t, dir)
			upgrade, serve := target(t, dir)
			steps := 0
			for done := false; !done; steps++ {
				cmd, lines, failure := upgradeDatabase(t, dir, append(upgrade, "--method", method)...)
				for range steps + 1 {
					if !lines.Scan() {
						done = true
						break
					}
				}
				if done {
					if err := cmd.Wait(); err != nil {
						t.Fatalf("the upgrade after %d killed ones: %v %s", steps, err, failure)
					}
					break
				}
				kill(t, cmd)
				if steps%2 == 0 { // else another upgrade follows at once
					if out, err := shell(t, dir, "", append([]string{"token", "list"}, serve...)...); err != nil ||
						!strings.Contains(out, "the test's") {
						t.Fatalf("a command after step %d: %v %s", steps, err, out)
					}
				}
			}
			if steps < 7 {
				t.Errorf("the upgrade was killed at %d steps only", steps)
			}
			if _, err := os.Stat(filepath.Join(dir, "postgres.old-"+from)); err != nil {
				t.Error(err)
			}
			checkNoLeftovers(t, dir)
			checkHistory(t, dir, h, before, serve...).stop(t)
		})
	}
}

// A killed pg_upgrade may leave a server of the old cluster running, to which snapwatch cannot connect.
func TestUpgradeIsKilledWhilePgUpgradeRuns(t *testing.T) {
	t.Parallel()
	h := newHistory(4)
	dir, before := stored(t, h)
	upgrade, serve := target(t, dir)
	work := filepath.Join(dir, "upgrade")
	for _, socket := range []string{".s.PGSQL.5432", ".s.PGSQL.5433"} { // of the old and of the new server
		cmd, lines, failure := upgradeDatabase(t, dir, append(upgrade, "--method", "pg_upgrade")...)
		if !readLines(lines, "copying ") {
			t.Fatal(failure)
		}
		testwait.Until(t, "a server of pg_upgrade", func() bool {
			_, err := os.Stat(filepath.Join(work, "run", socket))
			return err == nil
		})
		kill(t, cmd)
		checkHistory(t, dir, h, before).stop(t)
		checkNoLeftovers(t, dir)
	}
	mustUpgrade(t, dir, upgrade...)
	checkHistory(t, dir, h, before, serve...).stop(t)
}

// An upgrade needs space for a second cluster, and a disk that becomes full leaves the old one in use.
func TestUpgradeOnAFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // only root can mount a small file system
	}
	for _, method := range []string{"pg_upgrade", "dump"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			mount := storetest.Dir(t)
			if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=500m,mode=755"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(mount, syscall.MNT_DETACH) })
			h := newHistory(4)
			template, before := stored(t, h)
			dir, filler := filepath.Join(mount, "data"), filepath.Join(mount, "filler")
			_ = os.Remove(filepath.Join(template, "reserve"))
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", template, dir).CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			upgrade, serve := target(t, dir)
			upgrade = append(upgrade, "--method", method)

			if err := os.WriteFile(filler, make([]byte, 200<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, "MiB of free space in "+dir, upgrade...)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			step := map[string]string{"pg_upgrade": "copying ", "dump": "copying the roles"}[method]
			cmd, lines, failure := upgradeDatabase(t, dir, upgrade...)
			if !readLines(lines, step) {
				t.Fatal(failure)
			}
			fillDisk(t, filler)
			if readLines(lines, "switching") {
				t.Error("the upgrade succeeded")
			}
			if err := cmd.Wait(); err == nil || !strings.Contains(failure.String(), "is unchanged") {
				t.Errorf("on a full disk: %v %s", err, failure)
			}
			checkNoLeftovers(t, dir)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			mustUpgrade(t, dir, upgrade...)
			checkHistory(t, dir, h, before, serve...).stop(t)
		})
	}
}
