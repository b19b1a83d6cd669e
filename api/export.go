package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

type exportInput struct {
	MachinePath
	TimeWindow
	Format  string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"ndjson: a snapshot with its processes on each line. csv: a row per snapshot and process"`
	Include string `query:"include" enum:"processes,machine" default:"processes" doc:"machine leaves the processes out"`
}

func (a *API) registerExport() {
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "export-machine",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/export",
			Tags:        []string{"history"},
			Summary:     "All snapshots of a window as a stream, however long it is",
			Description: "Oldest first. An answer that breaks off before its end (the chunked encoding tells) is not complete: go on from the last timestamp. In csv, texts that a spreadsheet would take for a formula begin with an apostrophe, and control characters are written as \\x….",
			Responses: map[string]*huma.Response{"200": {Description: "The stream", Content: map[string]*huma.MediaType{
				"application/x-ndjson": {
					Schema: &huma.Schema{Type: huma.TypeString},
				}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}},
		},
		a.exportMachine,
	)
}

const (
	// exportPage is how many snapshots are in memory at a time, and how many of a
	// machine without its processes.
	exportPage, exportMachinePage = 20, 1000
	// exportPatience is how long a reader may take for one page.
	exportWriteTimeout = time.Minute
)

// exporter writes snapshots in one format.
type exportWriter interface {
	begin() error
	write(state *snapshot.State) error
	flush() error
}

func (a *API) exportMachine(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	from, to, err := in.window(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	page := query.Range{From: from, To: to - 1, Limit: exportMachinePage}
	if in.Include == "processes" {
		page.Limit, page.Processes = exportPage, true
	}
	// The first page before the answer begins: what is wrong gets its status.
	states, more, err := a.store.Snapshots(ctx, in.MachineID, page)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		gin := humagin.Unwrap(hc)
		control := http.NewResponseController(gin.Writer)
		var out exportWriter
		name := fmt.Sprintf("%s-%s", in.MachineID, from.Std().UTC().Format("20060102T150405Z"))
		if in.Format == "csv" {
			hc.SetHeader("Content-Type", "text/csv; charset=utf-8")
			hc.SetHeader("Content-Disposition", `attachment; filename="`+name+`.csv"`)
			out = &csvWriter{w: csv.NewWriter(gin.Writer), processes: page.Processes}
		} else {
			hc.SetHeader("Content-Type", "application/x-ndjson")
			hc.SetHeader("Content-Disposition", `attachment; filename="`+name+`.ndjson"`)
			out = &ndjsonWriter{w: gin.Writer}
		}
		hc.SetStatus(http.StatusOK)
		err := out.begin()
		for err == nil {
			if deadline := control.SetWriteDeadline(time.Now().Add(exportWriteTimeout)); deadline != nil {
				a.logger.Debug("an export has no deadline", "err", deadline)
			}
			for i := 0; i < len(states) && err == nil; i++ {
				err = out.write(&states[i])
			}
			if err == nil {
				err = out.flush()
			}
			_ = control.Flush()
			if err != nil || !more {
				break
			}
			page.From = states[len(states)-1].Timestamp + 1
			states, more, err = a.store.Snapshots(ctx, in.MachineID, page)
		}
		if err != nil { // the status is out: only breaking off tells
			a.logger.Warn("an export broke off", "machine_id", in.MachineID, "err", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

type ndjsonWriter struct{ w io.Writer }

func (e *ndjsonWriter) begin() error { return nil }
func (e *ndjsonWriter) flush() error { return nil }

func (e *ndjsonWriter) write(state *snapshot.State) error {
	var all ProcessOptions
	if err := writeJSON(e.w, all.snapshotView(state, state.Processes != nil)); err != nil {
		return err
	}
	_, err := e.w.Write([]byte{'\n'})
	return err
}

type csvWriter struct {
	w         *csv.Writer
	processes bool
}

func (e *csvWriter) begin() error {
	if e.processes {
		return e.w.Write(
			[]string{"timestamp", "interval_ms", "pid", "started_at", "ppid", "name", "command_line", "user", "state",
				"cpu_ms", "cpu_usage", "memory_usage", "threads", "read_bytes", "write_bytes", "open_files", "cgroup"},
		)
	}
	return e.w.Write(
		[]string{
			"timestamp",
			"interval_ms",
			"cpu_usage",
			"load1",
			"load5",
			"load15",
			"uptime_ms",
			"total_ram",
			"used_ram",
			"available_ram",
			"total_swap",
			"used_swap",
			"total_disk",
			"used_disk",
			"available_disk",
		},
	)
}

func (e *csvWriter) flush() error {
	e.w.Flush()
	return e.w.Error()
}

func (e *csvWriter) write(state *snapshot.State) error {
	at, interval := state.Timestamp.String(), strconv.FormatInt(state.IntervalMS, 10)
	if !e.processes {
		m := &state.Machine
		return e.w.Write(
			[]string{
				at,
				interval,
				float(m.CPUUsage),
				float(m.Load1),
				float(m.Load5),
				float(m.Load15),
				integer(m.UptimeMS),
				integer(m.TotalRAM),
				integer(
					m.UsedRAM,
				),
				integer(m.AvailableRAM),
				integer(m.TotalSwap),
				integer(m.UsedSwap),
				integer(m.TotalDisk),
				integer(m.UsedDisk),
				integer(m.AvailableDisk),
			},
		)
	}
	for i := range state.Processes {
		p := &state.Processes[i]
		started := ""
		if p.StartedAt != 0 {
			started = p.StartedAt.String()
		}
		if err := e.w.Write([]string{at, interval, strconv.Itoa(int(p.PID)), started, strconv.Itoa(int(p.PPID)), csvCell(p.Name), csvCell(p.CommandLine), csvCell(p.User), p.State,
			integer(p.CPUMS), float(p.CPUUsage), integer(p.MemoryUsage), integer(p.Threads), integer(p.ReadBytes), integer(p.WriteBytes), integer(p.OpenFiles), csvCell(p.Cgroup)}); err != nil {
			return err
		}
	}
	return nil
}

// cell keeps a spreadsheet from running a process's name as a formula.
func csvCell(text string) string {
	text = escapeControlsForText(text)
	if text != "" {
		switch text[0] {
		case '=', '+', '-', '@':
			return "'" + text
		}
	}
	return text
}

func integer[T int32 | int64](v *T) string {
	if v == nil {
		return ""
	}
	return strconv.FormatInt(int64(*v), 10)
}

func float(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}
