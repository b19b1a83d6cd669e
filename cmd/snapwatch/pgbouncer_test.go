//go:build linux

package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Behind PgBouncer in session mode, everything works without a setting.
func TestPgBouncerInSessionMode(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	pooled := storetest.StartPgBouncer(t, url, "session", 60)
	p := startWithEnv(t, []string{"DATABASE_URL=" + pooled}, "serve", storetest.Dir(t), "127.0.0.1:0")
	waitReady(t, p.url) // notifications arrive
	series := snapshottest.NewMachine(1, 5).Series(storetest.Recent(), 2, time.Second, 1)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series.Snapshots})
	if err != nil {
		t.Fatal(err)
	}
	if err := post(t.Context(), p.url, body); err != nil {
		t.Fatal(err)
	}
	var stored int
	if err := storetest.Connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM snapshots`).Scan(&stored); err != nil ||
		stored != 2 {
		t.Errorf("%d snapshots are stored (%v)", stored, err)
	}
	response, err := client.Get(p.url + "/api/v1/machines")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("a read gets %s", response.Status)
	}
	p.stop(t)
}

// Transaction mode and statement mode are refused with advice, and nothing is created.
func TestPgBouncerInOtherModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			url := storetest.EmptyURL(t)
			cmd := exec.CommandContext(t.Context(), program("snapwatch"), "serve", "--listen", "127.0.0.1:0",
				"--data-dir", storetest.Dir(t))
			cmd.Env = append(os.Environ(), "DATABASE_URL="+storetest.StartPgBouncer(t, url, mode, 60))
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "pool_mode = session") {
				t.Errorf("%v\n%s", err, out)
			}
			var tables int
			if err := storetest.Connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM pg_tables
				WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables > 0 {
				t.Errorf("%d tables were created (%v)", tables, err)
			}
		})
	}
}
