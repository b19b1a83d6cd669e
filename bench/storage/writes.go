package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/ingest"
	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	writeMachines = 20
	writers       = 4 // number of connections that send posts
	perBatch      = 10
)

// writes measures writes: first plain COPY, then the store, then HTTP, then sparse snapshots, and
// VictoriaMetrics for comparison.
func (b *bench) writes(ctx context.Context) error {
	// Use the best of three, because the first one includes the creation of files.
	copied := 0.0
	for range 3 {
		rate, err := b.bareCopy(ctx)
		if err != nil {
			return fmt.Errorf("bare COPY: %w", err)
		}
		copied = max(copied, rate)
	}
	b.say("bare COPY, rows/s", "%.0f", copied)

	full, rows := b.batches(1, writeMachines, b.writeRows, func(int) snapshot.Time { return b.writeBegin() })
	took, err := b.through(full, 2)
	if err != nil {
		return err
	}
	b.say(
		"through the store, full, samples/s (ratio to COPY)", "%.0f (%.2f)", float64(rows)/took.Seconds(),
		float64(rows)/took.Seconds()/copied,
	)
	if err := b.empty(ctx); err != nil {
		return err
	}

	took, cpu, open, err := b.bothWays(ctx, full)
	if err != nil {
		return err
	}
	b.say(
		"over HTTP, gzip JSON, full, samples/s (ratio to COPY)", "%.0f (%.2f); all of it used %.1f of %.1f s CPU",
		float64(rows)/took.Seconds(), float64(rows)/took.Seconds()/copied, cpu.Seconds(), 2*took.Seconds(),
	)
	b.say("  with a token and all limits against neither", "%.3f", open.Seconds()/took.Seconds())

	sparse, logical := b.batches(
		fullEvery, writeMachines, b.writeRows*4, func(int) snapshot.Time { return b.writeBegin() },
	)
	took, cpu, open, err = b.bothWays(ctx, sparse)
	if err != nil {
		return err
	}
	ours := float64(logical) / took.Seconds()
	b.ingestCPU = cpu.Seconds() / float64(logical)
	b.say("over HTTP, gzip JSON, sparse, logical samples/s", "%.0f", ours)
	b.say("  with a token and all limits against neither", "%.3f", open.Seconds()/took.Seconds())
	if program, err := exec.LookPath(b.victoria); err == nil {
		theirs, err := b.intoVictoria(ctx, program)
		if err != nil {
			return fmt.Errorf("VictoriaMetrics: %w", err)
		}
		b.say(
			"VictoriaMetrics, the same as 3 series, gzip, samples/s (ours/theirs)", "%.0f (%.1f)", theirs,
			ours/theirs,
		)
	}
	fmt.Println()
	return nil
}

// writeBegin returns an hour two days ago. It is recent enough to be accepted.
func (b *bench) writeBegin() snapshot.Time {
	return snapshot.TimeOf(b.now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -2))
}

// batches returns posts of ten snapshots each, with about the given number of samples in total. The machines
// alternate.
func (b *bench) batches(fullEvery, machines, samples int, begin func(int) snapshot.Time) ([]*snapshot.Batch, int) {
	fleet := make([]*machine, machines)
	next := make([]snapshot.Time, machines)
	for i := range fleet {
		next[i] = begin(i)
		fleet[i] = newMachine(uint64(i+1), fmt.Sprintf("write-%02d", i), b.processes, next[i])
	}
	var list []*snapshot.Batch
	total := 0
	for total < samples {
		for i, m := range fleet {
			batch := &snapshot.Batch{MachineID: m.id}
			for range perBatch {
				s, n := m.snapshot(next[i], b.interval, fullEvery)
				s.Processes = append([]snapshot.ProcessSample(nil), s.Processes...)
				next[i] = next[i].Add(b.interval)
				batch.Snapshots = append(batch.Snapshots, s)
				total += n
			}
			list = append(list, batch)
		}
	}
	return list, total
}

