package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 12345 1000000 250 18446744073709551615 1 1"
	for name, test := range map[string]struct {
		line string
		want procStat
		ok   bool
	}{
		"plain":            {"42 (cat) S" + rest, procStat{pid: 42, ppid: 1, threads: 9, comm: "cat", state: "S", userTicks: 150, systemTicks: 50, startTicks: 12345, rssPages: 250}, true},
		"blanks and signs": {"42 (a (b) c) R" + rest, procStat{pid: 42, ppid: 1, threads: 9, comm: "a (b) c", state: "R", userTicks: 150, systemTicks: 50, startTicks: 12345, rssPages: 250}, true},
		"looks like state": {"42 (x) S 7) Z" + rest, procStat{pid: 42, ppid: 1, threads: 9, comm: "x) S 7", state: "Z", userTicks: 150, systemTicks: 50, startTicks: 12345, rssPages: 250}, true},
		"empty name":       {"42 () S" + rest, procStat{pid: 42, ppid: 1, threads: 9, state: "S", userTicks: 150, systemTicks: 50, startTicks: 12345, rssPages: 250}, true},
		"torn":             {"42 (cat) S 1 42", procStat{}, false},
		"no name":          {"42 cat S" + rest, procStat{}, false},
		"not numbers":      {"42 (cat) S x" + rest, procStat{}, false},
		"empty":            {"", procStat{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(test.line))
			if (err == nil) != test.ok || got != test.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (cat) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 12345 1000000 250 1 1 1"))
	f.Add([]byte("1 ()))) "))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := parseStat(line)
		if err == nil && (s.startTicks < 0 || s.userTicks < 0 || len(s.state) > 1) {
			t.Errorf("%q became %+v", line, s)
		}
	})
}

// tree writes a made-up /proc.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	plant(t, root, files)
	return root
}

func plant(t *testing.T, root string, files map[string]string) {
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

const statRest = " 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 12345 1000000 250 18446744073709551615 1 1\n"

func TestReadOfAMadeUpProc(t *testing.T) {
	files := map[string]string{
		"42/stat": "42 (a-name-that-is-) S" + statRest, "42/cmdline": "/usr/bin/a-name-that-is-long\x00--flag\x00\xff\x00",
		"42/io":     "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n",
		"42/cgroup": "0::/system.slice/a.service\n", "42/fd/0": "", "42/fd/1": "", "42/fd/17": "",
		"7/stat": "7 (kworker/0:1) I" + statRest, "7/cmdline": "",
		"8/stat": "torn", "self/stat": "x", "uptime": "1 1",
	}
	root := tree(t, files)
	reader := newProcReader(root, 1_000_000, nil)
	list, err := reader.read(t.Context(), reader.want, false)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d processes, %v", len(list), err)
	}
	byPID := map[int32]rawProcess{}
	for _, p := range list {
		byPID[p.PID] = p
	}
	p := byPID[42]
	if p.Name != "a-name-that-is-long" || p.CommandLine != "/usr/bin/a-name-that-is-long --flag " || p.PPID != 1 ||
		p.StartedAt != snapshot.Time(
			1_000_000+123_450,
		) || p.cpuMS != 2000 || p.threads != 9 || p.memory != int64(250*os.Getpagesize()) ||
		p.readBytes != 4096 || p.writeBytes != 8192 || p.Cgroup != "/system.slice/a.service" {
		t.Errorf("%+v", p)
	}
	if reader.sized { // a kernel that tells the number; made-up folders have another size
		t.Error("a folder of a made-up /proc is believed to tell the number of open files")
	}
	if p.openFiles != 3 || byPID[7].openFiles != unknown {
		t.Errorf("%d and %d open files", p.openFiles, byPID[7].openFiles)
	}
	if k := byPID[7]; k.Name != "kworker/0:1" || k.CommandLine != "" || k.state != "I" || k.readBytes != unknown {
		t.Errorf("%+v", k)
	}
	// exec gives the process another name: the identity is read anew.
	files["42/stat"], files["42/cmdline"] = "42 (bash) S"+statRest, "bash\x00"
	plant(t, root, files)
	if list, err = reader.read(t.Context(), reader.want, false); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.PID == 42 && (p.Name != "bash" || p.CommandLine != "bash") {
			t.Errorf("after exec: %+v", p)
		}
	}
	if len(reader.known) != 2 {
		t.Errorf("%d identities are cached", len(reader.known))
	}
	if err := os.RemoveAll(filepath.Join(root, "42")); err != nil {
		t.Fatal(err)
	}
	if _, err = reader.read(t.Context(), reader.want, false); err != nil || len(reader.known) != 1 {
		t.Errorf("an ended process is still cached: %d, %v", len(reader.known), err)
	}
}

// The real thing: a child that burns CPU shows up under us with what it spent.
func TestSampleOfARealChild(t *testing.T) {
	s, err := newSampler(t.TempDir(), nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.sample(t.Context(), time.Now(), wantedBy(snapshot.Config{}), true); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sh", "-c", "echo up; while :; do :; done")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	var spent int64
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for spent < 50 {
		taken, err := s.sample(ctx, time.Now(), wantedBy(snapshot.Config{}), false)
		if err != nil {
			t.Fatalf("the child never spent 50 ms: %v", err)
		}
		found := false
		for _, p := range taken.processes {
			if p.PID != int32(child.Process.Pid) {
				continue
			}
			found = true
			if p.CPUMS == nil || p.PPID != int32(os.Getpid()) || p.Name != "sh" ||
				!strings.Contains(p.CommandLine, "while") ||
				p.User == "" {
				t.Fatalf("%+v", p)
			}
			if started := p.StartedAt.Std(); time.Since(started) > time.Minute || time.Since(started) < -2*time.Second {
				t.Fatalf("started at %s", started)
			}
			spent += *p.CPUMS
		}
		if !found {
			t.Fatal("the child is not listed")
		}
	}
}

func TestBootTimeIsKeptForABoot(t *testing.T) {
	state := t.TempDir()
	boot := func(id, btime string) int64 {
		t.Helper()
		ms, err := bootTime(
			tree(
				t,
				map[string]string{
					"stat":                      "cpu 1\nbtime " + btime + "\nprocesses 5\n",
					"sys/kernel/random/boot_id": id + "\n",
				},
			),
			state,
		)
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	if a, b := boot("one", "1000"), boot("one", "1001"); a != 1_000_000 || b != a {
		t.Errorf("within a boot: %d, then %d", a, b)
	}
	if c := boot("two", "2000"); c != 2_000_000 {
		t.Errorf("after a reboot: %d", c)
	}
}
