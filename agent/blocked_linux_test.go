package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// acceptingServer accepts everything. It counts the snapshots in which a file system is stale, and has values.
func acceptingServer(t *testing.T, mount string) (address string, stale *atomic.Int64) {
	t.Helper()
	stale = new(atomic.Int64)
	codec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(codec.Close)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch body, _ := io.ReadAll(r.Body); {
		case r.Method == http.MethodGet: // doctor
		case r.URL.Path == "/api/v1/machines":
			_, _ = io.WriteString(w, `{"machine_id":"m","polling_interval":0.5,"enabled":true}`)
		default:
			if r.Header.Get("Content-Encoding") == "zstd" {
				body, _ = codec.DecodeAll(body, nil)
			}
			batch, err := snapshot.DecodeBatch(body)
			if err != nil {
				t.Error(err)
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			for i := range batch.Snapshots {
				m := &batch.Snapshots[i].Machine
				if slices.Contains(m.Stale, mount) && m.UsedRAM != nil {
					stale.Add(1)
				}
			}
			const config = `{"polling_interval":0.5,"enabled":true}`
			_, _ = io.WriteString(w, `{"stored":1,"duplicates":0,"config":`+config+`,"config_version":2}`)
		}
	}))
	t.Cleanup(web.Close)
	return web.URL, stale
}

// While a file system does not answer, the agent records the rest, doctor names it, and a signal stops the agent.
func TestAgentWithAFileSystemThatDoesNotAnswer(t *testing.T) {
	if !agenttest.InNamespaces(t, syscall.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	server := agenttest.MountFUSE(t, dir, "fuseblk")
	address, stale := acceptingServer(t, dir)
	cfg := Config{Server: address, StateDir: t.TempDir(), MachineID: "m", Token: "token"}
	a, err := New(t.Context(), cfg, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	defer server.Continue()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }()
	testwait.Until(t, "three snapshots to be sent", func() bool { return stale.Load() >= 3 })
	i := slices.IndexFunc(Examine(t.Context(), cfg), func(f Finding) bool {
		return f.What == "file systems" && !f.OK && strings.Contains(f.Detail, dir)
	})
	if i < 0 {
		t.Error("doctor does not name the file system")
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// blockedProcesses is a process list whose reads block.
type blockedProcesses struct{ reading, release chan struct{} }

func (b *blockedProcesses) Close() {}

func (b *blockedProcesses) Read(context.Context, procfs.Options, bool) ([]procfs.Process, error) {
	close(b.reading)
	<-b.release
	return nil, errors.New("released")
}

// The agent stops also while a sample blocks.
func TestAgentStopsWhileASampleBlocks(t *testing.T) {
	address, _ := acceptingServer(t, "")
	cfg := Config{Server: address, StateDir: t.TempDir(), MachineID: "m", Token: "token"}
	a, err := New(t.Context(), cfg, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	blocked := &blockedProcesses{make(chan struct{}), make(chan struct{})}
	defer close(blocked.release)
	a.sampler.Close()
	a.recorder.sampler = collect.New(collect.Sources{
		Processes: blocked, Forks: func() int64 { return procfs.Unknown },
	}, testlog.Logger())
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- a.run(ctx, time.Millisecond) }()
	<-blocked.reading
	cancel()
	if err := <-stopped; !errors.Is(err, ErrBlocked) {
		t.Errorf("%v, want that a call blocks", err)
	}
	next, err := New(t.Context(), cfg, testlog.Logger())
	if err != nil {
		t.Fatalf("the state directory is still locked: %v", err)
	}
	next.close()
}

// A sample that takes long is logged while it is being taken.
func TestLongSampleIsLogged(t *testing.T) {
	var log bytes.Buffer
	blocked := &blockedProcesses{make(chan struct{}), make(chan struct{})}
	r := fakeRecorder(1 << 20)
	r.logger = slog.New(slog.NewTextHandler(&log, nil))
	r.sampler = collect.New(collect.Sources{
		Processes: blocked, Forks: func() int64 { return procfs.Unknown },
	}, testlog.Logger())
	r.slowAfter = time.Millisecond
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = r.record(t.Context(), time.Second)
	}()
	<-blocked.reading
	testwait.Until(t, "the log entry", func() bool { return r.stats.slow.Load() == 1 })
	close(blocked.release)
	<-done
	if !strings.Contains(log.String(), "taking long") {
		t.Error(log.String())
	}
}
