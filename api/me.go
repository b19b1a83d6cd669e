package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// SelfView is who the caller is.
type CurrentUserView struct {
	Name      string            `json:"name"`
	Role      auth.Role         `json:"role" enum:"admin,user,agent"`
	Tags      []string          `json:"tags" nullable:"false" doc:"Which machines a user sees; * is all"`
	MachineID string            `json:"machine_id,omitempty" doc:"Of an agent's token"`
	Scopes    []auth.Permission `json:"scopes,omitempty" nullable:"false" doc:"Of a token that is limited: to what"`
	Session   bool              `json:"session" doc:"A person in a session, not a token"`
	Password  bool              `json:"password" doc:"The account has a password here"`
	TOTP      bool              `json:"totp" doc:"The account asks for one-time codes"`
}

func selfView(p *auth.Principal, user *accounts.User) CurrentUserView {
	view := CurrentUserView{Name: p.Name, Role: p.Role, Tags: p.Tags, MachineID: p.MachineID, Scopes: p.Permissions}
	if view.Tags == nil {
		view.Tags = []string{}
	}
	if user != nil {
		view.Session, view.Password, view.TOTP = true, user.PasswordHash != nil, user.TOTPSecret != nil
	}
	return view
}

// SessionView is a log-in that lasts.
type SessionView struct {
	ID        int64         `json:"id"`
	CreatedAt snapshot.Time `json:"created_at" format:"date-time"`
	LastSeen  snapshot.Time `json:"last_seen" format:"date-time" doc:"To the minute"`
	ExpiresAt snapshot.Time `json:"expires_at" format:"date-time"`
	Address   string        `json:"address"`
	UserAgent string        `json:"user_agent"`
	Current   bool          `json:"current" doc:"The one that asks"`
}

type sessionList struct {
	Body struct {
		Results []SessionView `json:"results" nullable:"false" doc:"The last used first"`
	}
}

// SessionPath names a session.
type SessionPath struct {
	SessionID int64 `path:"session_id" minimum:"1"`
}

// TOTPOffer is a key for one-time codes that is not in use yet.
type TOTPKey struct {
	Secret string `json:"secret" doc:"To type into an authenticator"`
	URL    string `json:"url" doc:"otpauth://"`
	Image  string `json:"image" doc:"The same as a QR code: a data: URL"`
}

// PasswordProof shows that it is the account's owner who asks.
type PasswordConfirmation struct {
	Password string `json:"password" minLength:"1" maxLength:"256" doc:"The present one"`
}

