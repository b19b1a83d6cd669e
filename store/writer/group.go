package writer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// groupWrite is one transaction of the writer. It first plans the rows of each batch, based on the
// machine's run, and then writes all rows with a few statements.
type groupWrite struct {
	writer   *Writer
	tx       pgx.Tx
	now      time.Time
	machines map[string]*machineRow
	// acceptFrom is the time before which nothing is written, once it is locked.
	acceptFrom snapshot.Time
	isLocked   bool
	runs       map[int32]*run // to put into the cache after the commit, by machine

	rows     []newSnapshot
	closings []closing
	fresh    []newRef               // references that may have no row in processes yet
	newRefs  map[refKey]*processRef // fresh by key
	touched  map[*processRef]int32  // new values of last_day
	exits    map[*processRef]snapshot.ExitStatus
	scratch  []byte // buffer of identityHash

	results    []snapshot.WriteResult
	newest     map[string]snapshot.Time
	samples    int
	texts      *textSet // of the short-lived processes, nil if there are none
	shortLived int      // how many short-lived processes were written
	turns      int      // how often an agent posted again after another one of its machine
}

// machineRow is a locked row of machines.
type machineRow struct {
	id             int32
	machineID      string
	lastSnapshot   snapshot.Time
	closedSnapshot snapshot.Time // the last snapshot that CloseSilent closed, or 0
	cpuCount       int           // 0 if unknown
	config         snapshot.Config
	configVersion  int64
	unregistered   bool
	hasAgent       bool // whether it was registered by an agent
	lastSeen       time.Time

	// The agents that post as the machine; see trackSources.

	source               string // of the newest post; empty if unknown
	turns                int
	turnsSince, turnedAt *time.Time
	startsToCompete      bool
	competitors          []string // several agents that report in turns
}

// newSnapshot is a planned row of snapshots with its samples.
type newSnapshot struct {
	batch      int
	machine    *machineRow
	snapshot   *snapshot.Snapshot
	fullTS     snapshot.Time
	intervalMS int64
	processes  int             // how many processes run
	refs       []*processRef   // of snapshot.Processes, in the same order; nil for short-lived ones
	weights    []schema.Weight // the same
	exited     []exitedProcess // of snapshot.Exited, in the same order
	carried    []carriedSample // of the unchanged processes of changes that are stored in full
	shortLived []shortLivedProcess
}

// exitedProcess is a process that is gone.
type exitedProcess struct {
	ref    *processRef
	weight schema.Weight
}

// inFull reports whether the snapshot has a sample of every process.
func (n *newSnapshot) inFull() bool { return n.fullTS == n.snapshot.Timestamp }

type refKey struct {
	machine  int32
	key      snapshot.ProcessKey
	identity int64
}

func (w *groupWrite) execute(ctx context.Context, batches []*snapshot.Batch) error {
	if err := w.lockMachines(ctx, batches); err != nil {
		return err
	}
	if err := w.trackSources(ctx, batches); err != nil {
		return err
	}
	if slices.ContainsFunc(batches, w.isLate) {
		if err := w.lockAcceptFrom(ctx); err != nil {
			return err
		}
	}
	w.results = make([]snapshot.WriteResult, len(batches))
	for i, batch := range batches {
		if err := w.plan(ctx, i, batch); err != nil {
			return err
		}
	}
	if err := w.checkClosings(ctx); err != nil {
		return err
	}
	if err := w.resolveProcesses(ctx); err != nil {
		return err
	}
	if err := w.insertSnapshots(ctx); err != nil {
		return err
	}
	if err := w.copySamples(ctx); err != nil {
		return err
	}
	if err := w.writeShortLived(ctx); err != nil {
		return fmt.Errorf("write short-lived processes: %w", err)
	}
	if err := w.markHoursDirty(ctx); err != nil {
		return fmt.Errorf("mark hours as dirty: %w", err)
	}
	return w.updateMachines(ctx)
}

func (w *groupWrite) isLate(batch *snapshot.Batch) bool { return batch.IsLate(snapshot.TimeOf(w.now)) }

// lockAcceptFrom sets acceptFrom. Data that is older than snapshot.LiveSpan may be dropped, also by another server, so
// this is required before anything so old is written.
func (w *groupWrite) lockAcceptFrom(ctx context.Context) error {
	from, err := w.writer.backend.LockAcceptFrom(ctx, w.tx)
	if err != nil {
		return fmt.Errorf("read from when data is accepted: %w", err)
	}
	if !from.IsZero() {
		w.acceptFrom = snapshot.TimeOf(from)
	}
	w.isLocked = true
	return nil
}

