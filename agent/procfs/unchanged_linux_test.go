package procfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// statOf returns /proc/[pid]/stat of a process that has used the given number of ticks.
func statOf(pid, ppid int, state string, threads, ticks int) string {
	const format = "%d (p%d) %s %d 42 42 0 -1 4194560 1 0 3 0 %d 0 0 0 20 0 %d 0 12345 1000000 250 1 1 1\n"
	return fmt.Sprintf(format, pid, pid, state, ppid, ticks, threads)
}

// A process is read again exactly when it may have changed.
func TestUnchangedProcessesAreSkipped(t *testing.T) {
	const pids, ran = 7, "9 9 9\n"
	stats := []struct {
		state   string
		threads int
	}{{"S", 1}, {"R", 1}, {"D", 1}, {"S", 2}, {"Z", 1}, {"I", 1}, {"T", 1}}
	vmstat := func(free, stolen int) map[string]string {
		text := fmt.Sprintf("nr_free_pages %d\npgsteal_kswapd %d\npswpout 0\n", free, stolen)
		return map[string]string{"vmstat": text}
	}
	for name, test := range map[string]struct {
		change  map[string]string
		refresh bool
		want    []int // the pids that are read again
	}{
		"nothing":             {nil, false, []int{2, 3, 4}},
		"one has run":         {map[string]string{"1/schedstat": ran}, false, []int{1, 2, 3, 4}},
		"a full snapshot":     {nil, true, []int{2, 3, 4, 7}}, // 7 is due in this cycle
		"memory is reclaimed": {vmstat(1, 11), false, []int{1, 2, 3, 4, 5, 6, 7}},
		"free pages change":   {vmstat(2, 10), false, []int{2, 3, 4}},
		"zeros in schedstat":  {map[string]string{"1/schedstat": "0 0 0\n"}, false, []int{1, 2, 3, 4}},
		"no schedstat":        {map[string]string{"1/schedstat": ""}, false, []int{1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			files := vmstat(1, 10)
			put := func(ticks int) {
				for i, s := range stats {
					files[fmt.Sprintf("%d/stat", i+1)] = statOf(i+1, 0, s.state, s.threads, ticks)
				}
			}
			for pid := range pids {
				files[fmt.Sprintf("%d/schedstat", pid+1)] = "5 5 5\n"
			}
			put(100)
			root := fakeProc(t, files)
			reader := newReader(root, 0, nil, testUsers(t))
			defer reader.Close()
			for range 2 {
				if _, err := reader.Read(t.Context(), reader.options, false); err != nil {
					t.Fatal(err)
				}
			}
			put(200)
			for name, text := range test.change {
				files[name] = text
			}
			writeFiles(t, root, files)
			list, err := reader.Read(t.Context(), reader.options, test.refresh)
			if err != nil || len(list) != pids {
				t.Fatal(len(list), err)
			}
			var again []int
			for pid := range pids {
				for _, p := range list {
					if p.PID == int32(pid+1) && p.CPU == 2*time.Second {
						again = append(again, pid+1)
					}
				}
			}
			if fmt.Sprint(again) != fmt.Sprint(test.want) {
				t.Errorf("%v were read again, want %v", again, test.want)
			}
		})
	}
}

// Some kernels print zeros in schedstat. Then every process is read in every sample.
func TestZerosInSchedstat(t *testing.T) {
	files := map[string]string{"vmstat": "pgsteal_kswapd 10\n", "1/schedstat": "0 0 0\n"}
	root := fakeProc(t, files)
	reader := newReader(root, 0, nil, testUsers(t))
	defer reader.Close()
	for i := range 5 {
		writeFiles(t, root, map[string]string{"1/stat": statOf(1, 0, "S", 1, 100*i)})
		if p := listed(t, reader, 1); p.CPU != time.Duration(i)*time.Second {
			t.Errorf("the CPU time is %s, want %d s", p.CPU, i)
		}
	}
}