func (a *API) registerMe() {
	tags := []string{"own account"}
	huma.Register(a.huma, huma.Operation{OperationID: "get-me", Method: http.MethodGet, Path: "/api/v1/me", Tags: tags,
		Summary: "Who the caller is"}, func(ctx context.Context, _ *struct{}) (*struct{ Body CurrentUserView }, error) {
		p := auth.PrincipalOf(ctx)
		user, err := a.auth.CurrentUser(ctx, p)
		if err != nil && !errors.Is(err, accounts.ErrNotFound) {
			return nil, a.fail(ctx, err)
		}
		return &struct{ Body CurrentUserView }{selfView(p, user)}, nil
	})
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "change-my-password",
			Method:        http.MethodPost,
			Path:          "/api/v1/me/password",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusNoContent,
			Summary:       "Change one's password; one's other sessions end",
		},
		func(ctx context.Context, in *struct {
			Body struct {
				PasswordConfirmation
				NewPassword string `json:"new_password" minLength:"1" maxLength:"256" doc:"At least 12 characters"`
			}
		}) (*struct{}, error) {
			return nil, a.orFail(
				ctx, a.auth.ChangePassword(ctx, auth.PrincipalOf(ctx), in.Body.Password, in.Body.NewPassword),
			)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{OperationID: "offer-totp", Method: http.MethodPost, Path: "/api/v1/me/totp", Tags: tags,
			Summary: "Make a key for one-time codes; it is in use once confirmed"},
		func(ctx context.Context, _ *struct{}) (*struct{ Body TOTPKey }, error) {
			offer, err := a.auth.GenerateTOTPKey(auth.PrincipalOf(ctx))
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return &struct{ Body TOTPKey }{TOTPKey(*offer)}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "confirm-totp",
			Method:        http.MethodPost,
			Path:          "/api/v1/me/totp/confirm",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusNoContent,
			Summary:       "Ask for one-time codes of that key from now on",
		},
		func(ctx context.Context, in *struct {
			Body struct {
				PasswordConfirmation
				Secret string `json:"secret" minLength:"16" maxLength:"64" pattern:"^[A-Z2-7]+$"`
				Code   string `json:"code" minLength:"6" maxLength:"10"`
			}
		}) (*struct{}, error) {
			return nil, a.orFail(
				ctx, a.auth.ConfirmTOTP(ctx, auth.PrincipalOf(ctx), in.Body.Password, in.Body.Secret, in.Body.Code),
			)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "remove-totp",
			Method:        http.MethodPost,
			Path:          "/api/v1/me/totp/remove",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusNoContent,
			Summary:       "Ask for no one-time codes any more",
		},
		func(ctx context.Context, in *struct{ Body PasswordConfirmation }) (*struct{}, error) {
			return nil, a.orFail(ctx, a.auth.RemoveTOTP(ctx, auth.PrincipalOf(ctx), in.Body.Password))
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-my-preferences",
			Method:      http.MethodGet,
			Path:        "/api/v1/me/preferences",
			Tags:        tags,
			Summary:     "How one likes to see processes",
		},
		func(ctx context.Context, _ *struct{}) (*struct{ Body accounts.Preferences }, error) {
			preferences, err := a.auth.Preferences(ctx, auth.PrincipalOf(ctx))
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return &struct{ Body accounts.Preferences }{preferences}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "set-my-preferences",
			Method:        http.MethodPut,
			Path:          "/api/v1/me/preferences",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusNoContent,
			Summary:       "Keep how one likes to see processes",
		},
		func(ctx context.Context, in *struct{ Body accounts.Preferences }) (*struct{}, error) {
			return nil, a.orFail(ctx, a.auth.SetPreferences(ctx, auth.PrincipalOf(ctx), in.Body))
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{OperationID: "list-my-sessions", Method: http.MethodGet, Path: "/api/v1/me/sessions", Tags: tags,
			Summary: "One's sessions"},
		func(ctx context.Context, _ *struct{}) (*sessionList, error) {
			return a.listSessions(ctx, auth.PrincipalOf(ctx).UserID)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "end-my-session",
			Method:        http.MethodDelete,
			Path:          "/api/v1/me/sessions/{session_id}",
			Tags:          tags,
			DefaultStatus: http.StatusNoContent,
			Summary:       "End one of one's sessions, at once",
		},
		func(ctx context.Context, in *SessionPath) (*struct{}, error) {
			user, err := a.auth.CurrentUser(ctx, auth.PrincipalOf(ctx))
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return nil, a.orFail(ctx, a.auth.EndSession(ctx, user, in.SessionID))
		},
	)
}

func (a *API) listSessions(ctx context.Context, userID int64) (*sessionList, error) {
	sessions, err := a.auth.Sessions(ctx, userID)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &sessionList{}
	out.Body.Results = make([]SessionView, len(sessions))
	for i, s := range sessions {
		out.Body.Results[i] = SessionView{
			ID:        s.ID,
			CreatedAt: snapshot.TimeOf(s.CreatedAt),
			LastSeen:  snapshot.TimeOf(s.LastSeen),
			ExpiresAt: snapshot.TimeOf(s.ExpireAt),
			Address:   s.Address,
			UserAgent: s.UserAgent,
			Current:   s.ID == auth.PrincipalOf(ctx).SessionID,
		}
	}
	return out, nil
}

// orFail is nil, or the problem that an error is.
func (a *API) orFail(ctx context.Context, err error) error {
	if err != nil {
		return a.fail(ctx, err)
	}
	return nil
}
