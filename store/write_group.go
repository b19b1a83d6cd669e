package store

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// groupWrite is one transaction of the writer. It first works out what is to be
// written, batch by batch and against the machines' chains, and then writes all
// of it with a handful of statements.
type groupWrite struct {
	store    *Store
	tx       pgx.Tx
	now      time.Time
	machines map[string]*machineRow
	chains   map[int32]*chain // as they will be after the commit

	rows    []newSnapshot
	fresh   []newRef               // identities that may not be in processes yet
	newRefs map[refKey]*processRef // the same by key
	touched map[*processRef]int32  // last_day to raise
	scratch []byte                 // of identityHash

	outcomes []snapshot.WriteResult
	newest   map[string]snapshot.Time
	samples  int
}

// machineRow is a locked row of machines.
type machineRow struct {
	id            int32
	machineID     string
	lastSnapshot  snapshot.Time
	config        snapshot.Config
	configVersion int64
	unregistered  bool
}

// newSnapshot is a row of snapshots to be, with its samples.
type newSnapshot struct {
	batch      int
	machine    *machineRow
	snapshot   *snapshot.Snapshot
	fullTS     snapshot.Time
	intervalMS int64
	processes  int           // how many run at this instant
	refs       []*processRef // of snapshot.Processes
	exited     []*processRef // of snapshot.Exited
	carried    []running     // the others, where changes are stored in full
}

// inFull tells whether the row has a sample of every process.
func (n *newSnapshot) inFull() bool { return n.fullTS == n.snapshot.Timestamp }

type refKey struct {
	machine  int32
	key      snapshot.ProcessKey
	identity int64
}

