package writer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/schema"
)

// textSet resolves the texts of the short-lived processes of a transaction. last_day of a text is at least the day on
// which it was last written, by the clock of the server, so a text of today is not deleted by retention.
type textSet struct {
	cache    *textCache
	key      string // of hashes
	day      int32  // today, in days since 1970
	splitter templateSplitter
	buffer   []byte

	missing map[textKey][]textUse // texts that are not in the cache
	texts   [2][]newText          // those of missing by table, in the order in which they occurred
	// found are the texts that this transaction looked up or inserted. They are put into the cache after the commit.
	found map[textKey]textRow
}

// textUse is a field that must be set to the id of a text.
type textUse struct {
	command *int64
	owner   *int32
}

func (u textUse) set(id int64) {
	if u.command != nil {
		*u.command = id
	} else {
		*u.owner = int32(id)
	}
}

// newText is a text that may have no row yet: a name and a command line or template, or a user and a control group.
type newText struct {
	key           textKey
	first, second string
	hasVars       bool // whether second is a template
}

func newTextSet(cache *textCache, key string, now time.Time) *textSet {
	return &textSet{cache: cache, key: key, day: int32(now.Unix() / 86400),
		missing: make(map[textKey][]textUse), found: make(map[textKey]textRow)}
}

// command sets the command and the variable parts of a process, at once or in resolve.
func (t *textSet) command(machine int32, name, commandLine string, process *schema.ShortLived) {
	hasVars := t.splitter.split(commandLine)
	if hasVars {
		process.Vars = string(t.splitter.vars)
	}
	key := textKey{machine: machine, table: commandTable}
	key.hash, t.buffer = hashCommand(t.buffer, t.key, name, t.splitter.template, hasVars)
	if t.use(key, textUse{command: &process.Command}) {
		t.texts[key.table] = append(t.texts[key.table], newText{key, name, string(t.splitter.template), hasVars})
	}
}

// owner sets the owner of a process, at once or in resolve.
func (t *textSet) owner(machine int32, user, cgroup string, process *schema.ShortLived) {
	key := textKey{machine: machine, table: ownerTable}
	key.hash, t.buffer = hashOwner(t.buffer, t.key, user, cgroup)
	if t.use(key, textUse{owner: &process.Owner}) {
		t.texts[key.table] = append(t.texts[key.table], newText{key, user, cgroup, false})
	}
}

// use sets a field to the id of a text, or remembers it for resolve. It reports whether the text is missing and was not
// remembered before.
func (t *textSet) use(key textKey, use textUse) (isNew bool) {
	if id, ok := t.cache.get(key, t.day); ok {
		use.set(id)
		return false
	}
	uses, seen := t.missing[key]
	t.missing[key] = append(uses, use)
	return !seen
}

// resolve finds or inserts the missing texts. The locks on the machines' rows keep other writers from inserting the
// same rows.
func (t *textSet) resolve(ctx context.Context, tx pgx.Tx) error {
	if len(t.missing) == 0 {
		return nil
	}
	for table, list := range t.texts {
		if err := t.find(ctx, tx, textTable(table), list); err != nil {
			return fmt.Errorf("find %s: %w", textTables[table].name, err)
		}
		if err := t.insert(ctx, tx, textTable(table), list); err != nil {
			return fmt.Errorf("insert %s: %w", textTables[table].name, err)
		}
	}
	for key, uses := range t.missing {
		row, ok := t.found[key]
		if !ok {
			return fmt.Errorf("a text of machine %d was not inserted", key.machine)
		}
		for _, use := range uses {
			use.set(row.id)
		}
	}
	return nil
}

// textTables are the names of the tables and the statements that insert rows.
var textTables = [...]struct{ name, insert string }{
	commandTable: {"commands", `
		INSERT INTO commands (machine, hash, last_day, name, command_line, has_vars)
		SELECT u.machine, u.hash, $3, u.name, u.command_line, u.has_vars
		FROM unnest($1::integer[], $2::bigint[], $4::text[], $5::text[], $6::boolean[])
			u(machine, hash, name, command_line, has_vars)
		RETURNING id, machine, hash`},
	ownerTable: {"owners", `
		INSERT INTO owners (machine, hash, last_day, user_name, cgroup)
		SELECT u.machine, u.hash, $3, u.user_name, u.cgroup
		FROM unnest($1::integer[], $2::bigint[], $4::text[], $5::text[]) u(machine, hash, user_name, cgroup)
		RETURNING id, machine, hash`},
}

// find looks up texts. It locks the rows that it finds, so that retention does not delete them before the commit, and
// raises last_day.
func (t *textSet) find(ctx context.Context, tx pgx.Tx, table textTable, list []newText) error {
	if len(list) == 0 {
		return nil
	}
	name := textTables[table].name
	if err := t.collect(ctx, tx, table, `SELECT t.id, t.machine, t.hash
		FROM unnest($1::integer[], $2::bigint[]) u(machine, hash)
		JOIN `+name+` t ON t.machine = u.machine AND t.hash = u.hash
		FOR KEY SHARE OF t`, keyColumnsOf(list)...); err != nil {
		return err
	}
	var ids []int64
	for i := range list {
		if row, ok := t.found[list[i].key]; ok {
			ids = append(ids, row.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE `+name+` SET last_day = $2 WHERE id = ANY($1) AND last_day < $2`, ids, t.date())
	return err
}

// insert inserts the texts that find did not find.
func (t *textSet) insert(ctx context.Context, tx pgx.Tx, table textTable, list []newText) error {
	missing := slices.DeleteFunc(slices.Clone(list), func(n newText) bool {
		_, found := t.found[n.key]
		return found
	})
	if len(missing) == 0 {
		return nil
	}
	first, second, hasVars := make([]string, len(missing)), make([]string, len(missing)), make([]bool, len(missing))
	for i := range missing {
		first[i], second[i], hasVars[i] = missing[i].first, missing[i].second, missing[i].hasVars
	}
	args := append(keyColumnsOf(missing), t.date(), first, second)
	if table == commandTable {
		args = append(args, hasVars)
	}
	return t.collect(ctx, tx, table, textTables[table].insert, args...)
}

// collect runs a statement that returns the id, machine and hash of texts.
func (t *textSet) collect(ctx context.Context, tx pgx.Tx, table textTable, sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	row, key := textRow{day: t.day}, textKey{table: table}
	_, err = pgx.ForEachRow(rows, []any{&row.id, &key.machine, &key.hash}, func() error {
		t.found[key] = row
		return nil
	})
	return err
}

// date returns today as a date.
func (t *textSet) date() time.Time { return time.Unix(int64(t.day)*86400, 0).UTC() }

// keyColumnsOf returns the columns machine and hash of texts, for unnest.
func keyColumnsOf(list []newText) []any {
	machines, hashes := make([]int32, len(list)), make([]int64, len(list))
	for i := range list {
		machines[i], hashes[i] = list[i].key.machine, list[i].key.hash
	}
	return []any{machines, hashes}
}
