package writer

import (
	"context"
	"fmt"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/schema"
)

// planner works out the rows of one batch. It changes nothing of the group
// until the whole batch is known to be good.
type planner struct {
	w          *groupWrite
	batch      *snapshot.Batch
	index      int
	machine    *machineRow
	neighbours map[snapshot.Time]neighbour // of instants not after the machine's newest
	run        *run                        // the newest run that this batch extends; ours to change

	rows       []newSnapshot
	fresh      []newRef
	newRefs    map[refKey]*processRef
	touched    map[*processRef]int32
	duplicates int
}

// neighbour is what is stored around an instant.
type neighbour struct {
	exists             bool
	before, beforeFull snapshot.Time // the snapshot before it, 0 for none
	afterFull          snapshot.Time // what the snapshot after it rests on, 0 for none
}

func (p *planner) plan(ctx context.Context) (*snapshot.ValidationError, error) {
	p.newRefs = make(map[refKey]*processRef)
	p.touched = make(map[*processRef]int32)
	for i := range p.batch.Snapshots {
		s := &p.batch.Snapshots[i]
		around, late := p.neighbours[s.Timestamp]
		if around.exists {
			p.duplicates++
			continue
		}
		if late && around.afterFull != 0 && around.afterFull < s.Timestamp {
			return p.fault(
				i, snapshot.CodeOutOfOrder, "timestamp", "lies inside a run of changes that is already stored",
			), nil
		}
		before, fault, err := p.runBefore(ctx, i, s, around, late)
		if fault != nil || err != nil {
			return fault, err
		}
		if fault := p.add(i, s, before); fault != nil {
			return fault, nil
		}
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

// runBefore returns the run that ends at the snapshot before s; nil if there
// is none. A full snapshot needs only its end, a changes one its processes too.
func (p *planner) runBefore(
	ctx context.Context, i int, s *snapshot.Snapshot, around neighbour, late bool,
) (*run, *snapshot.ValidationError, error) {
	before := p.run
	switch {
	case late && (before == nil || before.ts < around.before || before.ts > s.Timestamp):
		before = nil
		if around.before != 0 {
			if before = p.w.writer.runs.take(p.machine.id, around.before); before == nil {
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
	if s.Kind != snapshot.KindChanges {
		return before, nil, nil
	}
	switch {
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
		processes, err := p.w.loadRun(ctx, p.machine.id, before.fullTS, before.ts)
		if err != nil {
			return nil, nil, err
		}
		before = &run{ts: before.ts, fullTS: before.fullTS, processes: processes}
	}
	return before, nil, nil
}

// add plans the rows of one snapshot and moves the run on to it. The first
// snapshot of a machine in an hour is stored in full even if it came as changes:
// so an hour's rows say everything about it, rollups of it are exact, and no run
// of changes reaches from one compressed segment or partition into the next.
func (p *planner) add(i int, s *snapshot.Snapshot, before *run) *snapshot.ValidationError {
	row := newSnapshot{
		batch:      p.index,
		machine:    p.machine,
		snapshot:   s,
		fullTS:     s.Timestamp,
		intervalMS: p.interval(s, before),
		refs:       make([]*processRef, len(s.Processes)),
		exited:     make([]*processRef, len(s.Exited)),
	}
	next := &run{ts: s.Timestamp, fullTS: s.Timestamp}
	var known map[snapshot.ProcessKey]runningProcess
	if before != nil {
		known = before.processes
	}
	inFull := s.Kind != snapshot.KindChanges
	if inFull {
		next.processes = make(map[snapshot.ProcessKey]runningProcess, len(s.Processes))
	} else {
		next.processes = known
		if inFull = schema.HourOf(before.ts) != schema.HourOf(s.Timestamp); !inFull {
			next.fullTS, row.fullTS = before.fullTS, before.fullTS
		}
	}
	for k, key := range s.Exited {
		if row.exited[k] = next.processes[key].ref; row.exited[k] == nil {
			return p.fault(
				i, snapshot.CodeFullNeeded, fmt.Sprintf("exited[%d]", k),
				"process %d is not in the snapshots before; send a full one", key.PID,
			)
		}
		delete(next.processes, key)
	}
	if inFull && s.Kind == snapshot.KindChanges {
		row.carried = carry(next.processes, s.Processes)
		for _, one := range row.carried {
			p.touch(one.ref, s.Timestamp)
		}
	}
	for k := range s.Processes {
		sample := &s.Processes[k]
		ref := p.ref(s, sample, known[sample.Key()].ref)
		if ref == nil {
			return p.fault(
				i, snapshot.CodeFullNeeded, fmt.Sprintf("processes[%d]", k),
				"process %d is not in the snapshots before, and comes without its name and ppid; send a full one",
				sample.PID,
			)
		}
		p.touch(ref, s.Timestamp)
		row.refs[k] = ref
		if sample.Ended() {
			delete(next.processes, sample.Key())
			continue
		}
		values := sample.Values(row.intervalMS)
		next.processes[sample.Key()] = runningProcess{ref: ref, gauges: gaugesOf(&values)}
	}
	row.processes = len(next.processes)
	p.run = next
	p.rows = append(p.rows, row)
	return nil
}

// carry lists the processes that a changes snapshot says nothing of.
func carry(processes map[snapshot.ProcessKey]runningProcess, said []snapshot.ProcessSample) []runningProcess {
	spoken := make(map[snapshot.ProcessKey]bool, len(said))
	for i := range said {
		spoken[said[i].Key()] = true
	}
	carried := make([]runningProcess, 0, len(processes))
	for key, one := range processes {
		if !spoken[key] {
			carried = append(carried, one)
		}
	}
	return carried
}

// touch notes that a process has a sample on the day of ts.
func (p *planner) touch(ref *processRef, ts snapshot.Time) {
	if day := int32(int64(ts) / 86_400_000); ref.day < day {
		p.touched[ref] = max(p.touched[ref], day)
	}
}

// ref returns the identity that a sample is of: the known one, or another one
// if the sample says so; nil if nothing is known of it.
func (p *planner) ref(s *snapshot.Snapshot, sample *snapshot.ProcessSample, known *processRef) *processRef {
	if !sample.HasIdentity() {
		return known
	}
	var hash int64
	hash, p.w.scratch = identityHash(p.w.scratch, sample.Identity())
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

// interval returns the milliseconds that a snapshot's amounts cover: as the
// agent says, or since the snapshot before, or the polling interval.
func (p *planner) interval(s *snapshot.Snapshot, before *run) int64 {
	if s.IntervalMS > 0 {
		return s.IntervalMS
	}
	if before != nil && before.ts < s.Timestamp {
		if gap := int64(s.Timestamp - before.ts); gap <= snapshot.MaxIntervalMS {
			return gap
		}
	}
	return int64(p.machine.config.PollingInterval * 1000)
}
