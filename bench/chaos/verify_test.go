//go:build linux

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Each kind of difference between what was sent and what is stored is found.
func TestDifferencesAreFound(t *testing.T) {
	t.Parallel()
	began := snapshot.TimeOf(time.Now().Add(-time.Hour))
	a := &agent{id: "m", seed: 3, processes: 10}
	for i := range 8 {
		a.sent = append(a.sent, instant{began.Add(time.Duration(i) * time.Second), i%4 == 0, acknowledged})
	}
	a.sent[6].stored = unknown
	a.sent[7] = instant{a.sent[7].at, true, refused}
	for name, test := range map[string]struct {
		change      func(list []storedSnapshot) []storedSnapshot
		lost, wrong int
	}{
		"none": {change: func(list []storedSnapshot) []storedSnapshot { return list }},
		"an unanswered post that was not stored": {
			change: func(list []storedSnapshot) []storedSnapshot { return list[:6] },
		},
		"lost": {
			lost:   2,
			change: func(list []storedSnapshot) []storedSnapshot { return append(list[1:4:4], list[5:]...) },
		},
		"all lost": {lost: 6, change: func([]storedSnapshot) []storedSnapshot { return nil }},
		"twice": {
			wrong:  1,
			change: func(list []storedSnapshot) []storedSnapshot { return append(list[:3:3], list[2:]...) },
		},
		"never sent": {
			wrong: 1,
			change: func(list []storedSnapshot) []storedSnapshot {
				return append(list, storedSnapshot{Timestamp: began.Add(time.Minute)})
			},
		},
		"refused": {
			wrong: 1,
			change: func(list []storedSnapshot) []storedSnapshot {
				last := list[0]
				last.Timestamp = a.sent[7].at
				return append(list, last)
			},
		},
		"a process is missing": {
			wrong: 1,
			change: func(list []storedSnapshot) []storedSnapshot {
				list[2].Processes = list[2].Processes[1:]
				return list
			},
		},
		"other metrics": {
			wrong: 1,
			change: func(list []storedSnapshot) []storedSnapshot {
				list[3].MachineSnapshot = list[2].MachineSnapshot
				return list
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var list []storedSnapshot
			stream := newStream(a.seed, a.processes)
			for _, i := range a.sent[:7] {
				one, processes := stream.next(i)
				list = append(list, storedSnapshot{i.at, one.Machine, processes})
			}
			list = test.change(list)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if err := json.MarshalWrite(w, map[string]any{"results": list, "next_cursor": nil}); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close()
			through, err := newLink(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer through.close()
			through.connect(strings.TrimPrefix(server.URL, "http://"))
			w := &world{links: []*link{through}, client: server.Client()}
			var c comparison
			if err := w.verifyAgent(t.Context(), a, &c); err != nil {
				t.Fatal(err)
			}
			if c.lost != test.lost || c.wrong != test.wrong {
				t.Errorf("lost %d, wrong %d, want %d and %d: %s", c.lost, c.wrong, test.lost, test.wrong, c.notes)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	before := resources{goroutines: 50, connections: 10, memory: 60}
	for name, test := range map[string]struct {
		result results
		text   string // of the error; empty for none
	}{
		"met":        {results{comparison: comparison{acknowledged: 1}}, ""},
		"lost":       {results{comparison: comparison{acknowledged: 1, lost: 1}}, "lost 1, doubled 0, wrong 0"},
		"doubled":    {results{comparison: comparison{acknowledged: 1, doubled: 1}}, "lost 0, doubled 1, wrong 0"},
		"wrong":      {results{comparison: comparison{acknowledged: 1, wrong: 1}}, "lost 0, doubled 0, wrong 1"},
		"no data":    {results{responses: []string{"201: 1"}}, "no snapshots were compared"},
		"a response": {results{faults: []string{"status 500"}}, "status 500"},
		"slow":       {results{rows: []row{{recovery: recovery{live: maxRecovery + 1}}}}, "recovery took more"},
		"in time":    {results{rows: []row{{recovery: recovery{live: maxRecovery}}}}, ""},
		"goroutines": {results{rows: []row{{after: resources{101, 10, 60}}}}, "in use after: 101, 10, 60 MiB"},
		"connections": {
			results{rows: []row{{after: resources{50, 16, 60}}}}, "in use after: 50, 16, 60 MiB",
		},
		"memory": {results{rows: []row{{after: resources{50, 10, 155}}}}, "in use after: 50, 10, 155 MiB"},
		"bounds": {results{rows: []row{{after: resources{100, 15, 154}}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.result.before = before
			err := test.result.check()
			if (err == nil) != (test.text == "") || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v, want %q", err, test.text)
			}
		})
	}
}
