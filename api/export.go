package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
)

type exportInput struct {
	MachinePath
	TimeWindow
	Format  string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"ndjson: one snapshot per line. csv: one row per snapshot and process"`
	Include string `query:"include" enum:"processes,machine" default:"processes" doc:"machine: only the system metrics"`
}

const (
	// exportPage is how many snapshots with processes an export holds in memory. They have at most maxPageProcesses
	// processes together, unless the first one has more.
	exportPage = 20
	// exportMachinePage is how many snapshots without processes an export holds in memory.
	exportMachinePage = 1000
)

const (
	exportPath      = "/api/v1/machines/{machine_id}/export"
	exportOperation = "GET " + exportPath
)

// isExport reports whether a request is an export.
func isExport(c *gin.Context) bool { return operationOf(c) == exportOperation }

func (a *API) registerExport() {
	op := operation(http.MethodGet, exportPath, "export-machine", tagHistory,
		"Export a machine's snapshots",
		description("Streams a time window of any length, oldest first. If the connection closes before the end of "+
			"the chunked encoding, the export is incomplete. Continue from the last timestamp. In csv, the "+
			"processes that ended in an interval are one row without a pid: their state is ended, ended_processes is "+
			"their number, and cpu_ms is their sum. The sum leaves out unknown_cpu_processes of them, whose CPU time "+
			"is unknown. Control characters are escaped as \\x…, and values that a spreadsheet would treat as "+
			"formulas begin with an apostrophe."))
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	op.Responses = map[string]*huma.Response{"200": {
		Description: "Snapshots",
		Content:     map[string]*huma.MediaType{"application/x-ndjson": text, "text/csv": text},
	}}
	huma.Register(a.huma, op, a.exportMachine)
}

func (a *API) exportMachine(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	from, to, err := in.parse(a.cfg.Now())
	if err != nil {
		return nil, err
	}
	page := query.Range{From: from + 1, To: to, Limit: exportMachinePage}
	if in.Include == "processes" {
		page.Limit, page.Processes, page.MaxProcesses = exportPage, true, maxPageProcesses
	}
	// The first page is read before the response begins, so that errors get their status.
	states, more, err := a.exportPage(ctx, in.MachineID, page, a.reads.acquire)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		client := humagin.Unwrap(hc).Writer
		w := bufio.NewWriterSize(client, responsePiece)
		name := in.MachineID + "-" + from.Std().UTC().Format("20060102T150405Z")
		contentType, out := "application/x-ndjson", exportWriter(&ndjsonWriter{w: w})
		if in.Format == "csv" {
			contentType, out = "text/csv; charset=utf-8", &csvWriter{w: csv.NewWriter(w), processes: page.Processes}
		}
		hc.SetHeader("Content-Type", contentType)
		hc.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.%s"`, name, in.Format))
		hc.SetStatus(http.StatusOK)
		if isHead(ctx) {
			return
		}
		if err := a.export(ctx, in.MachineID, page, states, more, client, out, w); err != nil {
			// The status is sent already, so only closing the connection can report the failure.
			a.logger.Warn("export failed", "machine_id", in.MachineID, "err", err)
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// export writes the first page, states, and all that follow. out writes to w, the buffer of the client's response.
func (a *API) export(
	ctx context.Context, machineID string, page query.Range, states []snapshot.State, more bool,
	client http.ResponseWriter, out exportWriter, w *bufio.Writer,
) error {
	control := http.NewResponseController(client)
	if err := out.begin(); err != nil {
		return err
	}
	for {
		page.From = nextStart(states, page.From)
		for i := range states {
			if err := out.write(&states[i]); err != nil {
				return err
			}
			states[i] = snapshot.State{} // a slow client must not keep what it has read
		}
		if err := errors.Join(out.flush(), w.Flush()); err != nil {
			return err
		}
		_ = control.Flush()
		if !more {
			return nil
		}
		if err := a.checkExport(ctx, machineID); err != nil {
			return err
		}
		var err error
		if states, more, err = a.exportPage(ctx, machineID, page, a.reads.acquirePatiently); err != nil {
			return err
		}
	}
}

// checkExport returns an error if the caller may no longer export a machine.
func (a *API) checkExport(ctx context.Context, machineID string) error {
	ctx, cancel := context.WithTimeout(ctx, authorizeTimeout)
	defer cancel()
	return a.access.reauthorize(ctx, exportOperation, machineID)
}

// nextStart returns the start of the page after one that begins at start.
func nextStart(states []snapshot.State, start snapshot.Time) snapshot.Time {
	if len(states) == 0 {
		return start
	}
	return states[len(states)-1].Timestamp + 1
}

// exportPage reads one page. It takes a turn for each with acquire, so that a slow client does not keep one.
func (a *API) exportPage(
	ctx context.Context, machineID string, page query.Range,
	acquire func(context.Context, string) (func(), error),
) (states []snapshot.State, more bool, err error) {
	release, err := acquire(ctx, callerKey(auth.PrincipalOf(ctx)))
	if err != nil {
		return nil, false, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	return a.store.Snapshots(ctx, machineID, page)
}

// exportWriter writes snapshots in a format.
type exportWriter interface {
	begin() error
	write(state *snapshot.State) error
	flush() error
}

type ndjsonWriter struct{ w io.Writer }

func (e *ndjsonWriter) begin() error { return nil }
func (e *ndjsonWriter) flush() error { return nil }

func (e *ndjsonWriter) write(state *snapshot.State) error {
	var options ProcessOptions
	if err := streamJSON(e.w, options.snapshotView(state, state.Processes != nil)); err != nil {
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
		return e.w.Write([]string{"timestamp", "interval_ms", "pid", "started_at", "ppid", "name", "command_line",
			"user", "state", "cpu_ms", "cpu_usage", "ended_processes", "unknown_cpu_processes",
			"memory_usage", "threads", "read_bytes", "write_bytes", "open_files", "cgroup"})
	}
	return e.w.Write([]string{"timestamp", "interval_ms", "cpu_usage", "load1", "load5", "load15", "uptime_ms",
		"total_ram", "used_ram", "available_ram", "total_swap", "used_swap",
		"total_disk", "used_disk", "available_disk", "buffers_ram", "cached_ram", "shared_ram", "slab_ram",
		"fullest_disk_usage", "fullest_disk", "stale"})
}

func (e *csvWriter) flush() error {
	e.w.Flush()
	return e.w.Error()
}

func (e *csvWriter) write(state *snapshot.State) error {
	timestamp, interval := state.Timestamp.String(), ""
	if state.IntervalMS > 0 {
		interval = strconv.FormatInt(state.IntervalMS, 10)
	}
	if !e.processes {
		m := &state.Machine
		return e.w.Write([]string{timestamp, interval, float(m.CPUUsage), float(m.Load1), float(m.Load5),
			float(m.Load15), integer(m.UptimeMS), integer(m.TotalRAM), integer(m.UsedRAM), integer(m.AvailableRAM),
			integer(m.TotalSwap), integer(m.UsedSwap), integer(m.TotalDisk), integer(m.UsedDisk),
			integer(m.AvailableDisk), integer(m.BuffersRAM), integer(m.CachedRAM), integer(m.SharedRAM),
			integer(m.SlabRAM), float(m.FullestDiskUsage), csvCell(m.FullestDisk),
			csvCell(strings.Join(m.Stale, "; "))})
	}
	for i := range state.Processes {
		p := &state.Processes[i]
		started := ""
		if p.StartedAt != 0 {
			started = p.StartedAt.String()
		}
		if err := e.w.Write([]string{timestamp, interval, strconv.Itoa(int(p.PID)), started, strconv.Itoa(int(p.PPID)),
			csvCell(p.Name), csvCell(p.CommandLine), csvCell(p.User), p.State, milliseconds(p.CPUTime),
			float(p.CPUUsage), "", "", integer(p.MemoryUsage), integer(p.Threads), integer(p.ReadBytes),
			integer(p.WriteBytes), integer(p.OpenFiles), csvCell(p.Cgroup)}); err != nil {
			return err
		}
	}
	if ended := state.Ended; ended != nil && ended.Processes > 0 {
		return e.w.Write([]string{timestamp, interval, "", "", "", "", "", "", "ended", milliseconds(ended.CPUTime),
			float(ended.CPUUsage), integer(&ended.Processes), integer(&ended.Unknown), "", "", "", "", "", ""})
	}
	return nil
}

func integer[T int32 | int64](v *T) string {
	if v == nil {
		return ""
	}
	return strconv.FormatInt(int64(*v), 10)
}

func milliseconds(t *snapshot.CPUTime) string {
	if t == nil {
		return ""
	}
	return string(t.AppendMilliseconds(nil))
}

func float(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}
