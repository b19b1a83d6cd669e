package collect

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A shell that waits for a program did not write what the program has written, and neither did the shell's parent.
func TestWritesOfAChildAreNotThoseOfItsParents(t *testing.T) {
	forEachReader(t, testWritesOfAChildAreNotThoseOfItsParents)
}

func testWritesOfAChildAreNotThoseOfItsParents(t *testing.T, reader string) {
	r := record(t, reader)
	file := filepath.Join(t.TempDir(), "data")
	const bytes = 20 << 20
	inner := "dd if=/dev/zero of=" + file + " bs=1M count=20 conv=fsync 2>/dev/null; read x"
	outer := exec.Command("perl", "-e", `system("sh", "-c", $ARGV[0]); <STDIN>`, inner)
	in, err := outer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := outer.Start(); err != nil {
		t.Fatal(err)
	}
	written := map[string]int64{}
	count := func(one *Sample) {
		for _, p := range append(one.Processes, one.Exited...) {
			isWorkload := p.PID == int32(outer.Process.Pid) || p.PPID == int32(outer.Process.Pid) || p.Name == "dd"
			if isWorkload && p.WriteBytes != nil {
				written[p.Name] += *p.WriteBytes
			}
		}
	}
	for written["dd"] == 0 {
		count(r.sample()) // dd is listed before it has written, or is recorded after it has exited
		if info, err := os.Stat(file); err == nil && info.Size() == bytes && onMemory(t, file) {
			break // which is not a disk
		}
	}
	for range 2 { // a line for the shell, and one for its parent
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		count(r.sample())
	}
	_ = in.Close()
	if err := outer.Wait(); err != nil {
		t.Fatal(err)
	}
	count(r.sample())
	count(r.sample())
	if want := int64(bytes); !onMemory(t, file) && (written["dd"] < want || written["dd"] > want+want/100) {
		t.Errorf("dd wrote %d bytes, want %d", written["dd"], want)
	}
	if written["sh"] != 0 || written["perl"] != 0 {
		t.Errorf("sh wrote %d bytes and perl %d, want 0", written["sh"], written["perl"])
	}
}

// onMemory reports whether a file is on a tmpfs, whose writes are no I/O.
func onMemory(t *testing.T, path string) bool {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Type == 0x01021994 // TMPFS_MAGIC of linux/magic.h
}
