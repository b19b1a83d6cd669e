package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

func testSnapshotsOfARange(t *testing.T, s *testServer) {
	series := s.postSnapshots("range", snapshot.TimeOf(time.Now().Add(-time.Minute)), 30)
	list := func(query string, args ...any) []api.SnapshotView {
		t.Helper()
		got := s.get("/api/v1/machines/range/snapshots?"+query, args...)
		return decode[page[api.SnapshotView]](t, got).Results
	}

	latest := list("")
	if len(latest) != 1 || latest[0].Timestamp != series.Snapshots[29].Timestamp || latest[0].Processes != nil ||
		latest[0].ProcessTree != nil {
		t.Errorf("latest: %+v", latest)
	}
	for _, since := range []string{"15m", "1h", "3h", "1d"} {
		if got := list("since=%s&limit=1000", since); len(got) != 30 {
			t.Errorf("since %s: %d snapshots", since, len(got))
		}
	}
	from, to := series.Snapshots[5].Timestamp, series.Snapshots[8].Timestamp
	got := list("from=%s&to=%s&include_processes=1", from, to)
	if len(got) != 4 {
		t.Fatalf("from, to: %d snapshots", len(got))
	}
	for i, view := range got {
		if diff := snapshottest.Diff(view.Processes, series.Expected[5+i]); diff != "" {
			t.Errorf("snapshot %d: %s", i, diff)
		}
	}
	withOffset := url.QueryEscape(from.Std().In(time.FixedZone("", 3600)).Format(time.RFC3339Nano))
	if got := list("from=%s&to=%s", withOffset, to); len(got) != 4 {
		t.Errorf("with a time zone offset: %d snapshots", len(got))
	}
	var all []snapshot.Time
	for cursor, pages := "", 0; ; pages++ {
		got := s.get("/api/v1/machines/range/snapshots?since=1h&limit=7&cursor=%s", cursor)
		p := decode[page[api.SnapshotView]](t, got)
		for _, view := range p.Results {
			all = append(all, view.Timestamp)
		}
		if p.NextCursor == nil {
			if pages != 4 {
				t.Errorf("%d pages follow the first", pages)
			}
			break
		}
		cursor = *p.NextCursor
	}
	if len(all) != 30 || all[0] != series.Snapshots[0].Timestamp || all[29] != series.Snapshots[29].Timestamp {
		t.Errorf("paging gave %d snapshots", len(all))
	}
}

func testTreeAndExclude(t *testing.T, s *testServer) {
	body := `{"machine_id":"tree","snapshots":[{"timestamp":"%s","processes":[{"pid":1,"ppid":0,"name":"init"},
		{"pid":2,"ppid":1,"name":"sh","cpu_usage":12.5},{"pid":3,"ppid":2,"name":"sleep"}]}]}`
	decode[snapshot.Ack](t, s.do(http.MethodPost, "/api/v1/snapshots", fmt.Sprintf(body, recentTime())))
	type node struct {
		PID      int      `json:"pid"`
		CPUUsage *float64 `json:"cpu_usage"`
		Children []node   `json:"children"`
	}
	type view struct {
		ProcessTree []node `json:"process_tree"`
		Processes   []node `json:"processes"`
	}
	tree := decode[page[view]](t, s.get("/api/v1/machines/tree/snapshots?process_tree=1")).Results[0].ProcessTree
	if len(tree) != 1 || tree[0].Children[0].Children[0].PID != 3 {
		t.Fatalf("tree: %+v", tree)
	}
	if usage := tree[0].Children[0].CPUUsage; usage == nil || *usage != 12.5 || tree[0].CPUUsage != nil {
		t.Errorf("usage %v, want 12.5; unknown usage %v, want null", usage, tree[0].CPUUsage)
	}
	later := recentTime().Add(time.Minute)
	without := decode[view](t,
		s.get("/api/v1/machines/tree/at?time=%s&process_tree=1&exclude=sh&exclude=nothing", later))
	if len(without.ProcessTree) != 1 || without.ProcessTree[0].Children[0].PID != 3 {
		t.Errorf("without sh: %+v", without.ProcessTree)
	}
	flat := decode[view](t, s.get("/api/v1/machines/tree/at?time=%s&exclude=init", recentTime()))
	if len(flat.Processes) != 2 {
		t.Errorf("without init: %+v", flat.Processes)
	}
	none := s.get("/api/v1/machines/tree/at?time=%s&include_processes=0", recentTime())
	if strings.Contains(none.text, `"processes"`) {
		t.Error("the response has processes although include_processes is 0")
	}
}
