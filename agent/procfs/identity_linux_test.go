package procfs

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/snapshot"
)

func TestParseCgroup(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/nginx.service\n": "/system.slice/nginx.service",
		"0::/\n":                           "",
		"9:name=systemd:/\n4:memory:/docker/abc\n1:cpu:/docker/abc\n0::/\n":        "/docker/abc",
		"4:memory:/user.slice\n9:name=systemd:/user.slice/session-1.scope\n0::/\n": "/user.slice/session-1.scope",
		"0::/removed.service (deleted)\n":                                          "/removed.service",
		"":                                                                         "", "incomplete": "", "0::relative\n": "", "0::/a:b\n": "/a:b",
	} {
		if got := parseCgroup([]byte(text)); got != want {
			t.Errorf("parseCgroup(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestIdentityReader(t *testing.T) {
	reader := NewIdentityReader(nil, NewUsers())
	id, err := reader.Read(uint32(os.Getpid()), 100)
	if err != nil || id.Name == "" || id.CommandLine == "" || id.User == "" {
		t.Errorf("this process is %+v (%v)", id, err)
	}
	if _, err := reader.Read(1<<30, 100); err == nil {
		t.Error("no error for a process that does not exist")
	}
}

// child is a process that does something each time it reads a line, and then prints a line.
type child struct {
	t   *testing.T
	pid int32
	in  io.Writer
	out *bufio.Reader
}

// startChild starts a process, and waits for its first line. It skips the test if the program is not installed.
func startChild(t *testing.T, arguments ...string) *child {
	t.Helper()
	if _, err := exec.LookPath(arguments[0]); err != nil {
		t.Skip(err)
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	c := &child{t, int32(command.Process.Pid), in, bufio.NewReader(out)}
	c.wait()
	return c
}

func (c *child) wait() {
	c.t.Helper()
	if line, err := c.out.ReadString('\n'); err != nil {
		c.t.Fatalf("the child ended after %q: %v", line, err)
	}
}

// next lets the child do the next thing.
func (c *child) next() {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "\n"); err != nil {
		c.t.Fatal(err)
	}
	c.wait()
}

// scripts writes shell scripts, and returns the folder.
func scripts(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// realReader returns a reader of the processes of this machine whose clock can be set.
func realReader(t *testing.T) (r *Reader, advance func(time.Duration)) {
	t.Helper()
	r, err := NewReader(t.TempDir(), nil, testUsers(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	now := time.Now()
	r.now = func() time.Time { return now }
	return r, func(d time.Duration) { now = now.Add(d) }
}

// listed reads the processes, and returns one of them.
func listed(t *testing.T, r *Reader, pid int32) *Process {
	t.Helper()
	list, err := r.Read(t.Context(), r.options, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].PID == pid {
			return &list[i]
		}
	}
	t.Fatalf("process %d is not in the list", pid)
	return nil
}

const setuidScript = `use POSIX; $| = 1; print "up\n"; <STDIN>; POSIX::setuid(65534); print "done\n"; POSIX::pause()`

// identityChanges are changes of an identity that a process makes before it sleeps.
var identityChanges = map[string]struct {
	start      func(t *testing.T) *child
	want       []snapshot.Identity // after each step; the parent and the control group are not compared
	privileged bool
}{
	"setuid, a new title, then pause": {
		start: func(t *testing.T) *child {
			return startChild(t, "perl", "-e", `use POSIX; $| = 1; print "up\n"; <STDIN>; POSIX::setuid(65534);
				$0 = "a new title"; print "done\n"; POSIX::pause()`)
		},
		want:       []snapshot.Identity{{Name: "a new title", CommandLine: "a new title", User: "nobody"}},
		privileged: true,
	},
	"setuid, then pause": {
		start: func(t *testing.T) *child { return startChild(t, "perl", "-e", setuidScript) },
		want: []snapshot.Identity{{
			Name: "perl", CommandLine: "perl -e " + setuidScript, User: "nobody",
		}},
		privileged: true,
	},
	"a script executes another one": {
		start: func(t *testing.T) *child {
			dir := scripts(t, map[string]string{
				"a.sh": "echo up; read x; exec sh b.sh", "b.sh": "echo done; read x",
			})
			return startChild(t, "sh", "-c", "cd "+dir+"; exec sh a.sh")
		},
		want: []snapshot.Identity{{Name: "sh", CommandLine: "sh b.sh"}},
	},
	"five execs of programs with one name": {
		start: func(t *testing.T) *child {
			dir := scripts(t, map[string]string{"n.sh": "echo up; read x; exec sh n.sh $(($1 + 1))"})
			return startChild(t, "sh", "-c", "cd "+dir+"; exec sh n.sh 0")
		},
		want: []snapshot.Identity{
			{Name: "sh", CommandLine: "sh n.sh 1"}, {Name: "sh", CommandLine: "sh n.sh 2"},
			{Name: "sh", CommandLine: "sh n.sh 3"}, {Name: "sh", CommandLine: "sh n.sh 4"},
			{Name: "sh", CommandLine: "sh n.sh 5"},
		},
	},
}

// wrongIdentity returns how the identity of a process differs from the wanted one, or "".
func wrongIdentity(p *Process, want snapshot.Identity) string {
	got := p.Identity
	got.PPID, got.Cgroup = 0, ""
	if want.User == "" {
		got.User = ""
	}
	if got == want {
		return ""
	}
	return fmt.Sprintf("the identity is %+v, want %+v", got, want)
}

// With the kernel's events, the identity of a process is right in the next sample after a change.
func TestIdentityIsRightInTheNextSample(t *testing.T) {
	checkIdentityChanges(t, 1, func(t *testing.T, r *Reader) {
		if r.events == nil {
			t.Skip("this machine sends no process events")
		}
	})
}

// Without the kernel's events, the identity is right within a minute, also of a process that then sleeps.
func TestIdentityIsRightWithinAMinute(t *testing.T) {
	checkIdentityChanges(t, 12, func(_ *testing.T, r *Reader) {
		if r.events != nil {
			r.events.Close()
			r.events = nil
		}
	})
}

// checkIdentityChanges checks the identity of a process after each change, when it was sampled a number of times, 5 s
// apart.
func checkIdentityChanges(t *testing.T, samples int, prepare func(t *testing.T, r *Reader)) {
	t.Helper()
	for name, test := range identityChanges {
		t.Run(name, func(t *testing.T) {
			if test.privileged && os.Geteuid() != 0 {
				t.Skip("only root may change its user")
			}
			r, advance := realReader(t)
			prepare(t, r)
			c := test.start(t)
			for range 3 {
				listed(t, r, c.pid)
				advance(5 * time.Second)
			}
			for i, want := range test.want {
				c.next()
				problem := ""
				for range samples {
					problem = wrongIdentity(listed(t, r, c.pid), want)
					advance(5 * time.Second)
				}
				if problem != "" {
					t.Errorf("after change %d and %d samples: %s", i+1, samples, problem)
				}
			}
		})
	}
}

// If the kernel drops events, the identities of all processes that have run are read.
func TestIdentityAfterLostEvents(t *testing.T) {
	events, err := procevents.Open(1, procevents.Exec) // the kernel's minimum, which is a few events
	if err != nil {
		t.Skip("this machine sends no process events:", err)
	}
	r, advance := realReader(t)
	if r.events != nil {
		r.events.Close()
	}
	r.events = events
	test := identityChanges["a script executes another one"]
	c := test.start(t)
	for range 3 {
		listed(t, r, c.pid)
		advance(time.Second)
	}
	for range 30 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	c.next()
	if problem := wrongIdentity(listed(t, r, c.pid), test.want[0]); problem != "" {
		t.Error(problem)
	}
}

// A process can get another title or control group without an event, and with several threads also without a change in
// schedstat. Then it is found within a minute, in every state. The cost is spread: no sample reads many identities.
func TestChangesWithoutEvents(t *testing.T) {
	for _, reclaimed := range []bool{false, true} {
		t.Run(fmt.Sprintf("reclaimed: %t", reclaimed), func(t *testing.T) { changesWithoutEvents(t, reclaimed) })
	}
}

func changesWithoutEvents(t *testing.T, reclaimed bool) {
	const processes, interval = 48, 5 * time.Second
	files := map[string]string{"vmstat": "pgsteal_kswapd 10\n"}
	if reclaimed { // without the file, every process is read in every sample
		delete(files, "vmstat")
	}
	put := func(title, group, schedule string) {
		for pid := 1; pid <= processes; pid++ {
			threads := 1 + pid%2
			files[fmt.Sprintf("%d/stat", pid)] = statOf(pid, 0, string("SIT"[pid%3]), threads, 1)
			files[fmt.Sprintf("%d/cmdline", pid)] = "worker\x00" + title + "\x00"
			files[fmt.Sprintf("%d/cgroup", pid)] = "0::" + group + "\n"
			files[fmt.Sprintf("%d/schedstat", pid)] = "1 1 1\n"
			if threads == 1 { // with several, another thread has run
				files[fmt.Sprintf("%d/schedstat", pid)] = schedule
			}
		}
	}
	put("old", "/old", "1 1 1\n")
	root := fakeProc(t, files)
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	now := time.Now()
	r.now = func() time.Time { return now }
	read := func() (titles, groups int) {
		t.Helper()
		list, err := r.Read(t.Context(), r.options, false)
		if err != nil || len(list) != processes {
			t.Fatal(len(list), err)
		}
		for _, p := range list {
			if p.CommandLine == "worker new" {
				titles++
			}
			if p.Cgroup == "/new" {
				groups++
			}
		}
		now = now.Add(interval)
		return titles, groups
	}
	for range 3 {
		read()
	}
	put("new", "/new", "1 1 1\n") // the processes with one thread sleep: they have only been moved
	writeFiles(t, root, files)
	titles, groups := 0, 0
	for i := range 12 {
		titlesNow, groupsNow := read()
		if found := groupsNow - groups; found > processes/4 {
			t.Errorf("sample %d reads %d identities of %d", i, found, processes)
		}
		titles, groups = titlesNow, groupsNow
	}
	if titles != processes/2 || groups != processes {
		t.Errorf("after a minute, %d titles and %d groups of %d are new", titles, groups, processes)
	}
	put("new", "/new", "2 2 2\n") // they have run for a moment
	writeFiles(t, root, files)
	for range 12 {
		titles, _ = read()
	}
	if titles != processes {
		t.Errorf("after another minute, %d titles of %d are new", titles, processes)
	}
}

// The name of a user that only a name service knows is right in the first sample. A user that is added later gets its
// name, also for a process that sleeps.
func TestNamesOfUsersInTheList(t *testing.T) {
	root := fakeProc(t, map[string]string{"7/stat": statOf(7, 0, "S", 1, 1), "7/schedstat": "1 1 1\n"})
	uid, answer := uint32(os.Geteuid()), "from-ldap"
	empty := filepath.Join(t.TempDir(), "passwd")
	users := newUsers(empty, func(uint32) (string, error) { return answer, nil })
	r := newReader(root, 0, nil, users)
	defer r.Close()
	if p := listed(t, r, 7); p.User != "from-ldap" {
		t.Errorf("the user is %q", p.User)
	}
	listed(t, r, 7)
	text := fmt.Sprintf("local:x:%d:%d::/:/bin/sh\n", uid, uid)
	if err := os.WriteFile(empty, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := listed(t, r, 7); p.User != "local" {
		t.Errorf("after it was added to the file, the user is %q", p.User)
	}
}

// Values that are not selected any more are in no identity, also in those that stay the same.
func TestChangedOptions(t *testing.T) {
	const kernelThread = "8 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 1 0 0 0 20 0 1 0 12345 0 0 1 1 1\n"
	root := fakeProc(t, map[string]string{
		"7/stat": statOf(7, 0, "S", 1, 1), "7/schedstat": "1 1 1\n", "7/cmdline": "a\x00b\x00", "7/cgroup": "0::/x\n",
		"8/stat": kernelThread, "8/schedstat": "1 1 1\n", "8/cmdline": "", "8/cgroup": "0::/x\n",
	})
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	listed(t, r, 7)
	writeFiles(t, root, map[string]string{"7/stat": statOf(7, 0, "Z", 1, 1), "7/schedstat": "2 2 2\n", "7/cmdline": ""})
	for _, options := range []Options{{}, {Cgroups: true}, {CommandLines: true}, everything(), {}} {
		list, err := r.Read(t.Context(), options, false)
		if err != nil || len(list) != 2 {
			t.Fatal(len(list), err)
		}
		for _, p := range list {
			if (p.Cgroup == "/x") != options.Cgroups || p.CommandLine != "" {
				t.Errorf("with %+v: %+v", options, p)
			}
		}
	}
}

// A zombie keeps the command line that it had.
func TestZombiesKeepTheirCommandLine(t *testing.T) {
	root := fakeProc(t, map[string]string{
		"7/stat": statOf(7, 0, "S", 1, 1), "7/schedstat": "1 1 1\n", "7/cmdline": "a\x00b\x00", "7/cgroup": "0::/x\n",
	})
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	now := time.Now()
	r.now = func() time.Time { return now }
	listed(t, r, 7)
	writeFiles(t, root, map[string]string{
		"7/stat": statOf(7, 0, "Z", 1, 1), "7/schedstat": "2 2 2\n", "7/cmdline": "", "7/cgroup": "0::/x (deleted)\n",
	})
	for range 30 {
		now = now.Add(5 * time.Second)
		if p := listed(t, r, 7); p.CommandLine != "a b" || p.Cgroup != "/x" {
			t.Fatalf("%+v", p)
		}
	}
}

// The name of a kernel worker is its id, whatever it works on.
func TestNamesOfKernelWorkers(t *testing.T) {
	const worker, thread = flagKernelWorker | flagKernelThread, flagKernelThread
	for _, test := range []struct {
		comm  string
		flags int64
		want  string
	}{
		{"kworker/0:1-events", worker, "kworker/0:1"},
		{"kworker/0:1+events", worker, "kworker/0:1"},
		{"kworker/1:0H-events_highpri", worker, "kworker/1:0H"},
		{"kworker/u8:3-flush-254:0", worker, "kworker/u8:3"},
		{"kworker/0:1", worker, "kworker/0:1"},
		{"kworker/R-rcu_gp", worker, "kworker/R-rcu_gp"},
		{"kworker/R-xfs-log/sda1+xfs-log/sda1", worker, "kworker/R-xfs-log/sda1"},
		{"kworker/0:1-events", 0, "kworker/0:1-events"}, // a program with such a name
		{"jbd2/sda1-8", thread, "jbd2/sda1-8"},
		{"-", worker, "-"},
		{"", worker, ""},
	} {
		if got := stableName(test.comm, test.flags); got != test.want {
			t.Errorf("%q with flags %x has the name %q, want %q", test.comm, test.flags, got, test.want)
		}
	}
	r, _ := realReader(t)
	list, err := r.Read(t.Context(), r.options, false)
	if err != nil {
		t.Fatal(err)
	}
	valid := regexp.MustCompile(`^kworker/(R-[^+]*|[^+-]*)$`)
	for _, p := range list {
		if r.cache[p.PID].kernelThread && strings.HasPrefix(p.Name, "kworker/") && !valid.MatchString(p.Name) {
			t.Errorf("a kernel worker has the name %q", p.Name)
		}
	}
}

// A kernel worker whose work changes keeps its identity.
func TestKernelWorkersKeepTheirIdentity(t *testing.T) {
	const format = "7 (kworker/0:1%s) I 2 0 0 0 -1 69238880 0 0 0 0 %d 0 0 0 20 0 1 0 12345 0 0 1 1 1\n"
	root := fakeProc(t, map[string]string{"7/stat": fmt.Sprintf(format, "-events", 1), "7/schedstat": "1 1 1\n"})
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	before := listed(t, r, 7).Identity
	for i, work := range []string{"+events", "-mm_percpu_wq", "", "+flush-8:0"} {
		writeFiles(t, root, map[string]string{
			"7/stat": fmt.Sprintf(format, work, 2+i), "7/schedstat": fmt.Sprintf("%d0000000 1 1\n", 2+i),
		})
		used := time.Duration(20+10*i) * time.Millisecond
		if p := listed(t, r, 7); p.Identity != before || p.Name != "kworker/0:1" || p.CPU != used {
			t.Errorf("with the work %q: %+v", work, p)
		}
	}
}

// Names that are not valid UTF-8 stay readable, and the kernel's cut leaves no half of a character.
func TestInvalidNamesAreReadable(t *testing.T) {
	for comm, want := range map[string]string{
		"caf\xe9": `caf\xe9`, "\xff\xfe": `\xff\xfe`, "": "?",
		"ääääääää"[:maxComm]: "äääääää", "日本語日本"[:maxComm]: "日本語日本",
		"x日本語日本"[:maxComm]: "x日本語日", "12345678901234\xff": `12345678901234\xff`, "ää"[:3]: `ä\xc3`,
	} {
		if got := KernelName(comm); got != want {
			t.Errorf("KernelName(%q) = %q, want %q", comm, got, want)
		}
	}
	c := startChild(t, "sh", "-c", "echo up; read x", "caf\xe9 \xff")
	r, _ := realReader(t)
	if p := listed(t, r, c.pid); p.CommandLine != `sh -c echo up; read x caf\xe9 \xff` {
		t.Errorf("the command line is %q", p.CommandLine)
	}
}
