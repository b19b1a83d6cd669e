package api

import (
	"context"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// SessionView is a session of a user.
type SessionView struct {
	ID        int64         `json:"id"`
	CreatedAt snapshot.Time `json:"created_at" format:"date-time"`
	LastSeen  snapshot.Time `json:"last_seen" format:"date-time" doc:"Last use, to the minute"`
	ExpiresAt snapshot.Time `json:"expires_at" format:"date-time"`
	Address   string        `json:"address" doc:"IP address at sign-in"`
	UserAgent string        `json:"user_agent"`
	Current   bool          `json:"current" doc:"Whether this request uses the session"`
}

// SessionList lists the sessions of a user.
type SessionList struct {
	Results []SessionView `json:"results" nullable:"false" doc:"Sessions, most recently used first"`
}

// SessionPath is the path parameter of a session.
type SessionPath struct {
	SessionID int64 `path:"session_id" minimum:"1"`
}

func (a *API) listSessions(ctx context.Context, userID int64) (*response[SessionList], error) {
	sessions, err := a.auth.Sessions(ctx, userID)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	current := auth.PrincipalOf(ctx).SessionID
	return &response[SessionList]{SessionList{views(sessions, func(s *accounts.Session) SessionView {
		return SessionView{
			ID:        s.ID,
			CreatedAt: snapshot.TimeOf(s.CreatedAt),
			LastSeen:  snapshot.TimeOf(s.LastSeen),
			ExpiresAt: snapshot.TimeOf(s.ExpireAt),
			Address:   s.Address,
			UserAgent: s.UserAgent,
			Current:   s.ID == current,
		}
	})}}, nil
}
