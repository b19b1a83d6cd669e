package procfs

import (
	"fmt"
	"testing"
)

// What a process has written is the content of io until it waits for a child, and then the sum of its threads.
func TestOwnIO(t *testing.T) {
	stat := func(threads, childFaults int) string {
		const format = "9 (p) R 1 9 9 0 -1 4194560 1 %d 3 0 5 0 0 0 20 0 %d 0 12345 1000000 250 1 1 1\n"
		return fmt.Sprintf(format, childFaults, threads)
	}
	written := func(n int) string { return fmt.Sprintf("read_bytes: 0\nwrite_bytes: %d\n", n) }
	type step struct {
		threads, childFaults, group int
		of                          map[int]int // by thread
		want                        int64
	}
	for name, steps := range map[string][]step{
		"no child": {{1, 0, 100, nil, 100}, {1, 0, 250, nil, 250}},
		"one thread waits for children": {
			{1, 0, 100, nil, 100}, {1, 2, 5100, map[int]int{9: 100}, 100}, {1, 2, 5100, map[int]int{9: 130}, 130},
			{1, 5, 9900, map[int]int{9: 130}, 130}},
		"threads wait for children": {
			{2, 0, 100, nil, 100}, {2, 2, 5150, map[int]int{9: 70, 10: 80}, 150},
			{2, 2, 5150, map[int]int{9: 70, 10: 80}, 150}, {2, 2, 5170, map[int]int{9: 90, 11: 5}, 175},
			{1, 2, 5180, map[int]int{9: 91}, 176}},
		"first seen after a child": {{1, 3, 5000, map[int]int{9: 40}, 40}, {1, 3, 5010, map[int]int{9: 50}, 50}},
		"a thread that ended has written": {
			{2, 0, 100, nil, 100}, {1, 1, 400, map[int]int{9: 60}, 100}, {1, 1, 410, map[int]int{9: 70}, 110}},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"9/schedstat": "1 1 1\n"}
			root := fakeProc(t, files)
			reader := newReader(root, 0, nil, testUsers(t))
			defer reader.Close()
			for i, s := range steps {
				files["9/stat"], files["9/io"] = stat(s.threads, s.childFaults), "rchar: 1\n"+written(s.group)
				for thread := range 20 {
					files[fmt.Sprintf("9/task/%d/io", thread)] = "rchar: 1\n" + written(s.of[thread])
				}
				writeFiles(t, root, files)
				list, err := reader.Read(t.Context(), reader.options, true)
				if err != nil || len(list) != 1 || list[0].WriteBytes != s.want {
					t.Fatalf("step %d: %+v, %v, want %d bytes", i, list, err, s.want)
				}
			}
		})
	}
}
