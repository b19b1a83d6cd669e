package procfs

import (
	"strings"
	"testing"

	"github.com/shirou/gopsutil/v3/process"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 12345 1000000 250 18446744073709551615 1 1"
	stat := func(comm, state string) procStat {
		return procStat{
			pid: 42, ppid: 1, threads: 9, comm: comm, state: state,
			userTicks: 150, systemTicks: 50, startTicks: 12345, rssPages: 250, flags: 4194560,
			childTicks: 15, childFaults: 6,
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
		"being removed":          {"42 (cat) X" + rest, procStat{}, false},
		"on an old kernel":       {"42 (cat) x" + rest, procStat{}, false},
		"without threads":        {"42 (cat) Z" + strings.Replace(rest, " 0 9 0 ", " 0 0 0 ", 1), procStat{}, false},
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
		if err == nil && (s.startTicks < 0 || s.userTicks < 0 || len(s.state) > 1 || s.state == snapshot.StateEnded) {
			t.Errorf("parseStat(%q) = %+v", line, s)
		}
	})
}

// A state of gopsutil never means that a process has ended: the reader would list an ended process as running.
func TestStateLetter(t *testing.T) {
	for word, want := range map[string]string{
		process.Running: "R", process.Sleep: "S", process.Blocked: "D", process.Zombie: "Z", process.Idle: "I",
		process.UnknownState: "", process.Lock: "", "X": "", "x": "",
	} {
		if got := stateLetter(word); got != want {
			t.Errorf("stateLetter(%q) = %q, want %q", word, got, want)
		}
	}
}
