package writer

import (
	"context"
	"fmt"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

// planner plans the rows of one batch. It does not change the group, because the batch may turn out to
// be invalid.
type planner struct {
	w          *groupWrite
	batch      *snapshot.Batch
	index      int
	machine    *machineRow
	neighbours map[snapshot.Time]neighbour // of snapshots that are not newer than the stored ones
	run        *run                        // the run after the snapshots planned so far; owned by the planner
	isLate     bool                        // whether stored snapshots follow the run

	rows       []newSnapshot
	closings   []closing
	fresh      []newRef
	newRefs    map[refKey]*processRef
	touched    map[*processRef]int32
	exits      map[*processRef]snapshot.ExitStatus // of processes that end in the batch
	duplicates int
}

// neighbour describes the stored snapshots around a timestamp.
type neighbour struct {
	exists             bool
	ofAgent            bool          // the machine has an agent
	before, beforeFull snapshot.Time // the previous snapshot and the full one of its run, or 0
	afterFull          snapshot.Time // the full snapshot of the next snapshot's run, or 0
	measured           snapshot.Time // the next snapshot whose interval is known, or 0
	measuredIntervalMS int64
}

// covers reports whether a later snapshot already accounts for the time of one at ts: its interval includes ts.
//
// That of an agent never includes the one before. It seems so after the clock was set back: the agent's timestamps then
// advance at half the speed, and its intervals do not.
func (n neighbour) covers(ts snapshot.Time) bool {
	interval := n.measuredIntervalMS
	return !n.ofAgent && n.measured != 0 && int64(n.measured-ts) < interval-slack(interval)
}

// isContinued reports whether a later snapshot continues the one before: its rows account for the time since the rows
// of that.
func (n neighbour) isContinued() bool {
	interval := n.measuredIntervalMS
	return n.measured != 0 && n.before != 0 && int64(n.measured-n.before)-interval <= interval/2
}

func (p *planner) plan(ctx context.Context) (*snapshot.ValidationError, error) {
	p.newRefs = make(map[refKey]*processRef)
	p.touched = make(map[*processRef]int32)
	p.exits = make(map[*processRef]snapshot.ExitStatus)
	for i := range p.batch.Snapshots {
		s := &p.batch.Snapshots[i]
		around, late := p.neighbours[s.Timestamp]
		if around.exists {
			p.duplicates++
			continue
		}
		if late && around.afterFull != 0 && around.afterFull < s.Timestamp {
			return p.fault(
				i, snapshot.CodeOutOfOrder, "timestamp", "is inside a run of changes that is already stored",
			), nil
		}
		before, fault, err := p.runBefore(ctx, i, s, around, late)
		if fault != nil || err != nil {
			return fault, err
		}
		if p.isLate && before != p.run {
			p.close(p.run)
		}
		if fault, err := p.add(ctx, i, s, before, around); fault != nil || err != nil {
			return fault, err
		}
		p.isLate = late && !around.covers(s.Timestamp)
	}
	if p.isLate {
		p.close(p.run)
	}
	return nil, nil
}

func (p *planner) fault(i int, code snapshot.Code, field, format string, args ...any) *snapshot.ValidationError {
	return &snapshot.ValidationError{
		Code: code, MachineID: p.batch.MachineID, SnapshotIndex: i, Field: fmt.Sprintf("snapshots[%d].%s", i, field),
		Reason: fmt.Sprintf(
			format,
			args...), Timestamp: p.batch.Snapshots[i].Timestamp, ServerTime: snapshot.TimeOf(p.w.now),
	}
}

// runBefore returns the run that ends with the snapshot before s, or nil. Its processes are not loaded if the run is a
// full snapshot alone, and s is another one.
func (p *planner) runBefore(
	ctx context.Context, i int, s *snapshot.Snapshot, around neighbour, late bool,
) (before *run, fault *snapshot.ValidationError, err error) {
	before = p.run
	switch {
	case late && (before == nil || before.ts < around.before || before.ts > s.Timestamp):
		before = nil
		if around.before != 0 {
			// Another server may have closed a run that still holds time.
			before = p.w.writer.runs.take(p.machine.id, around.before)
			if before == nil || before.holdsTime() {
				before = &run{ts: around.before, fullTS: around.beforeFull}
			}
		}
	case !late && p.machine.lastSnapshot != 0 && (before == nil || before.ts < p.machine.lastSnapshot):
		before = p.w.writer.runs.take(p.machine.id, p.machine.lastSnapshot)
		if before == nil {
			full, err := p.w.fullOf(ctx, p.machine.id, p.machine.lastSnapshot)
			if err != nil {
				return nil, nil, err
			}
			before = &run{ts: p.machine.lastSnapshot, fullTS: full}
		}
	}
	if s.Kind != snapshot.KindChanges && (before == nil || before.fullTS == 0 || before.fullTS == before.ts ||
		before.ts < p.w.writer.horizon()) {
		return before, nil, nil
	}
	switch {
	case s.Kind != snapshot.KindChanges:
	case before == nil || before.fullTS == 0:
		return nil, p.fault(
			i, snapshot.CodeFullNeeded, "kind", "changes need a full snapshot before them; send a full one",
		), nil
	case s.Previous != 0 && s.Previous != before.ts:
		return nil, p.fault(
			i, snapshot.CodeFullNeeded, "previous",
			"%s is not the snapshot before this one, which is %s; send a full one", s.Previous, before.ts,
		), nil
	case s.Timestamp.Sub(before.fullTS) > snapshot.MaxRunDuration:
		return nil, p.fault(
			i, snapshot.CodeFullNeeded, "kind", "the last full snapshot is older than %s; send a full one",
			snapshot.MaxRunDuration,
		), nil
	}
	if before.processes == nil {
		if before, err = p.w.loadRun(ctx, p.machine.id, before.fullTS, before.ts); err != nil {
			return nil, nil, err
		}
	}
	if before.ts == p.machine.closedSnapshot {
		before.skipHeld()
	}
	return before, nil, nil
}

// add plans the rows of one snapshot and extends the run. The first snapshot of a machine in an hour is
// stored in full even if it contains changes. So the rows of an hour are complete, its rollups are
// exact, and no run of changes crosses compressed segments or partitions.
func (p *planner) add(
	ctx context.Context, i int, s *snapshot.Snapshot, before *run, around neighbour,
) (*snapshot.ValidationError, error) {
	if before == nil {
		before = &run{}
	}
	interval, err := p.interval(ctx, s, before, around)
	if err != nil {
		return nil, err
	}
	row := newSnapshot{
		batch:      p.index,
		machine:    p.machine,
		snapshot:   s,
		fullTS:     s.Timestamp,
		intervalMS: interval,
		refs:       make([]*processRef, len(s.Processes)),
		weights:    make([]schema.Weight, len(s.Processes)),
		exited:     make([]exitedProcess, len(s.Exited)),
	}
	if fault := p.checkDeltas(i, s, max(row.intervalMS, s.IntervalMS)); fault != nil {
		return fault, nil
	}
	inFull := s.Kind != snapshot.KindChanges
	startsHour := schema.HourOf(before.ts) != schema.HourOf(s.Timestamp)
	weightMS := row.intervalMS
	switch {
	case around.covers(s.Timestamp): // the next snapshot accounts for its whole interval
		row.snapshot = withoutAmounts(s)
		before.skipHeld()
		weightMS = 0
	case around.isContinued() && before.ts == around.before: // its rows account for what is held
		before.skipHeld()
	case startsHour, inFull && !continues(before, s, row.intervalMS):
		p.close(before)
	}
	next := &run{ts: s.Timestamp, fullTS: s.Timestamp, elapsedMS: before.elapsedMS + weightMS}
	if before.ts != 0 {
		next.spacings = [2]int64{int64(s.Timestamp - before.ts), before.spacings[0]}
	}
	next.usageAfter(before, s)
	if inFull {
		next.processes = make(map[snapshot.ProcessKey]runningProcess, len(s.Processes))
	} else {
		next.processes = before.processes
		if inFull = startsHour; !inFull {
			next.fullTS, row.fullTS = before.fullTS, before.fullTS
		}
	}
	for k, key := range s.Exited {
		one := next.processes[key]
		if one.ref == nil {
			return p.fault(
				i, snapshot.CodeFullNeeded, fmt.Sprintf("exited[%d]", k),
				"process %d is not in the previous snapshots; send a full one", key.PID,
			), nil
		}
		row.exited[k] = exitedProcess{one.ref, weighExited(before, one)}
		delete(next.processes, key)
	}
	if inFull && s.Kind == snapshot.KindChanges {
		row.carried = next.carry(s.Processes, weightMS)
		for i := range row.carried {
			p.touch(row.carried[i].running.ref, s.Timestamp)
		}
	}
	for k := range s.Processes {
		sample := &s.Processes[k]
		known := before.processes[sample.Key()]
		if known.ref == nil && p.isShortLived(s, sample, before, row.intervalMS) {
			row.shortLived = append(row.shortLived, shortLivedProcess{sample, int32(s.Timestamp - sample.StartedAt)})
			continue
		}
		ref := p.ref(s, sample, known.ref)
		if ref == nil {
			return p.fault(
				i, snapshot.CodeFullNeeded, fmt.Sprintf("processes[%d]", k),
				"process %d is not in the previous snapshots and has no name and ppid; send a full one",
				sample.PID,
			), nil
		}
		p.touch(ref, s.Timestamp)
		row.refs[k] = ref
		ran := weightMS
		if known.ref == nil {
			ran = runTime(sample.StartedAt, s.Timestamp, weightMS)
		}
		row.weights[k] = p.weigh(before, known, ref, sample.MemoryUsage, ran)
		if known.ref != nil && s.Kind != snapshot.KindChanges {
			delete(before.processes, sample.Key()) // what remains is gone
		}
		if sample.Ended() {
			if sample.HasExitStatus() {
				p.exits[ref] = sample.ExitStatus
			}
			delete(next.processes, sample.Key())
			continue
		}
		values := sample.Values(row.intervalMS)
		next.processes[sample.Key()] = runningProcess{
			ref: ref, gauges: schema.GaugesOf(&values), atMS: next.elapsedMS,
		}
	}
	if s.Kind != snapshot.KindChanges {
		p.close(before) // a full snapshot has no rows of the processes that are gone
	}
	row.processes = len(next.processes)
	p.run = next
	p.rows = append(p.rows, row)
	return nil, nil
}

// carry returns samples of the processes of the run that are not listed.
func (r *run) carry(listed []snapshot.ProcessSample, weightMS int64) []carriedSample {
	isListed := make(map[snapshot.ProcessKey]bool, len(listed))
	for i := range listed {
		isListed[listed[i].Key()] = true
	}
	carried := make([]carriedSample, 0, len(r.processes))
	for key, one := range r.processes {
		if !isListed[key] {
			carried = append(carried, carriedSample{one, schema.Weight{MS: clampMS(weightMS)}})
			one.atMS = r.elapsedMS
			r.processes[key] = one
		}
	}
	return carried
}

// touch records that a process has a sample on the day of ts.
func (p *planner) touch(ref *processRef, ts snapshot.Time) {
	if day := int32(int64(ts) / 86_400_000); ref.day < day {
		p.touched[ref] = max(p.touched[ref], day)
	}
}

// ref returns the row of processes that a sample belongs to: known, or another one if the sample has a
// new identity. It returns nil if the process is unknown and the sample has no identity.
func (p *planner) ref(s *snapshot.Snapshot, sample *snapshot.ProcessSample, known *processRef) *processRef {
	if !sample.HasIdentity() {
		return known
	}
	var hash int64
	hash, p.w.scratch = identityHash(p.w.scratch, p.w.writer.textHashKey, sample.Identity())
	if known != nil && known.identity == hash {
		return known
	}
	key := refKey{p.machine.id, sample.Key(), hash}
	if ref := p.w.newRefs[key]; ref != nil {
		return ref
	}
	if ref := p.newRefs[key]; ref != nil {
		return ref
	}
	ref := &processRef{identity: hash}
	p.newRefs[key] = ref
	p.fresh = append(p.fresh, newRef{key, ref, sample, backend.StartOfDay(s.Timestamp.Std())})
	return ref
}
