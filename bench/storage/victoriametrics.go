package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// writeToVictoriaMetrics writes the same fleet to VictoriaMetrics: cpu, rss and threads of each process and snapshot in
// line protocol. A request contains as much as one of ours.
func (b *bench) writeToVictoriaMetrics(ctx context.Context, program string) (float64, error) {
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
					w, "process,machine=%s,pid=%d,name=%s cpu=%g,rss=%d,threads=%d %d\n", batch.MachineID, p.PID,
					p.Name, p.CPUTime.Milliseconds(), *p.MemoryUsage, *p.Threads, int64(s.Timestamp)*1_000_000,
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