// bareCopy copies encoded rows into the indexed table.
func (b *bench) bareCopy(ctx context.Context) (float64, error) {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	if err := b.store.MaintainOnce(ctx); err != nil {
		return 0, err
	}
	// Create the partition or chunk.
	first, _ := b.batches(1, 1, 1, func(int) snapshot.Time { return b.writeBegin() })
	if out := b.store.Write(ctx, first[:1])[0]; out.Err != nil {
		return 0, out.Err
	}
	const sql = `COPY process_samples (ts, process, cpu_ms, memory_usage, read_bytes, write_bytes, machine, threads,
		state, in_full, hour) FROM STDIN (FORMAT binary)`
	const group = 18_000 // rows per transaction, like the store's groups
	begin := int64(b.writeBegin()) - 946_684_800_000
	row := 0
	var took time.Duration
	for row < b.writeRows {
		data := append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...)
		for range group {
			process := row % b.processes
			machine := row / b.processes / 10 % writeMachines
			step := row/b.processes/10/writeMachines*10 + row/b.processes%10
			data = appendRow(
				data, begin+int64(step)*b.interval.Milliseconds(), int64(machine*1000+process), int32(100+machine),
			)
			row++
		}
		data = append(data, 0xff, 0xff)
		started := time.Now()
		if _, err := conn.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(data), sql); err != nil {
			return 0, err
		}
		took += time.Since(started)
	}
	return float64(row) / took.Seconds(), b.empty(ctx)
}

func appendRow(b []byte, ms, process int64, machine int32) []byte {
	eight := func(v int64) { b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v)) }
	four := func(v int32) { b = binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(v)) }
	b = append(b, 0, 11)
	eight(ms * 1000)
	eight(process)
	eight(10)
	eight(123 << 20)
	eight(0)
	eight(4096)
	four(machine)
	four(4)
	b = append(b, 0, 0, 0, 1, 'S', 0, 0, 0, 1, 1)
	four(int32((ms + 946_684_800_000) / 3_600_000))
	return b
}

// empty deletes all rows and machines.
func (b *bench) empty(ctx context.Context) error {
	for _, table := range []string{
		"process_samples", "snapshots", "disk_samples", "net_samples", "processes", "machines",
	} {
		if _, err := b.pool.Exec(ctx, `TRUNCATE `+table); err != nil {
			return err
		}
	}
	if b.store.Profile().Profile == "postgres" {
		if _, err := b.pool.Exec(ctx, `TRUNCATE rollup_marks`); err != nil {
			return err
		}
	}
	// Write out the data of the previous measurement, if the role is a superuser.
	_, _ = b.pool.Exec(ctx, `CHECKPOINT`)
	return nil
}

