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
	"github.com/snapwatch/snapwatch/store/query"
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
	storetest.Write(
		t,
		s,
		"id-1",
		snapshottest.NewMachine(1, 7).Series(storetest.Recent(), 2, time.Second, 2).Snapshots...)

	var seen []string
	page := query.MachinePage{View: query.AllMachines(), Limit: 2}
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
	if err != nil || m.ProcessCount == nil || *m.ProcessCount != 7 || m.Latest == nil ||
		m.LastSnapshot != storetest.Recent().Add(time.Second) ||
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
	storetest.EachProfileShared(t, testConfigure)
}

func testConfigure(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	if ack := storetest.Write(t, s, "m"); !ack.Unregistered {
		t.Error("an unregistered machine is not asked to register")
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
	// An agent receives the config with the response to its heartbeat.
	if ack := storetest.Write(t, s, "m"); !ack.Config.Equal(snapshot.Config{PollingInterval: 1.5, Exclude: exclude}) ||
		ack.ConfigVersion != 4 {
		t.Errorf("%+v", ack)
	}
}