func (w *groupWrite) run(ctx context.Context, batches []*snapshot.Batch) error {
	if err := w.lockMachines(ctx, batches); err != nil {
		return err
	}
	w.outcomes = make([]snapshot.WriteResult, len(batches))
	for i, batch := range batches {
		if err := w.plan(ctx, i, batch); err != nil {
			return err
		}
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
	if err := w.markHours(ctx); err != nil {
		return fmt.Errorf("mark hours for rollups: %w", err)
	}
	return w.updateMachines(ctx)
}

// markHours tells the profile which hours of which machines have new rows.
func (w *groupWrite) markHours(ctx context.Context) error {
	type machineHour struct{ machine, hour int32 }
	seen := make(map[machineHour]bool)
	var machines []int32
	var hours []time.Time
	for i := range w.rows {
		at := machineHour{w.rows[i].machine.id, hourOf(w.rows[i].snapshot.Timestamp)}
		if !seen[at] {
			seen[at] = true
			machines, hours = append(machines, at.machine), append(hours, time.Unix(int64(at.hour)*3600, 0).UTC())
		}
	}
	if len(machines) == 0 {
		return nil
	}
	return w.store.profile.mark(ctx, w.tx, machines, hours)
}

// plan works out the rows of one batch, or its fault.
func (w *groupWrite) plan(ctx context.Context, index int, batch *snapshot.Batch) error {
	machine := w.machines[batch.MachineID]
	outcome := &w.outcomes[index]
	outcome.Ack = snapshot.Ack{
		Config:        machine.config,
		ConfigVersion: machine.configVersion,
		Unregistered:  machine.unregistered,
	}
	if len(batch.Snapshots) == 0 {
		return nil
	}
	before, err := w.neighbours(ctx, machine, batch)
	if err != nil {
		return err
	}
	p := planner{w: w, batch: batch, index: index, machine: machine, neighbours: before, chain: w.chainOf(machine)}
	fault, err := p.run(ctx)
	if err != nil {
		return err
	}
	if fault != nil {
		outcome.Err = fault
		return nil //nolint:nilerr // it is the batch's outcome, and no failure of the group
	}
	outcome.Ack.Duplicates = p.duplicates
	w.rows = append(w.rows, p.rows...)
	w.fresh = append(w.fresh, p.fresh...)
	maps.Copy(w.newRefs, p.newRefs)
	maps.Copy(w.touched, p.touched)
	if p.chain != nil {
		w.chains[machine.id] = p.chain
	}
	return nil
}

// chainOf returns a copy of the chain that earlier batches of the group have made
// for a machine: a fault in the next one must leave it as it is.
func (w *groupWrite) chainOf(machine *machineRow) *chain {
	planned := w.chains[machine.id]
	if planned == nil {
		return nil
	}
	return &chain{ts: planned.ts, fullTS: planned.fullTS, processes: maps.Clone(planned.processes)}
}

// planner works out the rows of one batch. It changes nothing of the group
// until the whole batch is known to be good.
type planner struct {
	w          *groupWrite
	batch      *snapshot.Batch
	index      int
	machine    *machineRow
	neighbours map[snapshot.Time]neighbour // of instants not after the machine's newest
	chain      *chain                      // the newest chain that this batch extends; ours to change

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

func (p *planner) run(ctx context.Context) (*snapshot.ValidationError, error) {
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
		before, fault, err := p.chainBefore(ctx, i, s, around, late)
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
		Reason:    fmt.Sprintf(format, args...),
		Timestamp: p.batch.Snapshots[i].Timestamp, ServerTime: snapshot.TimeOf(p.w.now),
	}
}

// chainBefore returns the chain that ends at the snapshot before s; nil if there
// is none. A full snapshot needs only its end, a changes one its processes too.
func (p *planner) chainBefore(
	ctx context.Context, i int, s *snapshot.Snapshot, around neighbour, late bool,
) (*chain, *snapshot.ValidationError, error) {
	before := p.chain
	switch {
	case late && (before == nil || before.ts < around.before || before.ts > s.Timestamp):
		before = nil
		if around.before != 0 {
			if before = p.w.store.chains.take(p.machine.id, around.before); before == nil {
				before = &chain{ts: around.before, fullTS: around.beforeFull}
			}
		}
	case !late && p.machine.lastSnapshot != 0 && (before == nil || before.ts < p.machine.lastSnapshot):
		before = p.w.store.chains.take(p.machine.id, p.machine.lastSnapshot)
		if before == nil {
			full, err := p.w.fullOf(ctx, p.machine.id, p.machine.lastSnapshot)
			if err != nil {
				return nil, nil, err
			}
			before = &chain{ts: p.machine.lastSnapshot, fullTS: full}
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
		processes, err := p.w.loadChain(ctx, p.machine.id, before.fullTS, before.ts)
		if err != nil {
			return nil, nil, err
		}
		before = &chain{ts: before.ts, fullTS: before.fullTS, processes: processes}
	}
	return before, nil, nil
}

// add plans the rows of one snapshot and moves the chain on to it. The first
// snapshot of a machine in an hour is stored in full even if it came as changes:
// so an hour's rows say everything about it, rollups of it are exact, and no run
// of changes reaches from one compressed segment or partition into the next.
func (p *planner) add(i int, s *snapshot.Snapshot, before *chain) *snapshot.ValidationError {
	row := newSnapshot{
		batch:      p.index,
		machine:    p.machine,
		snapshot:   s,
		fullTS:     s.Timestamp,
		intervalMS: p.interval(s, before),
		refs:       make([]*processRef, len(s.Processes)),
		exited:     make([]*processRef, len(s.Exited)),
	}
	next := &chain{ts: s.Timestamp, fullTS: s.Timestamp}
	var known map[snapshot.ProcessKey]running
	if before != nil {
		known = before.processes
	}
	inFull := s.Kind != snapshot.KindChanges
	if inFull {
		next.processes = make(map[snapshot.ProcessKey]running, len(s.Processes))
	} else {
		next.processes = known
		if inFull = hourOf(before.ts) != hourOf(s.Timestamp); !inFull {
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
		next.processes[sample.Key()] = running{ref: ref, levels: levelsOf(&values)}
	}
	row.processes = len(next.processes)
	p.chain = next
	p.rows = append(p.rows, row)
	return nil
}

// carry lists the processes that a changes snapshot says nothing of.
func carry(processes map[snapshot.ProcessKey]running, said []snapshot.ProcessSample) []running {
	spoken := make(map[snapshot.ProcessKey]bool, len(said))
	for i := range said {
		spoken[said[i].Key()] = true
	}
	carried := make([]running, 0, len(processes))
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
	p.fresh = append(p.fresh, newRef{key, ref, sample, midnight(s.Timestamp.Std())})
	return ref
}

// hourOf returns the hours since 1970.
func hourOf(ts snapshot.Time) int32 { return int32(int64(ts) / 3_600_000) }

// interval returns the milliseconds that a snapshot's amounts cover: as the
// agent says, or since the snapshot before, or the polling interval.
func (p *planner) interval(s *snapshot.Snapshot, before *chain) int64 {
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