// checkDropped refuses a batch whose snapshots would be in a time that was dropped.
func (w *groupWrite) checkDropped(batch *snapshot.Batch) *snapshot.ValidationError {
	if first := batch.Snapshots[0].Timestamp; first < w.acceptFrom {
		return &snapshot.ValidationError{
			Code: snapshot.CodeTooOld, MachineID: batch.MachineID, Timestamp: first,
			ServerTime: snapshot.TimeOf(w.now), Field: "snapshots[0].timestamp",
			Reason: fmt.Sprintf("%s is before %s; older snapshots have been deleted", first, w.acceptFrom),
		}
	}
	return nil
}

// checkClosings removes closings of a time that was dropped. A machine may send its first snapshot after days.
func (w *groupWrite) checkClosings(ctx context.Context) error {
	old := snapshot.TimeOf(w.now).Add(-snapshot.LiveSpan)
	isOld := func(c closing) bool { return c.ts < old }
	if !w.isLocked && slices.ContainsFunc(w.closings, isOld) {
		if err := w.lockAcceptFrom(ctx); err != nil {
			return err
		}
	}
	w.closings = slices.DeleteFunc(w.closings, func(c closing) bool { return c.ts < w.acceptFrom })
	return nil
}

// markHoursDirty marks the hours with new rows, so that their rollups are refreshed.
func (w *groupWrite) markHoursDirty(ctx context.Context) error {
	type machineHour struct{ machine, hour int32 }
	seen := make(map[machineHour]bool)
	var machines []int32
	var hours []time.Time
	add := func(machine *machineRow, ts snapshot.Time) {
		at := machineHour{machine.id, schema.HourOf(ts)}
		if !seen[at] {
			seen[at] = true
			machines, hours = append(machines, at.machine), append(hours, time.Unix(int64(at.hour)*3600, 0).UTC())
		}
	}
	for i := range w.rows {
		add(w.rows[i].machine, w.rows[i].snapshot.Timestamp)
	}
	for i := range w.closings {
		add(w.closings[i].machine, w.closings[i].ts)
	}
	if len(machines) == 0 {
		return nil
	}
	return w.writer.backend.MarkDirty(ctx, w.tx, machines, hours)
}

// plan plans the rows of one batch, or sets the error of its result.
func (w *groupWrite) plan(ctx context.Context, index int, batch *snapshot.Batch) error {
	machine := w.machines[batch.MachineID]
	result := &w.results[index]
	result.Ack = snapshot.Ack{
		Config:          machine.config,
		ConfigVersion:   machine.configVersion,
		Unregistered:    machine.unregistered,
		CompetingAgents: machine.competitors,
	}
	if len(batch.Snapshots) == 0 {
		return nil
	}
	if fault := w.checkDropped(batch); fault != nil {
		result.Err = fault
		return nil //nolint:nilerr // an invalid batch does not fail the group
	}
	before, err := w.neighbours(ctx, machine, batch)
	if err != nil {
		return err
	}
	p := planner{w: w, batch: batch, index: index, machine: machine, neighbours: before, run: w.runOf(machine)}
	fault, err := p.plan(ctx)
	if err != nil {
		return err
	}
	if fault != nil {
		result.Err = fault
		return nil //nolint:nilerr // an invalid batch does not fail the group
	}
	result.Ack.Duplicates = p.duplicates
	w.rows = append(w.rows, p.rows...)
	w.closings = append(w.closings, p.closings...)
	w.fresh = append(w.fresh, p.fresh...)
	maps.Copy(w.newRefs, p.newRefs)
	maps.Copy(w.touched, p.touched)
	maps.Copy(w.exits, p.exits)
	if p.run != nil {
		w.runs[machine.id] = p.run
	}
	return nil
}

// runOf returns a copy of the machine's run after the earlier batches of the group, or nil. It is a copy
// because an error in the next batch must not change it.
func (w *groupWrite) runOf(machine *machineRow) *run {
	planned := w.runs[machine.id]
	if planned == nil {
		return nil
	}
	clone := *planned
	clone.processes = maps.Clone(planned.processes)
	return &clone
}
