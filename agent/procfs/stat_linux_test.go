package procfs

import "testing"

func TestParseStat(t *testing.T) {
	const rest = " 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 12345 1000000 250 18446744073709551615 1 1"
	stat := func(comm, state string) procStat {
		return procStat{
			pid: 42, ppid: 1, threads: 9, comm: comm, state: state,
			userTicks: 150, systemTicks: 50, startTicks: 12345, rssPages: 250,
		}
	}
	for name, test := range map[string]struct {
		line string
		want procStat
		ok   bool
	}{
		"plain":                  {"42 (cat) S" + rest, stat("cat", "S"), true},
		"blanks and parentheses": {"42 (a (b) c) R" + rest, stat("a (b) c", "R"), true},
		"name like a state":      {"42 (x) S 7) Z" + rest, stat("x) S 7", "Z"), true},
		"empty name":             {"42 () S" + rest, stat("", "S"), true},
		"incomplete line":        {"42 (cat) S 1 42", procStat{}, false},
		"no name":                {"42 cat S" + rest, procStat{}, false},
		"not a number":           {"42 (cat) S x" + rest, procStat{}, false},
		"empty":                  {"", procStat{}, false},
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
			t.Errorf("parseStat(%q) = %+v", line, s)
		}
	})
}
