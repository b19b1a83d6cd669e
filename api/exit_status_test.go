package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
)

// describeExit returns an exit status as a text for comparisons.
func describeExit(e snapshot.ExitStatus) string {
	switch {
	case e.ExitCode != nil && e.ExitSignal != nil:
		return "both"
	case e.ExitCode != nil:
		return fmt.Sprint("code ", *e.ExitCode)
	case e.ExitSignal != nil:
		return fmt.Sprint("signal ", *e.ExitSignal)
	}
	return ""
}

// testExitStatuses posts a machine whose processes end in different ways. It checks every answer and filter.
func testExitStatuses(t *testing.T, s *testServer) {
	at := func(seconds int) snapshot.Time { return recentTime().Add(time.Duration(seconds) * time.Second) }
	process := func(pid int32, name string) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, StartedAt: at(-60), PPID: new(int32(1)), Name: "exits-" + name, CommandLine: "exits " + name,
			State: "S", CPUTime: new(snapshot.CPUTime(1000)), MemoryUsage: new(int64(1 << 20)), Threads: new(int32(1)),
		}
	}
	ended := func(pid int32, waitStatus uint32) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, StartedAt: at(-60), State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(1000)),
			ExitStatus: snapshot.ExitStatusOf(waitStatus),
		}
	}
	short := process(7, "short")
	short.StartedAt, short.State, short.ExitStatus = at(15), snapshot.StateEnded, snapshot.ExitStatusOf(2<<8)
	const job = 2
	batch := &snapshot.Batch{MachineID: "exits", Snapshots: []snapshot.Snapshot{
		{
			Timestamp: at(0), Kind: snapshot.KindFull, IntervalMS: 10_000, Processes: []snapshot.ProcessSample{
				process(job, "sh"), process(3, "daemon"), process(4, "cron"), process(5, "web"), process(6, "old"),
			},
		},
		{
			Timestamp: at(10), Kind: snapshot.KindChanges, IntervalMS: 10_000,
			Processes: []snapshot.ProcessSample{process(job, "job")}, // calls exec
		},
		{
			Timestamp: at(20), Kind: snapshot.KindChanges, IntervalMS: 10_000,
			Processes: []snapshot.ProcessSample{ended(job, 3<<8), ended(3, 9), ended(4, 0), short},
			Exited:    []snapshot.ProcessKey{{PID: 6, StartedAt: at(-60)}},
		},
	}}
	body, err := snapshot.EncodeBatch(batch)
	if err != nil {
		t.Fatal(err)
	}
	if ack := decode[snapshot.Ack](t, s.do(http.MethodPost, "/api/v1/snapshots", string(body))); ack.Stored != 3 {
		t.Fatalf("%+v", ack)
	}
	all := map[string]string{
		"job": "code 3", "daemon": "signal 9", "cron": "code 0", "short": "code 2", "web": "", "old": "",
	}
	window := fmt.Sprintf("from=%s&to=%s", at(-1), at(21))
	name := func(name string) string { return strings.TrimPrefix(name, "exits-") }
	only := func(names ...string) map[string]string {
		found := make(map[string]string)
		for _, one := range names {
			found[one] = all[one]
		}
		return found
	}

	t.Run("find", func(t *testing.T) {
		s := s.in(t)
		for _, test := range []struct {
			filter string
			want   map[string]string
		}{
			{"text=exits-", all},
			{"text=exits-&exit=ok", only("cron")},
			{"text=exits-&exit=failed", only("job", "daemon", "short")},
			{"text=exits-&exit=signal", only("daemon")},
			{"text=exits-&exit=code:3", only("job")},
			{"text=exits-&exit=code:0", only("cron")},
			{"text=exits-&exit=signal:9", only("daemon")},
			{"text=exits-&exit=signal:sigkill", only("daemon")},
			{"text=exits-&exit=signal:TERM", only()},
			{"exit=code:2", only("short")},
			{"name=exits-sh&exit=failed", map[string]string{"sh": "code 3"}}, // before it called exec
			{"name=exits-sh&exit=ok", only()},
		} {
			found := decode[api.ProcessMatches](t, s.get("/api/v1/processes?%s&%s", test.filter, window))
			got := make(map[string]string)
			for _, match := range found.Results {
				for _, usage := range match.Usages {
					got[name(usage.Name)] = describeExit(usage.ExitStatus)
				}
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("%s: found %v, want %v", test.filter, got, test.want)
			}
		}
		for filter, want := range map[string]map[string]string{
			"exit=failed": {"sh": "code 3", "daemon": "signal 9"},
			"text=exits-": {"sh": "code 3", "daemon": "signal 9", "cron": "code 0", "web": "", "old": ""},
			"exit=code:2": {},
		} {
			found := decode[api.ProcessMatches](t, s.get("/api/v1/processes?%s&time=%s", filter, at(5)))
			got := make(map[string]string)
			for _, match := range found.Results {
				for _, one := range match.Processes {
					got[name(one.Name)] = describeExit(one.ExitStatus)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s at a time: found %v, want %v", filter, got, want)
			}
		}
	})
	t.Run("nearest", func(t *testing.T) {
		s := s.in(t)
		found := decode[api.NearestMatches](t,
			s.get("/api/v1/processes/nearest?text=exits-&exit=code:0&time=%s", at(40)))
		if one := found.Before; one == nil || name(one.Name) != "cron" || describeExit(one.ExitStatus) != "code 0" {
			t.Errorf("found %+v", one)
		}
	})
	t.Run("invalid filters", func(t *testing.T) {
		s := s.in(t)
		for _, filter := range []string{
			"maybe", "code", "code:", "code:256", "code:-1", "code:x", "signal:", "signal:0", "signal:128",
			"signal:SIG", "signal:NONE", "ok:1",
		} {
			answer := s.get("/api/v1/processes?exit=%s&%s", url.QueryEscape(filter), window)
			if answer.status != 422 || answer.problem(t).Field != "exit" {
				t.Errorf("%s: %d %s", filter, answer.status, answer.text)
			}
		}
		if answer := s.get("/api/v1/processes?%s", window); answer.status != 422 || answer.problem(t).Field != "name" {
			t.Errorf("without a condition: %d %s", answer.status, answer.text)
		}
	})
	t.Run("history", func(t *testing.T) {
		s := s.in(t)
		for pid, want := range map[int]string{job: "code 3", 3: "signal 9", 5: "", 6: "", 7: "code 2"} {
			history := decode[api.ProcessHistory](t,
				s.get("/api/v1/machines/exits/processes/history?pid=%d&%s", pid, window))
			if got := describeExit(history.ExitStatus); got != want {
				t.Errorf("process %d ended with %q, want %q", pid, got, want)
			}
		}
		if text := s.get("/api/v1/machines/exits/processes/history?pid=4&%s", window).text; !strings.Contains(
			text, `"exit_code":0`) {
			t.Errorf("exit code 0 is missing in %s", text)
		}
	})
	t.Run("diff", func(t *testing.T) {
		s := s.in(t)
		diff := decode[api.MachineDiff](t, s.get("/api/v1/machines/exits/diff?from=%s&to=%s", at(0), at(20)))
		got := make(map[string]string)
		for _, one := range slices.Concat(diff.Ended, diff.Passed) {
			got[name(one.Name)] = describeExit(one.ExitStatus)
		}
		want := map[string]string{"sh": "code 3", "daemon": "signal 9", "cron": "code 0", "old": "", "short": "code 2"}
		if !maps.Equal(got, want) {
			t.Errorf("ended: %v, want %v", got, want)
		}
		// It had not ended at the second time.
		diff = decode[api.MachineDiff](t, s.get("/api/v1/machines/exits/diff?from=%s&to=%s&sort=cpu", at(0), at(10)))
		for _, one := range slices.Concat(diff.Grew, diff.Active, diff.Changed) {
			if got := describeExit(one.ExitStatus); got != "" {
				t.Errorf("%s runs and has ended with %s", one.Name, got)
			}
		}
	})
	t.Run("top", func(t *testing.T) {
		s := s.in(t)
		top := decode[api.TopProcesses](t, s.get("/api/v1/machines/exits/processes?%s", window))
		got := make(map[string]string)
		for _, usage := range top.Results {
			got[name(usage.Name)] = describeExit(usage.ExitStatus)
		}
		if !maps.Equal(got, all) {
			t.Errorf("top: %v, want %v", got, all)
		}
		names := s.get("/api/v1/machines/exits/processes?by=name&%s", window).text
		if strings.Contains(names, "exit_") {
			t.Errorf("sums have an exit status: %s", names)
		}
	})
	t.Run("rejected samples", func(t *testing.T) {
		s := s.in(t)
		for field, sample := range map[string]string{
			"exit_code":   `"state":"S","exit_code":0`,
			"exit_signal": `"state":"X","exit_code":0,"exit_signal":9`,
		} {
			answer := s.do(http.MethodPost, "/api/v1/snapshots", fmt.Sprintf(
				`{"machine_id":"exits","snapshots":[{"timestamp":"%s","processes":[{%s}]}]}`,
				at(30), `"pid":1,"ppid":0,"name":"a",`+sample))
			if want := "snapshots[0].processes[0]." + field; answer.status != 422 || answer.problem(t).Field != want {
				t.Errorf("%s: %d %s", sample, answer.status, answer.text)
			}
		}
	})
}