// Every process is read within refreshCycle full snapshots, even if it does not run.
func TestEveryProcessIsReadWithinACycle(t *testing.T) {
	files := map[string]string{"vmstat": "pgsteal_kswapd 10\n"}
	put := func(ticks int) {
		for pid := 1; pid <= 20; pid++ {
			files[fmt.Sprintf("%d/stat", pid)] = statOf(pid, 0, "S", 1, ticks)
			files[fmt.Sprintf("%d/schedstat", pid)] = "1 1 1\n"
		}
	}
	put(100)
	root := fakeProc(t, files)
	reader := newReader(root, 0, nil, testUsers(t))
	defer reader.Close()
	if _, err := reader.Read(t.Context(), reader.options, false); err != nil {
		t.Fatal(err)
	}
	put(200)
	writeFiles(t, root, files)
	for turn := 1; turn <= refreshCycle; turn++ {
		list, err := reader.Read(t.Context(), reader.options, true)
		if err != nil {
			t.Fatal(err)
		}
		fresh := 0
		for _, p := range list {
			if p.CPU == 2*time.Second {
				fresh++
			}
		}
		if fresh < 2*turn || fresh > 3*turn || turn == refreshCycle && fresh != 20 {
			t.Errorf("%d full snapshots have read %d of 20 processes", turn, fresh)
		}
	}
}

// The children of a process that exits have another parent, though they do not run.
func TestOrphansAreReparented(t *testing.T) {
	root := fakeProc(t, map[string]string{
		"vmstat": "pgsteal_kswapd 10\n",
		"1/stat": statOf(1, 0, "S", 1, 1), "1/schedstat": "1 1 1\n",
		"2/stat": statOf(2, 1, "S", 1, 1), "2/schedstat": "1 1 1\n",
		"3/stat": statOf(3, 2, "S", 1, 1), "3/schedstat": "1 1 1\n",
	})
	reader := newReader(root, 0, nil, testUsers(t))
	defer reader.Close()
	for range 2 {
		if _, err := reader.Read(t.Context(), reader.options, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "2")); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, root, map[string]string{"3/stat": statOf(3, 1, "S", 1, 1)})
	list, err := reader.Read(t.Context(), reader.options, false)
	if err != nil || len(list) != 2 {
		t.Fatal(len(list), err)
	}
	for _, p := range list {
		if p.PID == 3 && p.PPID != 1 {
			t.Errorf("the parent is %d, want 1", p.PPID)
		}
	}
}

// The number of open descriptors is bounded, Close closes them, and the reader works without any.
func TestOpenDescriptorsAreBounded(t *testing.T) {
	files := map[string]string{}
	for pid := 1; pid <= 10; pid++ {
		files[fmt.Sprintf("%d/stat", pid)] = statOf(pid, 0, "R", 1, 1)
		files[fmt.Sprintf("%d/schedstat", pid)] = "1 1 1\n"
		files[fmt.Sprintf("%d/io", pid)] = "\nread_bytes: 1\n"
	}
	for _, budget := range []int{0, 7, 1000} {
		reader := newReader(fakeProc(t, files), 0, nil, testUsers(t))
		reader.budget = budget
		for range 4 {
			if list, err := reader.Read(t.Context(), reader.options, false); err != nil || len(list) != 10 {
				t.Fatal(len(list), err)
			}
		}
		open := 0
		for _, p := range reader.cache {
			for _, f := range []openFile{p.schedstat, p.stat, p.io} {
				if f.open {
					open++
				}
			}
		}
		if want := min(budget, 30); open != want || reader.budget != budget-open {
			t.Errorf("%d descriptors are open, want %d; the budget is %d", open, want, reader.budget)
		}
		reader.Close()
		if reader.budget != budget {
			t.Errorf("after Close the budget is %d, want %d", reader.budget, budget)
		}
	}
}

// A file with descriptor 0 is an open file. A process has that descriptor free if it was started without standard
// input, or has closed it.
func TestDescriptorZeroIsAnOpenFile(t *testing.T) {
	root := fakeProc(t, map[string]string{"vmstat": "pgsteal_kswapd 10\n"})
	reader := newReader(root, 0, nil, testUsers(t))
	budget := reader.budget
	stdin, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(syscall.Dup3(stdin, 0, 0), syscall.Close(stdin)); err != nil {
			t.Error(err)
		}
	}()
	if err := syscall.Close(0); err != nil {
		t.Fatal(err)
	}
	reader.memoryReclaimed()
	if reader.vmstat.fd != 0 {
		t.Fatalf("the descriptor is %+v, want 0", reader.vmstat)
	}
	reader.memoryReclaimed()
	if reader.budget != budget-1 {
		t.Errorf("one file is open, and %d descriptors are used", budget-reader.budget)
	}
	reader.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(0, &stat); !errors.Is(err, syscall.EBADF) || reader.budget != budget {
		t.Errorf("descriptor 0 is still open after Close (%v)", err)
	}
}
