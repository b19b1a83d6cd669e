package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// statOf is /proc/[pid]/stat of a process that has used so many ticks.
func statOf(pid, ppid int, state string, threads, ticks int) string {
	return fmt.Sprintf(
		"%d (p%d) %s %d 42 42 0 -1 4194560 1 2 3 4 %d 0 0 0 20 0 %d 0 12345 1000000 250 1 1 1\n", pid, pid, state,
		ppid, ticks, threads,
	)
}

// A process is read again exactly when it can have changed.
func TestWhatHasNotRunIsNotReadAgain(t *testing.T) {
	const pids, ran = 7, "9 9 9\n"
	stats := []struct {
		state   string
		threads int
	}{{"S", 1}, {"R", 1}, {"D", 1}, {"S", 2}, {"Z", 1}, {"I", 1}, {"T", 1}}
	for name, test := range map[string]struct {
		change  map[string]string
		refresh bool
		again   []int // of the pids, which are read again
	}{
		"nothing":             {nil, false, []int{2, 3, 4}},
		"one runs":            {map[string]string{"1/schedstat": ran}, false, []int{1, 2, 3, 4}},
		"a full snapshot":     {nil, true, []int{2, 3, 4, 7}}, // 7 takes its turn
		"memory is reclaimed": {map[string]string{"vmstat": "nr_free_pages 1\npgsteal_kswapd 11\npswpout 0\n"}, false, []int{1, 2, 3, 4, 5, 6, 7}},
		"free pages change":   {map[string]string{"vmstat": "nr_free_pages 2\npgsteal_kswapd 10\npswpout 0\n"}, false, []int{2, 3, 4}},
		"no schedstat":        {map[string]string{"1/schedstat": ""}, false, []int{1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"vmstat": "nr_free_pages 1\npgsteal_kswapd 10\npswpout 0\n"}
			put := func(ticks int) {
				for i, s := range stats {
					files[fmt.Sprintf("%d/stat", i+1)] = statOf(i+1, 0, s.state, s.threads, ticks)
				}
			}
			for pid := range pids {
				files[fmt.Sprintf("%d/schedstat", pid+1)] = "5 5 5\n"
			}
			put(100)
			root := tree(t, files)
			reader := newProcReader(root, 0, nil)
			defer reader.close()
			for range 2 {
				if _, err := reader.read(t.Context(), reader.want, false); err != nil {
					t.Fatal(err)
				}
			}
			put(200)
			for name, text := range test.change {
				files[name] = text
			}
			plant(t, root, files)
			list, err := reader.read(t.Context(), reader.want, test.refresh)
			if err != nil || len(list) != pids {
				t.Fatal(len(list), err)
			}
			var again []int
			for pid := range pids {
				for _, p := range list {
					if p.PID == int32(pid+1) && p.cpuMS == 2000 {
						again = append(again, pid+1)
					}
				}
			}
			if fmt.Sprint(again) != fmt.Sprint(test.again) {
				t.Errorf("%v were read again, not %v", again, test.again)
			}
		})
	}
}

// Every process is looked at within some full snapshots, whether or not it runs.
func TestEveryProcessTakesItsTurn(t *testing.T) {
	files := map[string]string{"vmstat": "pgsteal_kswapd 10\n"}
	put := func(ticks int) {
		for pid := 1; pid <= 20; pid++ {
			files[fmt.Sprintf("%d/stat", pid)], files[fmt.Sprintf("%d/schedstat", pid)] = statOf(
				pid, 0, "S", 1, ticks,
			), "1 1 1\n"
		}
	}
	put(100)
	root := tree(t, files)
	reader := newProcReader(root, 0, nil)
	defer reader.close()
	if _, err := reader.read(t.Context(), reader.want, false); err != nil {
		t.Fatal(err)
	}
	put(200)
	plant(t, root, files)
	for turn := 1; turn <= turns; turn++ {
		list, err := reader.read(t.Context(), reader.want, true)
		if err != nil {
			t.Fatal(err)
		}
		fresh := 0
		for _, p := range list {
			if p.cpuMS == 2000 {
				fresh++
			}
		}
		if fresh < 2*turn || fresh > 3*turn || turn == turns && fresh != 20 {
			t.Errorf("after %d full snapshots %d of 20 have been looked at", turn, fresh)
		}
	}
}

// The children of a process that ends have another parent, though they do not run.
func TestOrphansAreAdopted(t *testing.T) {
	root := tree(
		t,
		map[string]string{"vmstat": "pgsteal_kswapd 10\n", "1/stat": statOf(1, 0, "S", 1, 1), "1/schedstat": "1 1 1\n",
			"2/stat": statOf(
				2, 1, "S", 1, 1,
			), "2/schedstat": "1 1 1\n", "3/stat": statOf(3, 2, "S", 1, 1), "3/schedstat": "1 1 1\n"},
	)
	reader := newProcReader(root, 0, nil)
	defer reader.close()
	for range 2 {
		if _, err := reader.read(t.Context(), reader.want, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "2")); err != nil {
		t.Fatal(err)
	}
	plant(t, root, map[string]string{"3/stat": statOf(3, 1, "S", 1, 1)})
	list, err := reader.read(t.Context(), reader.want, false)
	if err != nil || len(list) != 2 {
		t.Fatal(len(list), err)
	}
	for _, p := range list {
		if p.PID == 3 && p.PPID != 1 {
			t.Errorf("its parent is %d still", p.PPID)
		}
	}
}

// The descriptors that are kept have a bound, are given back, and none is needed.
func TestKeptDescriptorsAreBounded(t *testing.T) {
	files := map[string]string{}
	for pid := 1; pid <= 10; pid++ {
		files[fmt.Sprintf("%d/stat", pid)], files[fmt.Sprintf("%d/schedstat", pid)], files[fmt.Sprintf("%d/io", pid)] = statOf(
			pid, 0, "R", 1, 1,
		), "1 1 1\n", "\nread_bytes: 1\n"
	}
	for _, budget := range []int{0, 7, 1000} {
		reader := newProcReader(tree(t, files), 0, nil)
		reader.budget = budget
		for range 4 {
			if list, err := reader.read(t.Context(), reader.want, false); err != nil || len(list) != 10 {
				t.Fatal(len(list), err)
			}
		}
		kept := 0
		for _, p := range reader.known {
			for _, f := range []keptFile{p.schedstat, p.stat, p.io} {
				if f.fd != 0 {
					kept++
				}
			}
		}
		if want := min(budget, 30); kept != want || reader.budget != budget-kept {
			t.Errorf("%d of %d descriptors are kept, %d are left", kept, budget, reader.budget)
		}
		reader.close()
		if reader.budget != budget {
			t.Errorf("%d of %d are given back", reader.budget, budget)
		}
	}
}
