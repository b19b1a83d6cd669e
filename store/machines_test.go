package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

func TestMachines(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, testMachines)
}

func testMachines(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	for i, host := range []string{"beta", "alpha", "alpha"} {
		machine := snapshot.Machine{
			MachineID: fmt.Sprintf("id-%d", i),
			Hostname:  host,
			OS:        "linux",
			CPUCount:  4,
			TotalRAM:  1 << 40,
		}
		if created, err := s.Register(t.Context(), &machine); err != nil || !created {
			t.Fatalf("register: %v, %v", created, err)
		}
	}
	if created, err := s.Register(t.Context(), &snapshot.Machine{MachineID: "id-0", Hostname: "gamma"}); err != nil ||
		created {
		t.Fatalf("register again: created %v, %v", created, err)
	}
	write(t, s, "id-1", snapshottest.NewMachine(1, 7).Series(recent(), 2, time.Second, 2).Snapshots...)

	var seen []string
	page := store.MachinePage{View: store.Everything(), Limit: 2}
	for {
		machines, more, err := s.Machines(t.Context(), page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range machines {
			seen = append(seen, m.Hostname+"/"+m.MachineID)
			page.AfterHostname, page.AfterID = m.Hostname, m.MachineID
		}
		if !more {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "alpha/id-1 alpha/id-2 gamma/id-0" {
		t.Errorf("pages: %s", got)
	}
	m, err := s.Machine(t.Context(), "id-1")
	if err != nil || m.ProcessCount != 7 || m.Latest == nil || m.LastSnapshot != recent().Add(time.Second) ||
		m.TotalRAM != 1<<40 {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := s.Machine(t.Context(), "id-2"); err != nil || m.Latest != nil || m.LastSnapshot != 0 ||
		!m.Config.Equal(snapshot.DefaultConfig()) {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := s.Machine(t.Context(), "nobody"); !errors.Is(err, snapshot.ErrNoMachine) {
		t.Error(err)
	}
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, testConfigure)
}

func testConfigure(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	if ack := write(t, s, "m"); !ack.Unregistered {
		t.Error("a machine of which only the id is known is not asked to register")
	}
	if _, err := s.Register(t.Context(), &snapshot.Machine{MachineID: "m", Hostname: "h"}); err != nil {
		t.Fatal(err)
	}
	interval, off := 1.5, false
	if err := s.Configure(t.Context(), "m", store.ConfigChange{PollingInterval: &interval}); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(t.Context(), "m", store.ConfigChange{Enabled: &off, IfVersion: 1}); !errors.Is(
		err, store.ErrVersionMismatch,
	) {
		t.Errorf("a stale version: %v", err)
	}
	if err := s.Configure(t.Context(), "m", store.ConfigChange{Enabled: &off, IfVersion: 2}); err != nil {
		t.Error(err)
	}
	if err := s.Configure(t.Context(), "nobody", store.ConfigChange{Enabled: &off, IfVersion: 2}); !errors.Is(
		err, snapshot.ErrNoMachine,
	) {
		t.Error(err)
	}
	exclude := []string{"kworker*"}
	if err := s.Configure(t.Context(), "m", store.ConfigChange{Exclude: &exclude}); err != nil {
		t.Error(err)
	}
	// An agent learns of it with its heartbeat.
	if ack := write(t, s, "m"); !ack.Config.Equal(snapshot.Config{PollingInterval: 1.5, Exclude: exclude}) ||
		ack.ConfigVersion != 4 {
		t.Errorf("%+v", ack)
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: url, Retention: 24 * time.Hour})
	listener := storetest.Connect(t, url)
	if _, err := listener.Exec(t.Context(), "LISTEN "+snapshot.NotificationChannel); err != nil {
		t.Fatal(err)
	}
	series := snapshottest.NewMachine(1, 3).Series(recent(), 3, time.Second, 1).Snapshots
	for i := range series {
		write(t, s, "m-1", series[i])
	}
	write(t, s, "m-1", series...) // duplicates are no news
	newest := snapshot.Time(0)
	for newest < series[2].Timestamp {
		note, err := listener.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		committed, keys, err := snapshot.DecodeNotification(note.Payload)
		if age := time.Since(committed.Std()); age < 0 || age > time.Minute {
			t.Errorf("the commit is said to be %s old", age)
		}
		if err != nil || keys["m-1"] <= newest {
			t.Fatalf("%q after %s (%v)", note.Payload, newest, err)
		}
		newest = keys["m-1"]
	}
}

func TestChainCacheIsBounded(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, func(c *store.Config) { c.ChainCache = 100 })
	series := snapshottest.NewMachine(1, 30).Series(recent(), 2, time.Second, 2).Snapshots
	for i := range 10 {
		write(t, s, fmt.Sprintf("m-%d", i), series...)
	}
	if held := s.CachedProcesses(); held > 100 || held == 0 {
		t.Fatalf("%d processes are held, at most 100 may be", held)
	}
}
