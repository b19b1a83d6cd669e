package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Resolution is the width of a chart's points.
type Resolution string

// The resolutions: every snapshot, and the rollups.
const (
	ResolutionAuto       Resolution = "auto"
	ResolutionRaw        Resolution = "raw"
	ResolutionMinute     Resolution = "1m"
	ResolutionHour       Resolution = "1h"
	ResolutionThreeHours Resolution = "3h"
	ResolutionDay        Resolution = "1d"
)

// Width returns how long a point is, 0 for raw ones.
func (r Resolution) Width() time.Duration {
	return map[Resolution]time.Duration{ResolutionMinute: time.Minute, ResolutionHour: time.Hour, ResolutionThreeHours: 3 * time.Hour, ResolutionDay: 24 * time.Hour}[r]
}

// MachineResolution picks the finest that draws a machine's range in at most about
// 1,500 points and is still kept.
func (s *Store) MachineResolution(from, to snapshot.Time) Resolution {
	span, age, keep := to.Sub(from), s.cfg.Now().Sub(from.Std()), s.Retention()
	switch {
	case span <= time.Hour && age <= keep.of("snapshots"):
		return ResolutionRaw
	case span <= 25*time.Hour && age <= keep.of("machine_1m"):
		return ResolutionMinute
	case span <= 62*24*time.Hour && age <= keep.of("machine_1h"):
		return ResolutionHour
	case span <= 186*24*time.Hour && age <= keep.of("machine_3h"):
		return ResolutionThreeHours
	}
	return ResolutionDay
}

// MachinePoint is what a machine did in one bucket of time, or at one snapshot,
// where averages and maxima are the same.
type MachinePoint struct {
	Timestamp        snapshot.Time `json:"timestamp" format:"date-time" doc:"Begin of the bucket, or the snapshot's instant"`
	Samples          int64         `json:"samples" doc:"Snapshots in it"`
	IntervalMS       int64         `json:"interval_ms" doc:"Milliseconds that these snapshots cover"`
	CPUUsageAvg      *float64      `json:"cpu_usage_avg" doc:"Percent of the whole machine"`
	CPUUsageMax      *float64      `json:"cpu_usage_max"`
	Load1Avg         *float64      `json:"load1_avg"`
	Load1Max         *float64      `json:"load1_max"`
	Load5Avg         *float64      `json:"load5_avg"`
	Load15Avg        *float64      `json:"load15_avg"`
	UsedRAMAvg       *float64      `json:"used_ram_avg"`
	UsedRAMMax       *int64        `json:"used_ram_max"`
	AvailableRAMMin  *int64        `json:"available_ram_min"`
	TotalRAM         *int64        `json:"total_ram"`
	UsedSwapAvg      *float64      `json:"used_swap_avg"`
	UsedSwapMax      *int64        `json:"used_swap_max"`
	TotalSwap        *int64        `json:"total_swap"`
	UsedDiskAvg      *float64      `json:"used_disk_avg"`
	UsedDiskMax      *int64        `json:"used_disk_max"`
	AvailableDiskMin *int64        `json:"available_disk_min"`
	TotalDisk        *int64        `json:"total_disk"`
	ProcessCountAvg  *float64      `json:"process_count_avg"`
	ProcessCountMax  *int32        `json:"process_count_max"`
	ReadBytes        *int64        `json:"read_bytes" doc:"Of all disks, in the bucket"`
	WriteBytes       *int64        `json:"write_bytes"`
	ReceivedBytes    *int64        `json:"received_bytes" doc:"Of all interfaces but loopback, in the bucket"`
	SentBytes        *int64        `json:"sent_bytes"`
}

const machinePointColumns = `samples, interval_ms, cpu_usage_avg, cpu_usage_max, load1_avg, load1_max, load5_avg, load15_avg,
	used_ram_avg, used_ram_max, available_ram_min, total_ram, used_swap_avg, used_swap_max, total_swap,
	used_disk_avg, used_disk_max, available_disk_min, total_disk, process_count_avg, process_count_max,
	read_bytes, write_bytes, received_bytes, sent_bytes`

// machinePointsSQL reads a chart in a resolution.
func machinePointsSQL(resolution Resolution) string {
	if resolution == ResolutionRaw {
		return `SELECT ts, 1::bigint, interval_ms, cpu_usage, cpu_usage, load1, load1, load5, load15,
			used_ram::double precision, used_ram, available_ram, total_ram, used_swap::double precision, used_swap, total_swap,
			used_disk::double precision, used_disk, available_disk, total_disk, process_count::double precision, process_count,
			read_bytes, write_bytes, received_bytes, sent_bytes
			FROM snapshots WHERE machine = $1 AND ts >= $2 AND ts < $3 ORDER BY ts LIMIT $4`
	}
	return `SELECT bucket, ` + machinePointColumns + ` FROM machine_` + string(resolution) + ` WHERE machine = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket LIMIT $4`
}

// MachineChart reads the points of [from, to), the first bucket being the one that
// from lies in, and at most limit of them; more tells that there were more.
func (s *Store) MachineChart(ctx context.Context, machineID string, from, to snapshot.Time, resolution Resolution, limit int) (points []MachinePoint, more bool, err error) {
	defer s.metrics.observeRead("chart", time.Now())
	machine, err := s.machineKey(ctx, machineID)
	if err != nil {
		return nil, false, err
	}
	begin := from.Std()
	if resolution == ResolutionRaw {
		begin = max(from, s.Horizon()).Std()
	} else {
		begin = begin.UTC().Truncate(resolution.Width())
	}
	rows, err := s.pool.Query(ctx, machinePointsSQL(resolution), machine, begin, to.Std(), limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("read a machine's chart: %w", err)
	}
	points, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (MachinePoint, error) {
		var p MachinePoint
		var at time.Time
		err := row.Scan(&at, &p.Samples, &p.IntervalMS, &p.CPUUsageAvg, &p.CPUUsageMax, &p.Load1Avg, &p.Load1Max, &p.Load5Avg, &p.Load15Avg,
			&p.UsedRAMAvg, &p.UsedRAMMax, &p.AvailableRAMMin, &p.TotalRAM, &p.UsedSwapAvg, &p.UsedSwapMax, &p.TotalSwap,
			&p.UsedDiskAvg, &p.UsedDiskMax, &p.AvailableDiskMin, &p.TotalDisk, &p.ProcessCountAvg, &p.ProcessCountMax,
			&p.ReadBytes, &p.WriteBytes, &p.ReceivedBytes, &p.SentBytes)
		p.Timestamp = snapshot.TimeOf(at)
		return p, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read a machine's chart: %w", err)
	}
	if more = len(points) > limit; more {
		points = points[:limit]
	}
	return points, more, nil
}
