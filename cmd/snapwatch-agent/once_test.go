package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestOncePrints(t *testing.T) {
	spent, memory, usage := snapshot.CPUTime(50_000), int64(3<<20), 5.0
	state := &snapshot.State{
		Timestamp:  1_780_000_000_000,
		Kind:       snapshot.KindFull,
		IntervalMS: 1000,
		Processes: []snapshot.Process{
			{ProcessKey: snapshot.ProcessKey{PID: 1}, Identity: snapshot.Identity{Name: "init", User: "root"}},
			{
				ProcessKey: snapshot.ProcessKey{PID: 7},
				Identity:   snapshot.Identity{PPID: 1, Name: "evil\x1b[31m\u009b2J", CommandLine: "a\tb\nc"},
				Values:     snapshot.Values{State: "R", CPUTime: &spent, MemoryUsage: &memory},
				CPUUsage:   &usage,
			},
		},
	}
	var out bytes.Buffer
	if err := (onceCommand{Limit: 1}).print(&out, state); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.Contains(text, "evil?[31m?2J") || !strings.Contains(text, "a?b?c") ||
		strings.ContainsAny(text, "\x1b\u009b") ||
		strings.Contains(text, "init") {
		t.Errorf("%q", text)
	}
	out.Reset()
	if err := writeSnapshot(&out, state); err != nil {
		t.Fatal(err)
	}
	var view struct {
		Timestamp string
		Processes []struct {
			PID      int      `json:"pid"`
			CPUUsage *float64 `json:"cpu_usage"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &view); err != nil || len(view.Processes) != 2 ||
		view.Processes[1].CPUUsage == nil ||
		!strings.HasSuffix(view.Timestamp, "Z") {
		t.Errorf("%v in %s", err, out.String())
	}
}
