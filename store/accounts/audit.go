package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/store/textsearch"
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
func (a *Accounts) Record(ctx context.Context, e *Entry) error { return insertEntry(ctx, a.pool, e) }

func insertEntry(ctx context.Context, q interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, e *Entry) error {
	detail := e.Detail
	if detail == nil {
		detail = map[string]any{}
	}
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("encode an audit entry: %w", err)
	}
	_, err = q.Exec(
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

// AuditQuery selects entries of [From, To), the newest first. Empty strings match any value. A text with * is a
// textsearch.Pattern of the whole value.
type AuditQuery struct {
	Actor, Action, Target string
	From, To              time.Time
	BeforeID              int64 // 0 to start with the newest
	Limit                 int
}

// Audit returns entries of the audit log.
func (a *Accounts) Audit(ctx context.Context, q AuditQuery) ([]Entry, error) {
	sql, args := `SELECT id, at, actor, action, target, detail, address, request_id FROM audit_log
		WHERE at >= $1 AND at < $2 AND ($3::bigint = 0 OR id < $3)`, []any{q.From, q.To, q.BeforeID}
	parameter := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	match := func(column, text string) {
		if text == "" {
			return
		}
		if strings.Contains(text, "*") {
			sql += " AND " + textsearch.Parse(text).Condition(parameter, column)
		} else {
			sql += " AND " + column + " = " + parameter(text)
		}
	}
	match("actor", q.Actor)
	match("action", q.Action)
	match("target", q.Target)
	sql += " ORDER BY id DESC LIMIT " + parameter(q.Limit)
	rows, err := a.pool.Query(ctx, sql, args...)
	return list(rows, err, "read the audit log", func(row pgx.CollectableRow) (e Entry, err error) {
		return e, row.Scan(&e.ID, &e.At, &e.Actor, &e.Action, &e.Target, &e.Detail, &e.Address, &e.RequestID)
	})
}
