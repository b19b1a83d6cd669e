package accounts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Enrolment is the exchange of a use of an enrolment key for the token of a machine's agent.
type Enrolment struct {
	KeyHash, TokenHash []byte
	MachineID          string
	At                 time.Time
	Address, RequestID string // of the agent's request, for the audit log

	// Enrol sets the fields below.

	// Token is the new token, nil if Err is set.
	Token *Token
	// Replaced are the ids of the machine's previous tokens, which were deleted.
	Replaced []int64
	// Err is ErrNotFound if the key is not valid, and ErrEnrolled if the machine already has a token that the key does
	// not allow to replace.
	Err error

	key *Key
}

// Enrol enrols machines, all in one transaction. Tokens and machines get the tags of the keys. Refused enrolments use
// no key and do not affect the others. The machines must differ.
func (a *Accounts) Enrol(ctx context.Context, list []*Enrolment) error {
	if len(list) == 0 {
		return nil
	}
	err := pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		if err := lockForEnrolment(ctx, tx, list); err != nil {
			return err
		}
		if err := checkEnrolled(ctx, tx, list); err != nil {
			return err
		}
		return enrol(ctx, tx, slices.DeleteFunc(slices.Clone(list), func(e *Enrolment) bool { return e.Err != nil }))
	})
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	return nil
}

// lockForEnrolment locks the machines and the keys, each in a fixed order, and sets the keys. It sets the error of
// enrolments whose key is not valid. If two servers enrol a machine at the same time, the second one waits and finds
// the token.
func lockForEnrolment(ctx context.Context, tx pgx.Tx, list []*Enrolment) error {
	machines, hashes := make([]string, len(list)), make([][]byte, len(list))
	for i, e := range list {
		machines[i], hashes[i] = e.MachineID, e.KeyHash
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(h) FROM (
		SELECT DISTINCT hashtextextended('snapwatch machine ' || id, 0) h FROM unnest($1::text[]) id ORDER BY h) x`,
		machines); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT secret_hash, `+keyColumns+` FROM enrolment_keys WHERE secret_hash = ANY($1)
		ORDER BY id FOR UPDATE`, hashes)
	if err != nil {
		return err
	}
	keys := make(map[string]*Key)
	if _, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var hash []byte
		var k Key
		err := row.Scan(append([]any{&hash}, k.fields()...)...)
		keys[string(hash)] = &k
		return struct{}{}, err
	}); err != nil {
		return err
	}
	for _, e := range list {
		if e.key = keys[string(e.KeyHash)]; e.key == nil || e.key.ExpiresAt != nil && !e.key.ExpiresAt.After(e.At) {
			e.Err = ErrNotFound
		}
	}
	return nil
}

// checkEnrolled sets Replaced, and the error of enrolments whose machine has a token that they may not replace. It
// counts the uses of keys, and sets the error of those for which none are left.
func checkEnrolled(ctx context.Context, tx pgx.Tx, list []*Enrolment) error {
	machines := make([]string, len(list))
	byMachine := make(map[string]*Enrolment, len(list))
	for i, e := range list {
		machines[i], byMachine[e.MachineID] = e.MachineID, e
	}
	rows, err := tx.Query(ctx, `SELECT id, machine_id, expires_at FROM tokens WHERE machine_id = ANY($1)`, machines)
	if err != nil {
		return err
	}
	hasToken := make(map[string]bool)
	var id int64
	var machineID string
	var expiresAt *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &machineID, &expiresAt}, func() error {
		e := byMachine[machineID]
		e.Replaced = append(e.Replaced, id)
		hasToken[machineID] = hasToken[machineID] || expiresAt == nil || expiresAt.After(e.At)
		return nil
	}); err != nil {
		return err
	}
	for _, e := range list {
		switch {
		case e.Err != nil:
		case e.key.UsesLeft != nil && *e.key.UsesLeft <= 0:
			e.Err = ErrNotFound
		case hasToken[e.MachineID] && !e.key.TakesOver:
			e.Err = ErrEnrolled
		case e.key.UsesLeft != nil:
			*e.key.UsesLeft--
		}
		if e.Err != nil {
			e.Replaced = nil
		}
	}
	return nil
}

