package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// CurrentUserView describes the caller.
type CurrentUserView struct {
	Name      string            `json:"name"`
	Role      auth.Role         `json:"role" enum:"admin,user,agent"`
	Tags      []string          `json:"tags" nullable:"false" doc:"Tags of the machines that a user may read; * for all"`
	MachineID string            `json:"machine_id,omitempty" doc:"Machine that an agent's token is bound to"`
	Scopes    []auth.Permission `json:"scopes,omitempty" nullable:"false" doc:"Scopes of a restricted token"`
	Session   bool              `json:"session" doc:"Whether the caller is a user with a session, not a token"`
	Password  bool              `json:"password" doc:"Whether the account has a password"`
	TOTP      bool              `json:"totp" doc:"Whether the account requires one-time codes"`
}

func currentUserView(p *auth.Principal, user *accounts.User) CurrentUserView {
	view := CurrentUserView{
		Name:      p.Name,
		Role:      p.Role,
		Tags:      notNil(p.Tags),
		MachineID: p.MachineID,
		Scopes:    p.Permissions,
	}
	if user != nil {
		view.Session, view.Password, view.TOTP = true, user.PasswordHash != nil, user.TOTPSecret != nil
	}
	return view
}

// TOTPKey is a new key for one-time codes that is not active yet.
type TOTPKey struct {
	Secret string `json:"secret" doc:"Base32 secret, for manual entry into an authenticator app"`
	URL    string `json:"url" doc:"otpauth:// URL"`
	Image  string `json:"image" doc:"The URL as a QR code, in a data: URL"`
}

// PasswordConfirmation confirms a change with the account's password.
type PasswordConfirmation struct {
	Password string `json:"password" minLength:"1" maxLength:"256" doc:"Current password"`
}

type changePasswordInput struct {
	Body struct {
		PasswordConfirmation
		NewPassword string `json:"new_password" minLength:"1" maxLength:"256" doc:"New password, at least 12 characters, and not a common one"`
	}
}

type confirmTOTPInput struct {
	Body struct {
		PasswordConfirmation
		Secret string `json:"secret" minLength:"16" maxLength:"64" pattern:"^[A-Z2-7]+$" doc:"Secret of the new key"`
		Code   string `json:"code" minLength:"6" maxLength:"10" doc:"Current one-time code of the new key"`
	}
}

func (a *API) registerMe() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/me", "get-me", tagMe,
		"Get the caller's account"), a.getMe)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/me/password", "change-my-password", tagMe,
		"Change your password", status(http.StatusNoContent),
		description("Ends your other sessions.")), a.changeMyPassword)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/me/totp", "offer-totp", tagMe,
		"Create a key for one-time codes",
		description("The key is active after you confirm it with a code.")), a.createTOTPKey)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/me/totp/confirm", "confirm-totp", tagMe,
		"Activate a key for one-time codes", status(http.StatusNoContent),
		description("From then on, sign-in requires a code.")), a.confirmTOTP)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/me/totp/remove", "remove-totp", tagMe,
		"Turn off one-time codes", status(http.StatusNoContent)), a.removeTOTP)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/me/preferences", "get-my-preferences", tagMe,
		"Get your display preferences"), a.getMyPreferences)
	huma.Register(a.huma, operation(http.MethodPut, "/api/v1/me/preferences", "set-my-preferences", tagMe,
		"Set your display preferences", status(http.StatusNoContent)), a.setMyPreferences)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/me/sessions", "list-my-sessions", tagMe,
		"List your sessions"), a.listMySessions)
	huma.Register(a.huma, operation(http.MethodDelete, "/api/v1/me/sessions/{session_id}", "end-my-session", tagMe,
		"End one of your sessions", status(http.StatusNoContent)), a.endMySession)
}

func (a *API) getMe(ctx context.Context, _ *struct{}) (*response[CurrentUserView], error) {
	p := auth.PrincipalOf(ctx)
	user, err := a.auth.CurrentUser(ctx, p)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return nil, a.problemOf(ctx, err)
	}
	return &response[CurrentUserView]{currentUserView(p, user)}, nil
}

func (a *API) changeMyPassword(ctx context.Context, in *changePasswordInput) (*struct{}, error) {
	err := a.auth.ChangePassword(ctx, auth.PrincipalOf(ctx), in.Body.Password, in.Body.NewPassword)
	return nil, a.problemOf(ctx, err)
}

func (a *API) createTOTPKey(ctx context.Context, _ *struct{}) (*response[TOTPKey], error) {
	key, err := a.auth.GenerateTOTPKey(auth.PrincipalOf(ctx))
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[TOTPKey]{TOTPKey(*key)}, nil
}

func (a *API) confirmTOTP(ctx context.Context, in *confirmTOTPInput) (*struct{}, error) {
	err := a.auth.ConfirmTOTP(ctx, auth.PrincipalOf(ctx), in.Body.Password, in.Body.Secret, in.Body.Code)
	return nil, a.problemOf(ctx, err)
}

func (a *API) removeTOTP(ctx context.Context, in *struct{ Body PasswordConfirmation }) (*struct{}, error) {
	return nil, a.problemOf(ctx, a.auth.RemoveTOTP(ctx, auth.PrincipalOf(ctx), in.Body.Password))
}

func (a *API) getMyPreferences(ctx context.Context, _ *struct{}) (*response[accounts.Preferences], error) {
	preferences, err := a.auth.Preferences(ctx, auth.PrincipalOf(ctx))
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[accounts.Preferences]{preferences}, nil
}

func (a *API) setMyPreferences(ctx context.Context, in *struct{ Body accounts.Preferences }) (*struct{}, error) {
	return nil, a.problemOf(ctx, a.auth.SetPreferences(ctx, auth.PrincipalOf(ctx), in.Body))
}

func (a *API) listMySessions(ctx context.Context, _ *struct{}) (*response[SessionList], error) {
	return a.listSessions(ctx, auth.PrincipalOf(ctx).UserID)
}

func (a *API) endMySession(ctx context.Context, in *SessionPath) (*struct{}, error) {
	user, err := a.auth.CurrentUser(ctx, auth.PrincipalOf(ctx))
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return nil, a.problemOf(ctx, a.auth.EndSession(ctx, user, in.SessionID))
}
