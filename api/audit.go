package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// AuditView is a line of the audit log.
type AuditEntryView struct {
	Timestamp snapshot.Time  `json:"timestamp" format:"date-time"`
	Actor     string         `json:"actor" doc:"Who: a user's name, a token, an enrolment key, or shell for the server's command line"`
	Action    string         `json:"action" example:"machine.changed"`
	Target    string         `json:"target" example:"machine web-1"`
	Detail    map[string]any `json:"detail"`
	Address   string         `json:"address" doc:"Where from; empty for the command line"`
	RequestID string         `json:"request_id"`
}

type auditListInput struct {
	Actor  string `query:"actor" maxLength:"200"`
	Action string `query:"action" maxLength:"64"`
	Target string `query:"target" maxLength:"200" example:"machine web-1"`
	From   string `query:"from" format:"date-time"`
	To     string `query:"to" format:"date-time"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before, with the same other parameters"`
}

type auditList struct {
	Body struct {
		Results    []AuditEntryView `json:"results" nullable:"false" doc:"The newest first"`
		NextCursor *string          `json:"next_cursor"`
	}
}

func (a *API) registerAudit() {
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-audit",
			Method:      http.MethodGet,
			Path:        "/api/v1/audit",
			Tags:        []string{"accounts"},
			Summary:     "Who did what to which machine, user, token or setting",
		},
		a.listAudit,
	)
}

func (a *API) listAudit(ctx context.Context, in *auditListInput) (*auditList, error) {
	q := accounts.AuditQuery{
		Actor:  in.Actor,
		Action: in.Action,
		Target: in.Target,
		From:   time.Unix(0, 0),
		To:     a.cfg.Now().AddDate(1, 0, 0),
		Limit:  in.Limit + 1,
	}
	for _, one := range []struct {
		field, text string
		into        *time.Time
	}{{"from", in.From, &q.From}, {"to", in.To, &q.To}} {
		if at, err := parseExpiry(one.field, one.text); err != nil {
			return nil, err
		} else if at != nil {
			*one.into = *at
		}
	}
	if err := decodeIDCursor(in.Cursor, "audit", &q.BeforeID); err != nil {
		return nil, err
	}
	entries, err := a.auth.Audit(ctx, q)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &auditList{}
	out.Body.Results = make([]AuditEntryView, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		if i == in.Limit {
			out.Body.NextCursor = encodeIDCursor("audit", entries[i-1].ID)
			break
		}
		out.Body.Results = append(
			out.Body.Results,
			AuditEntryView{
				Timestamp: snapshot.TimeOf(e.At),
				Actor:     e.Actor,
				Action:    e.Action,
				Target:    e.Target,
				Detail:    e.Detail,
				Address:   e.Address,
				RequestID: e.RequestID,
			},
		)
	}
	return out, nil
}
