package procfs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// fakeProc writes a /proc with the given files, and returns its path.
func fakeProc(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	writeFiles(t, root, files)
	return root
}

func writeFiles(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const statRest = " 1 42 42 0 -1 4194560 1 0 3 0 150 50 7 8 20 0 9 0 12345 1000000 250 18446744073709551615 1 1\n"

func TestReadOfAFakeProc(t *testing.T) {
	files := map[string]string{
		"42/stat":    "42 (a-name-that-is-) S" + statRest,
		"42/cmdline": "/usr/bin/a-name-that-is-long\x00--flag\x00\xff\x00",
		"42/io":      "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
		"42/cgroup":  "0::/system.slice/a.service\n", "42/fd/0": "", "42/fd/1": "", "42/fd/17": "",
		"7/stat": "7 (kworker/0:1) I" + statRest, "7/cmdline": "",
		"8/stat": "torn", "self/stat": "x", "uptime": "1 1",
	}
	root := fakeProc(t, files)
	reader := newReader(root, 1_000_000, nil, testUsers(t))
	list, err := reader.Read(t.Context(), reader.options, false)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d processes, %v", len(list), err)
	}
	byPID := map[int32]Process{}
	for _, p := range list {
		byPID[p.PID] = p
	}
	p := byPID[42]
	if p.Name != "a-name-that-is-long" || p.CommandLine != `/usr/bin/a-name-that-is-long --flag \xff` || p.PPID != 1 ||
		p.StartedAt != snapshot.Time(1_000_000+123_450) || p.CPU != 2*time.Second || p.Threads != 9 ||
		p.Memory != int64(250*os.Getpagesize()) ||
		p.ReadBytes != 4096 || p.WriteBytes != 8192 || p.Cgroup != "/system.slice/a.service" {
		t.Errorf("%+v", p)
	}
	if reader.sizedFolders { // folders in a temporary directory have another size
		t.Error("the size of a folder in a fake /proc is used as the number of open files")
	}
	if p.OpenFiles != 3 || byPID[7].OpenFiles != Unknown {
		t.Errorf("%d and %d open files", p.OpenFiles, byPID[7].OpenFiles)
	}
	if k := byPID[7]; k.Name != "kworker/0:1" || k.CommandLine != "" || k.State != "I" || k.ReadBytes != Unknown {
		t.Errorf("%+v", k)
	}
	// exec gives the process another name: its identity is read again.
	files["42/stat"], files["42/cmdline"] = "42 (bash) S"+statRest, "bash\x00"
	writeFiles(t, root, files)
	if list, err = reader.Read(t.Context(), reader.options, false); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.PID == 42 && (p.Name != "bash" || p.CommandLine != "bash") {
			t.Errorf("after exec: %+v", p)
		}
	}
	if len(reader.cache) != 2 {
		t.Errorf("%d processes are cached, want 2", len(reader.cache))
	}
	if err := os.RemoveAll(filepath.Join(root, "42")); err != nil {
		t.Fatal(err)
	}
	if _, err = reader.Read(t.Context(), reader.options, false); err != nil || len(reader.cache) != 1 {
		t.Errorf("%d processes are cached after one has exited, want 1 (%v)", len(reader.cache), err)
	}
}

// A process that the kernel is removing is not listed, though its directory still exists.
func TestProcessesBeingRemovedAreNotListed(t *testing.T) {
	root := fakeProc(t, map[string]string{
		"1/stat": statOf(1, 0, "S", 1, 1), "2/stat": statOf(2, 1, "S", 1, 1), "3/stat": statOf(3, 1, "Z", 1, 1),
		"4/stat": statOf(4, 1, "S", 1, 1), "5/stat": statOf(5, 0, "X", 0, 0),
	})
	reader := newReader(root, 0, nil, testUsers(t))
	defer reader.Close()
	pids := func() []int32 {
		t.Helper()
		list, err := reader.Read(t.Context(), reader.options, false)
		if err != nil {
			t.Fatal(err)
		}
		var pids []int32
		for _, p := range list {
			pids = append(pids, p.PID)
		}
		slices.Sort(pids)
		return pids
	}
	if got := pids(); !slices.Equal(got, []int32{1, 2, 3, 4}) {
		t.Errorf("the processes are %v", got)
	}
	writeFiles(t, root, map[string]string{
		"2/stat": statOf(2, 0, "X", 0, 0), "3/stat": statOf(3, 0, "x", 0, 0), "4/stat": statOf(4, 0, "Z", 0, 0),
	})
	if got := pids(); !slices.Equal(got, []int32{1}) || len(reader.cache) != 1 {
		t.Errorf("the processes are %v, and %d are cached", got, len(reader.cache))
	}
}
