package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// TestMachineMetrics checks the metrics of machines, their limit, and that a stale machine has no system metrics.
func TestMachineMetrics(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	now := time.Now()
	s := startOn(t, db, api.Config{MachineMetrics: 3, Now: func() time.Time { return now }})
	add := func(machineID string) {
		t.Helper()
		machine := fmt.Sprintf(`{"machine_id":%q,"hostname":"host \"%s\"\n","kernel":"6.1"}`, machineID, machineID)
		decode[map[string]any](t, s.do(http.MethodPost, "/api/v1/machines", machine))
		batch := fmt.Sprintf(`{"machine_id":%q,"snapshots":[{"timestamp":%q,
			"machine_snapshot":{"cpu_usage":12.5,"total_ram":1000,"used_ram":400,"uptime_ms":1500,"shared_ram":7,
				"stale":["/nas"],"total_disk":2000,"used_disk":1010,"disks":[
					{"mount":"/","device":"/dev/sda1","type":"ext4","total":1000,"used":990,"available":5},
					{"mount":"/big","total":1000,"used":20},{"mount":"/fixed","total":5,"used":5,"read_only":true},
					{"mount":"/nas","total":9,"used":9,"available":0}]},
			"processes":[{"pid":1,"ppid":0,"name":"init"},{"pid":2,"ppid":1,"name":"sh"}]}]}`,
			machineID, snapshot.TimeOf(now))
		decode[snapshot.Ack](t, s.do(http.MethodPost, "/api/v1/snapshots", batch))
	}
	want := func(path string, present, absent []string) {
		t.Helper()
		got := s.do(http.MethodGet, path, "")
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, got.status, got.text)
		}
		for _, line := range present {
			if !strings.Contains(got.text, line+"\n") {
				t.Errorf("%s lacks %s\n%s", path, line, got.text)
			}
		}
		for _, text := range absent {
			if strings.Contains(got.text, text) {
				t.Errorf("%s has %s", path, text)
			}
		}
	}
	labels := func(machineID string) string {
		return fmt.Sprintf(`{hostname="host \"%s\"\n",machine_id="%s"}`, machineID, machineID)
	}
	disk := func(machineID, device, mount, fsType string) string {
		return fmt.Sprintf(`{device=%q,hostname="host \"%s\"\n",machine_id="%s",mount=%q,type=%q}`,
			device, machineID, machineID, mount, fsType)
	}
	for _, machineID := range []string{"a", "b", "c"} {
		add(machineID)
	}
	want(
		"/metrics/machines",
		[]string{
			"snapwatch_machine_up" + labels("a") + " 1",
			"snapwatch_machine_cpu_usage_ratio" + labels("a") + " 0.125",
			"snapwatch_machine_memory_used_bytes" + labels("b") + " 400",
			"snapwatch_machine_uptime_seconds" + labels("c") + " 1.5",
			"snapwatch_machine_processes" + labels("c") + " 2",
			"snapwatch_machine_metrics_omitted 0",
			"snapwatch_machine_memory_shared_bytes" + labels("a") + " 7",
			"snapwatch_machine_stale_sources" + labels("a") + " 1",
			"snapwatch_machine_fullest_disk_usage_ratio" + labels("a") + " 0.995",
			"snapwatch_machine_filesystem_size_bytes" + disk("a", "/dev/sda1", "/", "ext4") + " 1000",
			"snapwatch_machine_filesystem_used_bytes" + disk("a", "/dev/sda1", "/", "ext4") + " 990",
			"snapwatch_machine_filesystem_available_bytes" + disk("a", "/dev/sda1", "/", "ext4") + " 5",
			"snapwatch_machine_filesystem_available_bytes" + disk("b", "", "/big", "") + " 980",
			"snapwatch_machine_filesystem_read_only" + disk("b", "", "/big", "") + " 0",
			"snapwatch_machine_filesystem_read_only" + disk("b", "", "/fixed", "") + " 1",
			"snapwatch_machine_filesystems_omitted" + labels("c") + " 0",
		},
		[]string{"snapwatch_machine_load1{", `mount="/nas"`}, // unknown, and the values of an earlier time
	)
	want(
		"/metrics",
		[]string{
			`snapwatch_machines{state="up"} 3`,
			`snapwatch_machines{state="disabled"} 0`,
			`snapwatch_machines{state="stale"} 0`,
		},
		nil,
	)

	add("d")
	decode[map[string]any](t, s.do(http.MethodPatch, "/api/v1/machines/b", `{"enabled": false}`))
	want(
		"/metrics/machines",
		[]string{"snapwatch_machine_metrics_omitted 1", "snapwatch_machine_enabled" + labels("b") + " 0"},
		[]string{`machine_id="d"`},
	)
	want("/metrics", []string{`snapwatch_machines{state="up"} 3`, `snapwatch_machines{state="disabled"} 1`}, nil)

	now = now.Add(40 * time.Second) // longer than two intervals, shorter than two heartbeats
	want(
		"/metrics/machines",
		[]string{
			"snapwatch_machine_up" + labels("a") + " 0",
			"snapwatch_machine_up" + labels("b") + " 1",
			"snapwatch_machine_last_seen_timestamp_seconds" + labels("b") + " " + stamp(now.Add(-40*time.Second)),
		},
		[]string{"snapwatch_machine_cpu_usage_ratio" + labels("a"), disk("a", "/dev/sda1", "/", "ext4")},
	)
	want(
		"/metrics",
		[]string{
			`snapwatch_machines{state="up"} 0`,
			`snapwatch_machines{state="disabled"} 1`,
			`snapwatch_machines{state="stale"} 3`,
		},
		nil,
	)

	off := startOn(t, db, api.Config{})
	if got := off.do(http.MethodGet, "/metrics/machines", ""); got.status != http.StatusNotFound {
		t.Errorf("turned off: %d", got.status)
	}
}

// stamp formats a time as a metric value.
func stamp(at time.Time) string {
	return fmt.Sprintf("%g", float64(at.UnixMilli())/1000)
}
