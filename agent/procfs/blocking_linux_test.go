package procfs

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

// fifo replaces a file by one whose read blocks until release is called.
func fifo(t *testing.T, path string) (release func()) {
	t.Helper()
	_ = syscall.Unlink(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	released := false
	release = func() {
		if released {
			return
		}
		released = true
		if fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = syscall.Close(fd)
		}
	}
	t.Cleanup(release)
	return release
}

// While the kernel blocks the read of a command line, the process keeps the last one, and all others are read.
func TestBlockedCommandLine(t *testing.T) {
	files := map[string]string{}
	for pid := 1; pid <= 3; pid++ {
		files[fmt.Sprintf("%d/stat", pid)] = statOf(pid, 0, "D", 1, 100)
		files[fmt.Sprintf("%d/cmdline", pid)] = fmt.Sprintf("program\x00%d\x00", pid)
	}
	root := fakeProc(t, files)
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	now := time.Now()
	r.now = func() time.Time { return now }
	check := func(pid int32, line string, late bool) {
		t.Helper()
		p := listed(t, r, pid)
		if p == nil || p.CommandLine != line || p.LateCommandLine != late || p.Name == "" {
			t.Errorf("process %d is %+v, want %q", pid, p, line)
		}
	}
	check(2, "program 2", false)
	release := fifo(t, filepath.Join(root, "2/cmdline"))
	writeFiles(t, root, map[string]string{
		"1/cmdline": "new\x00", "4/stat": statOf(4, 0, "D", 1, 100),
	})
	releaseNew := fifo(t, filepath.Join(root, "4/cmdline"))
	now = now.Add(2 * identityAge)
	begin := time.Now()
	for range 4 {
		check(2, "program 2", true)
		check(4, "", true)
		check(1, "new", false)
		check(3, "program 3", false)
	}
	if took := time.Since(begin); took > 5*lineWait {
		t.Errorf("the samples took %s", took)
	}
	if n := len(r.blocking.blocked); n != 2 {
		t.Errorf("%d reads block, want 2", n)
	}
	release()
	releaseNew()
	for pid, text := range map[int]string{2: "two\x00", 4: "four\x00"} {
		path := fmt.Sprintf("%d/cmdline", pid)
		_ = syscall.Unlink(filepath.Join(root, path))
		writeFiles(t, root, map[string]string{path: text})
	}
	testwait.Until(t, "the reads to return", func() bool { return !listed(t, r, 2).LateCommandLine })
	testwait.Until(t, "the reads to return", func() bool { return !listed(t, r, 4).LateCommandLine })
	check(2, "two", false)
	check(4, "four", false)
}

// The reads that block are bounded. Command lines that were not read because of that are read later.
func TestBlockedReadsAreBounded(t *testing.T) {
	const count = maxBlockedReads + 6
	files := map[string]string{}
	for pid := 1; pid <= count; pid++ {
		files[fmt.Sprintf("%d/stat", pid)] = statOf(pid, 0, "D", 1, 100)
	}
	root := fakeProc(t, files)
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	releases := make([]func(), count)
	for i := range releases {
		releases[i] = fifo(t, filepath.Join(root, fmt.Sprintf("%d/cmdline", i+1)))
	}
	late := func() (n int) {
		list, err := r.Read(t.Context(), r.options, false)
		if err != nil || len(list) != count {
			t.Fatal(len(list), err)
		}
		for i := range list {
			if list[i].LateCommandLine {
				n++
			}
		}
		return n
	}
	for range 3 {
		if n := late(); n != maxBlockedReads || len(r.blocking.blocked) != maxBlockedReads {
			t.Errorf("%d command lines are late, and %d reads block", n, len(r.blocking.blocked))
		}
	}
	for i, release := range releases {
		release()
		path := fmt.Sprintf("%d/cmdline", i+1)
		_ = syscall.Unlink(filepath.Join(root, path))
		writeFiles(t, root, map[string]string{path: "program\x00"})
	}
	testwait.Until(t, "all command lines", func() bool {
		n := late()
		for _, p := range r.list {
			if p.CommandLine != "program" {
				n++
			}
		}
		return n == 0
	})
}

// An IdentityReader returns the other values of a process whose command line blocks.
func TestIdentityWithBlockedCommandLine(t *testing.T) {
	root := fakeProc(t, map[string]string{"1/comm": "program\n"})
	r := NewIdentityReader(nil, testUsers(t))
	defer r.Close()
	r.reader.root = root
	fifo(t, filepath.Join(root, "1/cmdline"))
	id, err := r.Read(1, 100)
	if err != nil || id.Name != "program" || id.CommandLine != "" || id.User == "" {
		t.Errorf("%+v (%v)", id, err)
	}
}
