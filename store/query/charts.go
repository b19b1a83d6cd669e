package query

import (
	"context"
	"fmt"
	"math"
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
func (q *Queries) MachineResolution(from, to snapshot.Time) Resolution {
	span, age, keep := to.Sub(from), q.now().Sub(from.Std()), q.retention()
	switch {
	case span <= time.Hour && age <= keep.For("snapshots"):
		return ResolutionRaw
	case span <= 25*time.Hour && age <= keep.For("machine_1m"):
		return ResolutionMinute
	case span <= 62*24*time.Hour && age <= keep.For("machine_1h"):
		return ResolutionHour
	case span <= 186*24*time.Hour && age <= keep.For("machine_3h"):
		return ResolutionThreeHours
	}
	return ResolutionDay
}

// MachineChart is what a machine did, column by column, as charts want it: the
// n-th entries belong together. An entry is of one bucket of time, or of one
// snapshot, where averages and maxima are the same.
type MachineChart struct {
	Timestamps       []snapshot.Time `json:"timestamps" nullable:"false" doc:"Begins of the buckets, or the snapshots' instants; oldest first, and none where the machine was silent"`
	Samples          []int64         `json:"samples" nullable:"false" doc:"Snapshots in each"`
	IntervalMS       []int64         `json:"interval_ms" nullable:"false" doc:"Milliseconds that these snapshots cover"`
	CPUUsageAvg      []*float64      `json:"cpu_usage_avg" nullable:"false" doc:"Percent of the whole machine"`
	CPUUsageMax      []*float64      `json:"cpu_usage_max" nullable:"false"`
	Load1Avg         []*float64      `json:"load1_avg" nullable:"false"`
	Load1Max         []*float64      `json:"load1_max" nullable:"false"`
	Load5Avg         []*float64      `json:"load5_avg" nullable:"false"`
	Load15Avg        []*float64      `json:"load15_avg" nullable:"false"`
	UsedRAMAvg       []*float64      `json:"used_ram_avg" nullable:"false"`
	UsedRAMMax       []*int64        `json:"used_ram_max" nullable:"false"`
	AvailableRAMMin  []*int64        `json:"available_ram_min" nullable:"false"`
	TotalRAM         []*int64        `json:"total_ram" nullable:"false"`
	UsedSwapAvg      []*float64      `json:"used_swap_avg" nullable:"false"`
	UsedSwapMax      []*int64        `json:"used_swap_max" nullable:"false"`
	TotalSwap        []*int64        `json:"total_swap" nullable:"false"`
	UsedDiskAvg      []*float64      `json:"used_disk_avg" nullable:"false"`
	UsedDiskMax      []*int64        `json:"used_disk_max" nullable:"false"`
	AvailableDiskMin []*int64        `json:"available_disk_min" nullable:"false"`
	TotalDisk        []*int64        `json:"total_disk" nullable:"false"`
	ProcessCountAvg  []*float64      `json:"process_count_avg" nullable:"false"`
	ProcessCountMax  []*int64        `json:"process_count_max" nullable:"false"`
	ReadBytes        []*int64        `json:"read_bytes" nullable:"false" doc:"Of all disks, in the bucket"`
	WriteBytes       []*int64        `json:"write_bytes" nullable:"false"`
	ReceivedBytes    []*int64        `json:"received_bytes" nullable:"false" doc:"Of all interfaces but loopback, in the bucket"`
	SentBytes        []*int64        `json:"sent_bytes" nullable:"false"`
}

// floats and ints list the columns after the first three, in the order in which
// machinePointColumns has them.
func (c *MachineChart) floats() []*[]*float64 {
	return []*[]*float64{&c.CPUUsageAvg, &c.CPUUsageMax, &c.Load1Avg, &c.Load1Max, &c.Load5Avg, &c.Load15Avg,
		&c.UsedRAMAvg, &c.UsedSwapAvg, &c.UsedDiskAvg, &c.ProcessCountAvg}
}

func (c *MachineChart) ints() []*[]*int64 {
	return []*[]*int64{
		&c.UsedRAMMax,
		&c.AvailableRAMMin,
		&c.TotalRAM,
		&c.UsedSwapMax,
		&c.TotalSwap,
		&c.UsedDiskMax,
		&c.AvailableDiskMin,
		&c.TotalDisk,
		&c.ProcessCountMax,
		&c.ReadBytes,
		&c.WriteBytes,
		&c.ReceivedBytes,
		&c.SentBytes,
	}
}

// read appends the rows, at most limit of them, and tells whether there are more.
func (c *MachineChart) read(rows pgx.Rows, limit int) (more bool, err error) {
	defer rows.Close()
	c.Timestamps, c.Samples, c.IntervalMS = []snapshot.Time{}, []int64{}, []int64{}
	floats, ints := c.floats(), c.ints()
	for _, column := range floats {
		*column = []*float64{}
	}
	for _, column := range ints {
		*column = []*int64{}
	}
	var at time.Time
	var samples, interval int64
	real, whole := make([]*float64, len(floats)), make([]*int64, len(ints))
	targets := []any{&at, &samples, &interval}
	for i := range real {
		targets = append(targets, &real[i])
	}
	for i := range whole {
		targets = append(targets, &whole[i])
	}
	for rows.Next() {
		if len(c.Timestamps) == limit {
			return true, nil
		}
		if err := rows.Scan(targets...); err != nil {
			return false, err
		}
		c.Timestamps, c.Samples, c.IntervalMS = append(
			c.Timestamps, snapshot.TimeOf(at),
		), append(
			c.Samples, samples,
		), append(
			c.IntervalMS, interval,
		)
		for i, column := range floats {
			*column = append(*column, rounded(real[i]))
		}
		for i, column := range ints {
			*column = append(*column, whole[i])
		}
	}
	return false, rows.Err()
}

// rounded cuts an average to three decimals: what is behind them is noise, and
// half of a chart's bytes.
func rounded(v *float64) *float64 {
	if v != nil {
		*v = math.Round(*v*1000) / 1000
	}
	return v
}

const machinePointColumns = `samples, interval_ms, cpu_usage_avg, cpu_usage_max, load1_avg, load1_max, load5_avg, load15_avg,
	used_ram_avg, used_swap_avg, used_disk_avg, process_count_avg,
	used_ram_max, available_ram_min, total_ram, used_swap_max, total_swap, used_disk_max, available_disk_min, total_disk,
	process_count_max, read_bytes, write_bytes, received_bytes, sent_bytes`

// machineChartSQL reads a chart in a resolution.
func machineChartSQL(resolution Resolution) string {
	if resolution == ResolutionRaw {
		return `SELECT ts, 1::bigint, interval_ms, cpu_usage, cpu_usage, load1, load1, load5, load15,
			used_ram::double precision, used_swap::double precision, used_disk::double precision, process_count::double precision,
			used_ram, available_ram, total_ram, used_swap, total_swap, used_disk, available_disk, total_disk,
			process_count, read_bytes, write_bytes, received_bytes, sent_bytes
			FROM snapshots WHERE machine = $1 AND ts >= $2 AND ts < $3 ORDER BY ts LIMIT $4`
	}
	return `SELECT bucket, ` + machinePointColumns + ` FROM machine_` + string(
		resolution,
	) + ` WHERE machine = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket LIMIT $4`
}

// Chart reads a machine's chart of [from, to), the first bucket being the one that
// from lies in, and at most limit entries; more tells that there were more.
func (q *Queries) Chart(
	ctx context.Context, machineID string, from, to snapshot.Time, resolution Resolution, limit int,
) (chart *MachineChart, more bool, err error) {
	defer q.observe("chart", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, false, err
	}
	begin := from.Std()
	if resolution == ResolutionRaw {
		begin = max(from, q.Horizon()).Std()
	} else {
		begin = begin.UTC().Truncate(resolution.Width())
	}
	rows, err := q.pool.Query(ctx, machineChartSQL(resolution), machine, begin, to.Std(), limit+1)
	if err == nil {
		chart = &MachineChart{}
		more, err = chart.read(rows, limit)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read a machine's chart: %w", err)
	}
	return chart, more, nil
}
