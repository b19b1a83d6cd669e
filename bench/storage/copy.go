package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

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
	const sql = `COPY process_samples (ts, process, cpu_us, memory_usage, read_bytes, write_bytes, machine, threads,
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
	return float64(row) / took.Seconds(), b.truncate(ctx)
}

func appendRow(b []byte, ms, process int64, machine int32) []byte {
	eight := func(v int64) { b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v)) }
	four := func(v int32) { b = binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(v)) }
	b = append(b, 0, 11)
	eight(ms * 1000)
	eight(process)
	eight(10_534)
	eight(123 << 20)
	eight(0)
	eight(4096)
	four(machine)
	four(4)
	b = append(b, 0, 0, 0, 1, 'S', 0, 0, 0, 1, 1)
	four(int32((ms + 946_684_800_000) / 3_600_000))
	return b
}
