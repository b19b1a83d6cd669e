package writer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

const benchProcesses = 400

// scripts returns snapshots of a machine that runs shell scripts, with benchProcesses short-lived processes each.
func scripts(start snapshot.Time, n int) []snapshot.Snapshot {
	random := rand.New(rand.NewPCG(1, 2))
	programs := strings.Fields("sh sed grep cat rm mkdir expr tr awk basename dirname git install date curl ps cut ln")
	list := make([]snapshot.Snapshot, n)
	pid := int32(1000)
	for i := range list {
		s := &list[i]
		s.Timestamp, s.Kind, s.IntervalMS = start.Add(time.Duration(i)*5*time.Second), snapshot.KindFull, 5000
		for k := range benchProcesses {
			pid = 1000 + (pid-999)%30_000
			name := programs[random.IntN(len(programs))]
			one := snapshot.ProcessSample{
				PID: pid, StartedAt: s.Timestamp - snapshot.Time(1+12*(benchProcesses-k)),
				PPID: new(pid - 1 - random.Int32N(20)), Name: name,
				CommandLine: fmt.Sprintf("%s -f /srv/jobs/job%02d/config", name, random.IntN(60)),
				User:        "root", Cgroup: fmt.Sprintf("/system.slice/job%d.service", random.IntN(6)),
				State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(500 + random.IntN(800))),
				MemoryUsage: new(4096 * int64(400+random.IntN(100))), ReadBytes: new(int64(0)),
				WriteBytes: new(int64(0)), ExitStatus: snapshot.ExitStatusOf(0),
			}
			if random.IntN(25) == 0 {
				one.CommandLine += fmt.Sprintf(" /tmp/cc%06d", random.IntN(1_000_000))
			}
			s.Processes = append(s.Processes, one)
		}
	}
	return list
}

// BenchmarkShortLived writes snapshots with short-lived processes, each in a transaction. It reports the time for each
// process, and the bytes of each in the series, in the minutes and in the texts. TimescaleDB's are compressed.
func BenchmarkShortLived(b *testing.B) {
	for _, db := range []storetest.Database{storetest.Postgres(b), storetest.Timescale(b)} {
		b.Run(db.Detection.Profile, func(b *testing.B) {
			s := db.Open(b, nil)
			list := scripts(storetest.Recent()-86_400_000, b.N)
			b.ResetTimer()
			for i := range list {
				batch := &snapshot.Batch{MachineID: "m", Snapshots: list[i : i+1]}
				if outcome := s.Write(context.Background(), []*snapshot.Batch{batch})[0]; outcome.Err != nil {
					b.Fatal(outcome.Err)
				}
			}
			processes := float64(b.N * benchProcesses)
			b.ReportMetric(float64(b.Elapsed().Microseconds())/processes, "µs/process")
			b.StopTimer()
			if err := s.MaintainOnce(b.Context()); err != nil {
				b.Fatal(err)
			}
			st, err := s.Storage(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for _, size := range st.Relations {
				switch size.Relation {
				case backend.ShortLived, backend.ShortLivedMinutes, "commands":
					b.ReportMetric(float64(size.Bytes)/processes, size.Relation+"-B/process")
				}
			}
		})
	}
}