// through writes the batches from several goroutines, as ingest does.
func (b *bench) through(batches []*snapshot.Batch, lanes int) (time.Duration, error) {
	queues := make([][]*snapshot.Batch, lanes)
	for i, batch := range batches {
		lane := i % writeMachines % lanes
		queues[lane] = append(queues[lane], batch)
	}
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	started := time.Now()
	for _, queue := range queues {
		wg.Go(func() {
			for len(queue) > 0 {
				n := min(6, len(queue))
				for _, outcome := range b.store.Write(context.Background(), queue[:n]) {
					if outcome.Err != nil {
						failed.Store(&outcome.Err)
						return
					}
				}
				queue = queue[n:]
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(started), nil
}

// bothWays posts the batches alternately to the API with a token and to ingest without one, and prints the
// median of each. So other load affects both.
func (b *bench) bothWays(ctx context.Context, batches []*snapshot.Batch) (took, cpu, open time.Duration, err error) {
	const rounds = 5
	var ways [2][rounds]time.Duration
	var cpus [rounds]time.Duration
	for i := range 2 * rounds {
		took, used, err := b.overHTTP(ctx, batches, i%2 == 1)
		if err != nil {
			return 0, 0, 0, err
		}
		ways[i%2][i/2] = took
		if i%2 == 0 {
			cpus[i/2] = used
		}
		if err := b.empty(ctx); err != nil {
			return 0, 0, 0, err
		}
	}
	for i := range ways {
		slices.Sort(ways[i][:])
	}
	slices.Sort(cpus[:])
	return ways[0][rounds/2], cpus[rounds/2], ways[1][rounds/2], nil
}

// access returns the access control of the API, and a client with the token of an administrator. Tokens of
// agents are checked in the same way.
func (b *bench) access(ctx context.Context) (*api.Access, *http.Client, error) {
	service, err := auth.New(auth.Config{}, b.store.Accounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	service.InvalidateCache(true) // without this, the cache is off until the server listens for changes
	secret, _, err := service.CreateToken(ctx, auth.TokenParams{Name: "bench", Role: auth.RoleAdmin})
	if err != nil {
		return nil, nil, err
	}
	access := api.NewAccess(auth.NewPolicy(auth.Rules()), service, b.store.Queries)
	transport := bearer.Transport{Token: secret, Next: &http.Transport{MaxIdleConnsPerHost: writeMachines}}
	return access, &http.Client{Transport: transport}, nil
}

// overHTTP posts the batches, which are compressed before, to a listener: to the API with a token or, if open
// is set, only to ingest. cpu is the CPU time of the whole machine.
func (b *bench) overHTTP(
	ctx context.Context, batches []*snapshot.Batch, open bool,
) (took, cpu time.Duration, err error) {
	bodies := make([][]byte, len(batches))
	for i, batch := range batches {
		text, err := snapshot.EncodeBatch(batch)
		if err != nil {
			return 0, 0, err
		}
		var buffer bytes.Buffer
		w := gzip.NewWriter(&buffer)
		if _, err := w.Write(text); err != nil {
			return 0, 0, err
		}
		if err := w.Close(); err != nil {
			return 0, 0, err
		}
		bodies[i] = buffer.Bytes()
	}
	in := ingest.New(
		ingest.Config{Horizon: b.store.Horizon}, b.store, slog.New(slog.DiscardHandler), prometheus.NewRegistry(),
	)
	defer in.Close()
	access, client, err := b.access(ctx)
	if err != nil {
		return 0, 0, err
	}
	nothing := func(*gin.Context) {}
	var handler http.Handler = api.New(
		api.Config{Version: "bench", RequestRate: 1e9},
		api.Parts{
			Store:    b.store,
			Access:   access,
			Ingest:   in.Handle,
			Live:     nothing,
			UI:       http.NotFoundHandler(),
			Registry: prometheus.NewRegistry(),
			Logger:   slog.New(slog.DiscardHandler),
		},
	)
	if open {
		engine := gin.New()
		engine.POST("/api/v1/snapshots", in.Handle)
		handler = engine
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	began := busyCPU()
	took, err = post(ctx, client, "http://"+listener.Addr().String()+"/api/v1/snapshots", bodies, writeMachines)
	return took, busyCPU() - began, err
}

// post sends bodies over several connections. Bodies whose indexes differ by a multiple of machines belong to
// the same machine and keep their order.
func post(ctx context.Context, client *http.Client, url string, bodies [][]byte, machines int) (time.Duration, error) {
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	started := time.Now()
	for m := range machines {
		wg.Go(func() {
			for i := m; i < len(bodies); i += machines {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(bodies[i]))
				if err == nil {
					request.Header.Set("Content-Type", "application/json")
					request.Header.Set("Content-Encoding", "gzip")
					err = do(client, request)
				}
				if err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return time.Since(started), nil
}

func do(client *http.Client, request *http.Request) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %.300s", response.Status, text)
	}
	return nil
}

// busyCPU returns the CPU time of the whole machine, including the database.
func busyCPU() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, wait, irq, soft, steal int64
	_, err = fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d",
		&user, &nice, &system, &idle, &wait, &irq, &soft, &steal)
	if err != nil {
		return 0
	}
	return time.Duration(user+nice+system+irq+soft) * time.Second / 100
}

// intoVictoria writes the same fleet to VictoriaMetrics: cpu, rss and threads of each process and snapshot in
// line protocol. A request contains as much as one of ours.
func (b *bench) intoVictoria(ctx context.Context, program string) (float64, error) {
	dir, err := os.MkdirTemp("", "snapwatch-vm-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address := listener.Addr().String()
	_ = listener.Close()
	cmd := exec.CommandContext(
		ctx, program, "-storageDataPath="+dir, "-httpListenAddr="+address, "-retentionPeriod=12",
		"-loggerLevel=ERROR",
	)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	for i := 0; ; i++ {
		response, err := http.Get("http://" + address + "/health")
		if err == nil {
			_ = response.Body.Close()
			break
		}
		if i == 100 {
			return 0, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	batches, samples := b.batches(1, writeMachines, b.writeRows, func(int) snapshot.Time { return b.writeBegin() })
	bodies := make([][]byte, len(batches))
	for i, batch := range batches {
		var buffer bytes.Buffer
		w := gzip.NewWriter(&buffer)
		for k := range batch.Snapshots {
			s := &batch.Snapshots[k]
			for j := range s.Processes {
				p := &s.Processes[j]
				_, _ = fmt.Fprintf(
					w, "process,machine=%s,pid=%d,name=%s cpu=%d,rss=%d,threads=%d %d\n", batch.MachineID, p.PID,
					p.Name, *p.CPUMS, *p.MemoryUsage, *p.Threads, int64(s.Timestamp)*1_000_000,
				)
			}
		}
		if err := w.Close(); err != nil {
			return 0, err
		}
		bodies[i] = buffer.Bytes()
	}
	took, err := post(
		ctx,
		&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: writeMachines}},
		"http://"+address+"/write",
		bodies,
		writeMachines,
	)
	return float64(samples) / took.Seconds(), err
}
