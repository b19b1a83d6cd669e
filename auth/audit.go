package auth

import (
	"context"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// Record adds an action of the request's caller to the audit log. Outside of a request the actor is "shell".
// If the log cannot be written, the action is not undone and the entry goes to the server's log.
func (s *Service) Record(ctx context.Context, action, target string, detail map[string]any) {
	s.record(ctx, "", action, target, detail)
}

// record is Record with an actor; "" means the caller.
func (s *Service) record(ctx context.Context, actor, action, target string, detail map[string]any) {
	entry := s.auditEntry(ctx, actor, action, target, detail)
	if err := s.accounts.Record(context.WithoutCancel(ctx), entry); err != nil {
		s.logger.Error("could not write the audit log", "actor", entry.Actor, "action", action, "target", target,
			"detail", detail, "request_id", entry.RequestID, "err", err)
	}
}

// auditEntry returns an entry of the audit log. An actor "" means the caller.
func (s *Service) auditEntry(
	ctx context.Context, actor, action, target string, detail map[string]any,
) *accounts.Entry {
	client := ClientOf(ctx)
	if actor == "" {
		actor = "unknown"
		if p := PrincipalOf(ctx); p != nil {
			actor = p.Name
		} else if client == (Client{}) {
			actor = "shell"
		}
	}
	return &accounts.Entry{
		At:        s.cfg.Now(),
		Actor:     actor,
		Action:    action,
		Target:    target,
		Detail:    detail,
		Address:   client.Address,
		RequestID: client.RequestID,
	}
}

// Audit returns a page of the audit log.
func (s *Service) Audit(ctx context.Context, q accounts.AuditQuery) ([]accounts.Entry, error) {
	return s.accounts.Audit(ctx, q)
}