// enrol writes the enrolments that have no error.
func enrol(ctx context.Context, tx pgx.Tx, list []*Enrolment) error {
	if len(list) == 0 {
		return nil
	}
	var replaced []int64
	used := make(map[int64]*Key)
	for _, e := range list {
		replaced, used[e.key.ID] = append(replaced, e.Replaced...), e.key
	}
	for id, k := range used {
		if k.UsesLeft == nil {
			continue
		}
		_, err := tx.Exec(ctx, `UPDATE enrolment_keys SET uses_left = $2 WHERE id = $1`, id, k.UsesLeft)
		if err != nil {
			return fmt.Errorf("use a key: %w", err)
		}
	}
	if len(replaced) > 0 {
		if _, err := tx.Exec(ctx, `DELETE FROM tokens WHERE id = ANY($1)`, replaced); err != nil {
			return fmt.Errorf("delete replaced tokens: %w", err)
		}
	}
	if err := insertAgentTokens(ctx, tx, list); err != nil {
		return err
	}
	return tagMachines(ctx, tx, list)
}

// insertAgentTokens creates the tokens and their entries in the audit log, and sets Token.
func insertAgentTokens(ctx context.Context, tx pgx.Tx, list []*Enrolment) error {
	machines, keys, hashes, times := enrolmentColumns(list)
	byMachine := make(map[string]*Enrolment, len(list))
	addresses, requests := make([]string, len(list)), make([]string, len(list))
	for i, e := range list {
		byMachine[e.MachineID], addresses[i], requests[i] = e, e.Address, e.RequestID
	}
	rows, err := tx.Query(ctx, `INSERT INTO tokens (secret_hash, name, role, machine_id, tags, created_at, created_by)
		SELECT u.hash, 'agent', 'agent', u.machine_id, k.tags, u.at, 'enrolment key ' || k.name
		FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::timestamptz[]) u(machine_id, key, hash, at)
		JOIN enrolment_keys k ON k.id = u.key
		RETURNING `+tokenColumns, machines, keys, hashes, times)
	if err != nil {
		return fmt.Errorf("create tokens: %w", err)
	}
	created, err := pgx.CollectRows(rows, scanToken)
	if err != nil {
		return fmt.Errorf("create tokens: %w", err)
	}
	for i := range created {
		byMachine[*created[i].MachineID].Token = &created[i]
	}
	if _, err := tx.Exec(ctx, `INSERT INTO audit_log (at, actor, action, target, detail, address, request_id)
		SELECT u.at, 'enrolment key ' || k.name, 'machine.enrolled', 'machine ' || u.machine_id,
			jsonb_build_object('tags', k.tags), u.address, u.request_id
		FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[])
			u(machine_id, key, at, address, request_id)
		JOIN enrolment_keys k ON k.id = u.key`, machines, keys, times, addresses, requests); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// tagMachines adds the tags of the keys to machines that exist already. It locks them in the order of the writer.
func tagMachines(ctx context.Context, tx pgx.Tx, list []*Enrolment) error {
	tagged := slices.DeleteFunc(slices.Clone(list), func(e *Enrolment) bool { return len(e.key.Tags) == 0 })
	if len(tagged) == 0 {
		return nil
	}
	machines, keys, _, _ := enrolmentColumns(tagged)
	if _, err := tx.Exec(ctx, `SELECT FROM machines WHERE machine_id = ANY($1) ORDER BY machine_id FOR NO KEY UPDATE`,
		machines); err != nil {
		return fmt.Errorf("lock machines: %w", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE machines m SET tags = ARRAY(SELECT DISTINCT unnest(m.tags || k.tags) ORDER BY 1)
		FROM unnest($1::text[], $2::bigint[]) u(machine_id, key) JOIN enrolment_keys k ON k.id = u.key
		WHERE m.machine_id = u.machine_id AND NOT m.tags @> k.tags`, machines, keys); err != nil {
		return fmt.Errorf("tag machines: %w", err)
	}
	return nil
}

// enrolmentColumns returns values of each enrolment, for unnest.
func enrolmentColumns(list []*Enrolment) (machines []string, keys []int64, hashes [][]byte, times []time.Time) {
	for _, e := range list {
		machines, keys = append(machines, e.MachineID), append(keys, e.key.ID)
		hashes, times = append(hashes, e.TokenHash), append(times, e.At)
	}
	return machines, keys, hashes, times
}
