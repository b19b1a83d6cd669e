package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Entry is an entry of the audit log.
type Entry struct {
	ID        int64
	At        time.Time
	Actor     string
	Action    string
	Target    string
	Detail    map[string]any
	Address   string
	RequestID string
}

// Record adds an entry.
func (a *Accounts) Record(ctx context.Context, e *Entry) error {
	detail := e.Detail
	if detail == nil {
		detail = map[string]any{}
	}
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("encode an audit entry: %w", err)
	}
	_, err = a.pool.Exec(
		ctx,
		`INSERT INTO audit_log (at, actor, action, target, detail, address, request_id) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.At,
		e.Actor,
		e.Action,
		e.Target,
		string(text),
		e.Address,
		e.RequestID,
	)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// AuditQuery selects entries of [From, To), the newest first. Empty strings match any value. A text with * (any text)
// is a pattern of the whole value, in which upper and lower case of a to z are the same.
type AuditQuery struct {
	Actor, Action, Target string
	From, To              time.Time
	BeforeID              int64 // 0 to start with the newest
	Limit                 int
}

// Audit returns entries of the audit log.
func (a *Accounts) Audit(ctx context.Context, q AuditQuery) ([]Entry, error) {
	sql, args := `SELECT id, at, actor, action, target, detail, address, request_id FROM audit_log
		WHERE at >= $1 AND at < $2 AND ($3 = 0 OR id < $3)`, []any{q.From, q.To, q.BeforeID}
	match := func(column, text string) {
		if text == "" {
			return
		}
		condition := " AND %s = $%d"
		if strings.Contains(text, "*") {
			condition = ` AND lower(%s COLLATE "C") LIKE lower($%d COLLATE "C")`
			text = auditPattern.Replace(text)
		}
		args = append(args, text)
		sql += fmt.Sprintf(condition, column, len(args))
	}
	match("actor", q.Actor)
	match("action", q.Action)
	match("target", q.Target)
	args = append(args, q.Limit)
	rows, err := a.pool.Query(ctx, fmt.Sprintf("%s ORDER BY id DESC LIMIT $%d", sql, len(args)), args...)
	return list(rows, err, "read the audit log", func(row pgx.CollectableRow) (e Entry, err error) {
		return e, row.Scan(&e.ID, &e.At, &e.Actor, &e.Action, &e.Target, &e.Detail, &e.Address, &e.RequestID)
	})
}

// auditPattern converts a pattern with * to one of LIKE.
var auditPattern = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`)
