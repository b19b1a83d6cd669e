package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// AuditEntryView is an entry of the audit log.
type AuditEntryView struct {
	Timestamp snapshot.Time  `json:"timestamp" format:"date-time"`
	Actor     string         `json:"actor" doc:"A user's name, a token, an enrolment key, or shell for the server's command line"`
	Action    string         `json:"action" example:"machine.changed"`
	Target    string         `json:"target" example:"machine web-1"`
	Detail    map[string]any `json:"detail" doc:"What was changed; depends on the action"`
	Address   string         `json:"address" doc:"IP address of the client; empty for the command line"`
	RequestID string         `json:"request_id" doc:"ID of the request in the server's log"`
}

func auditEntryView(e *accounts.Entry) AuditEntryView {
	return AuditEntryView{
		Timestamp: snapshot.TimeOf(e.At),
		Actor:     e.Actor,
		Action:    e.Action,
		Target:    e.Target,
		Detail:    e.Detail,
		Address:   e.Address,
		RequestID: e.RequestID,
	}
}

// AuditLog is a page of the audit log.
type AuditLog struct {
	Results    []AuditEntryView `json:"results" nullable:"false" doc:"Entries, newest first"`
	NextCursor *string          `json:"next_cursor" doc:"Cursor of the next page; null on the last page"`
}

type auditListInput struct {
	Actor  string   `query:"actor" maxLength:"200" example:"ali*" doc:"Only entries of this actor. With * (any text), a pattern in any case"`
	Action string   `query:"action" maxLength:"64" example:"machine.*" doc:"Only entries of this action. With *, a pattern"`
	Target string   `query:"target" maxLength:"200" example:"machine web-1" doc:"Only entries of this target. With *, a pattern"`
	From   timeText `query:"from" doc:"Start of the time window. Default: the oldest entry"`
	To     timeText `query:"to" doc:"End of the time window. Default: now"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of entries on a page"`
	Cursor string   `query:"cursor" maxLength:"2000" doc:"next_cursor of the previous page, with the same other parameters"`
}

func (a *API) registerAudit() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/audit", "list-audit", tagAccounts,
		"Query the audit log",
		description("The log records changes of machines, users, tokens and settings.")), a.listAudit)
}

func (a *API) listAudit(ctx context.Context, in *auditListInput) (*response[AuditLog], error) {
	q := accounts.AuditQuery{
		Actor:  in.Actor,
		Action: in.Action,
		Target: in.Target,
		From:   time.Unix(0, 0),
		To:     a.cfg.Now().AddDate(1, 0, 0),
		Limit:  in.Limit + 1,
	}
	if from, err := parseOptionalTime("from", in.From); err != nil {
		return nil, err
	} else if from != nil {
		q.From = *from
	}
	if to, err := parseOptionalTime("to", in.To); err != nil {
		return nil, err
	} else if to != nil {
		q.To = *to
	}
	if in.Cursor != "" {
		if err := decodeInts(in.Cursor, "audit", &q.BeforeID); err != nil {
			return nil, err
		}
	}
	entries, err := a.auth.Audit(ctx, q)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	entries, next := pageByID("audit", entries, in.Limit, func(e *accounts.Entry) int64 { return e.ID })
	return &response[AuditLog]{AuditLog{Results: views(entries, auditEntryView), NextCursor: next}}, nil
}
