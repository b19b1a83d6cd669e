package procfs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// fakeTasks is a source with a list that tests change.
type fakeTasks struct {
	list []Task
	err  error
}

func (f *fakeTasks) Tasks() ([]Task, error) { return f.list, f.err }

// readerOfTasks returns a reader of a fake /proc that takes the values of processes from a source.
func readerOfTasks(t *testing.T, source *fakeTasks, files map[string]string) (*Reader, string) {
	t.Helper()
	root := fakeProc(t, files)
	r := newReader(root, 0, nil, testUsers(t))
	t.Cleanup(r.Close)
	r.UseTasks(source)
	return r, root
}

// one reads the list, and returns the process with a pid.
func one(t *testing.T, r *Reader, pid int32, refresh bool) *Process {
	t.Helper()
	list, err := r.Read(t.Context(), r.options, refresh)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].PID == pid {
			return &list[i]
		}
	}
	return nil
}

// The command line is read again after exec, a new user or a new name, and the control group when its key is new.
func TestIdentitiesOfTasks(t *testing.T) {
	source := &fakeTasks{list: []Task{{PID: 5, StartTicks: 7, Comm: "x", ExecID: 1, CgroupsKey: 1}}}
	r, root := readerOfTasks(t, source, map[string]string{"5/cmdline": "a\x00", "5/cgroup": "0::/a\n"})
	task := &source.list[0]
	want := func(name, line, group string) {
		t.Helper()
		if p := one(t, r, 5, false); p == nil || p.Name != name || p.CommandLine != line || p.Cgroup != group {
			t.Errorf("%+v, want %s, %q, %s", p, name, line, group)
		}
	}
	want("x", "a", "/a")
	writeFiles(t, root, map[string]string{"5/cmdline": "b\x00", "5/cgroup": "0::/b\n"})
	want("x", "a", "/a")
	task.ExecID = 2
	want("x", "b", "/a")
	writeFiles(t, root, map[string]string{"5/cmdline": "c\x00"})
	task.UID = 1
	want("x", "c", "/a")
	writeFiles(t, root, map[string]string{"5/cmdline": "d\x00"})
	task.Comm = "y"
	want("y", "d", "/a")
	task.CgroupsKey = 2
	want("y", "d", "/b")
	// Another process with the same pid has nothing of the first one.
	writeFiles(t, root, map[string]string{"5/cmdline": "e\x00"})
	task.StartTicks = 9
	want("y", "e", "/b")
}

// A process that overwrites its arguments is listed with the title that /proc has, within a minute if it runs.
func TestTitlesOfTasks(t *testing.T) {
	source := &fakeTasks{list: []Task{{PID: 5, StartTicks: 7, Comm: "x", ExecID: 1}}}
	r, root := readerOfTasks(t, source, map[string]string{"5/cmdline": "x\x00--password\x00secret\x00"})
	now := time.Now()
	r.now = func() time.Time { return now }
	one(t, r, 5, true)
	writeFiles(t, root, map[string]string{"5/cmdline": "x: worker\x00"})
	found := false
	for range 12 {
		now = now.Add(5 * time.Second)
		source.list[0].CPU += time.Millisecond
		found = found || one(t, r, 5, false).CommandLine == "x: worker"
	}
	if !found {
		t.Errorf("after a minute, the title is %q", one(t, r, 5, false).CommandLine)
	}
}

// Long names of kernel threads are whole, as in /proc, without what a worker works on.
func TestNamesOfKernelThreads(t *testing.T) {
	const thread, worker = flagKernelThread, flagKernelThread | flagKernelWorker
	source := &fakeTasks{list: []Task{
		{PID: 2, Comm: "kworker/u8:2", Flags: worker},
		{PID: 3, Comm: "kworker/R-write", Flags: worker},
		{PID: 4, Comm: "kworker/u512:12", Flags: worker},
		{PID: 5, Comm: "scsi_host_handl", Flags: thread},
		{PID: 6, Comm: "the_name_of_pid", Flags: thread},
		{PID: 7, Comm: "fifteen_bytes_x"},
	}}
	r, _ := readerOfTasks(t, source, map[string]string{
		"2/comm": "kworker/u8:2-events\n", "3/comm": "kworker/R-writeback\n", "4/comm": "kworker/u512:123+flush\n",
		"5/comm": "scsi_host_handler_0\n", "6/comm": "another\n", "7/comm": "fifteen_bytes_xyz\n",
	})
	for pid, want := range map[int32]string{
		2: "kworker/u8:2", 3: "kworker/R-writeback", 4: "kworker/u512:123", 5: "scsi_host_handler_0",
		6: "the_name_of_pid", 7: "fifteen_bytes_x",
	} {
		if got := one(t, r, pid, false); got.Name != want {
			t.Errorf("process %d is %q, want %q", pid, got.Name, want)
		}
	}
}

// A process that the source lacks is read from /proc, and counted at each full snapshot, unless it is new.
func TestProcessesThatTasksLack(t *testing.T) {
	source := &fakeTasks{list: []Task{{PID: 5, StartTicks: 7, Comm: "x"}}}
	later := strings.ReplaceAll(statOf(6, 0, "S", 1, 1), " 12345 ", fmt.Sprintf(" %d ", ticksOf(SinceBoot()+time.Hour)))
	r, _ := readerOfTasks(t, source, map[string]string{
		"5/cmdline": "", "1/stat": statOf(1, 0, "S", 3, 9), "6/stat": later,
	})
	if p := one(t, r, 1, false); p != nil {
		t.Errorf("before a full snapshot: %+v", p)
	}
	if p := one(t, r, 1, true); p == nil || p.Threads != 3 {
		t.Errorf("in a full snapshot: %+v", p)
	}
	if p := one(t, r, 1, false); p == nil || p.Threads != 3 {
		t.Errorf("after a full snapshot: %+v", p)
	}
	if p := one(t, r, 6, true); p != nil {
		t.Errorf("a process that is younger than the list: %+v", p)
	}
	if n, err := r.TaskStatus(); n != 2 || err != nil {
		t.Errorf("%d differences, want one in each of two full snapshots (%v)", n, err)
	}
}

// If the source fails, the same call reads /proc, and the totals go on.
func TestTasksThatFail(t *testing.T) {
	source := &fakeTasks{list: []Task{{PID: 5, StartTicks: 12345, Comm: "p5", CPU: time.Second, ReadBytes: 4096}}}
	r, _ := readerOfTasks(t, source, map[string]string{
		"5/stat": statOf(5, 1, "S", 1, 7), "5/cmdline": "a\x00", "5/io": "rchar: 1\nread_bytes: 8192\nwrite_bytes: 0\n",
	})
	if p := one(t, r, 5, false); p == nil || p.CPU != time.Second || p.ReadBytes != 4096 {
		t.Fatalf("with the source: %+v", p)
	}
	why := errors.New("the program is gone")
	source.err = why
	if p := one(t, r, 5, false); p == nil || p.StartTicks != 12345 || p.Name != "p5" || p.CommandLine != "a" ||
		p.ReadBytes != 8192 {
		t.Errorf("without the source: %+v", p)
	}
	source.err = nil
	if p := one(t, r, 5, false); p == nil {
		t.Error("the process is not listed any more")
	}
	if _, err := r.TaskStatus(); !errors.Is(err, why) {
		t.Errorf("the reason is %v", err)
	}
}
