package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
)

// LoginMethods describes how to sign in.
type LoginMethods struct {
	SetupNeeded bool   `json:"setup_needed" doc:"Whether there is no administrator yet. The server has printed a setup link"`
	Provider    string `json:"provider,omitempty" doc:"Name of the identity provider. Sign in there through GET /api/v1/auth/oidc/login"`
}

type loginBody struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"256"`
	Code     string `json:"code,omitempty" maxLength:"10" doc:"One-time code, if the account requires one"`
}

type setupBody struct {
	Secret   string `json:"secret" minLength:"1" maxLength:"100" doc:"The part of the setup link after #"`
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"256" doc:"At least 12 characters, and not a common password"`
}

type loginResponse struct {
	SetCookie []string `header:"Set-Cookie" doc:"Cookies of the session and of the browser"`
	Body      CurrentUserView
}

type logoutResponse struct {
	SetCookie []string `header:"Set-Cookie"`
}

func (a *API) registerLogin() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/auth/methods", "get-login-methods", tagSignIn,
		"Get the sign-in methods"), a.getLoginMethods)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/auth/setup", "setup", tagSignIn,
		"Create the first administrator",
		description("Requires the secret of a setup link. Also signs in.")), a.setup)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/auth/login", "login", tagSignIn,
		"Sign in",
		description("Starts a session in a cookie, for browsers. Programs use tokens instead. If the status is 401 "+
			"with the code code_needed, send the request again with the one-time code.")), a.login)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/auth/logout", "logout", tagSignIn,
		"Sign out", status(http.StatusNoContent)), a.logout)
}

func (a *API) getLoginMethods(ctx context.Context, _ *struct{}) (*response[LoginMethods], error) {
	hasAdmin, err := a.auth.HasAdmin(ctx)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	methods := LoginMethods{SetupNeeded: !hasAdmin}
	if a.oidc != nil {
		methods.Provider = a.oidcName
	}
	return &response[LoginMethods]{methods}, nil
}

func (a *API) setup(ctx context.Context, in *struct{ Body setupBody }) (*loginResponse, error) {
	result, err := a.auth.Setup(ctx, in.Body.Secret, auth.UserParams{Name: in.Body.Name, Password: in.Body.Password})
	return a.loginResponse(ctx, result, err)
}

func (a *API) login(ctx context.Context, in *struct{ Body loginBody }) (*loginResponse, error) {
	result, err := a.auth.Login(ctx, auth.Credentials{
		Name:         in.Body.Name,
		Password:     in.Body.Password,
		Code:         in.Body.Code,
		DeviceSecret: requestInfoOf(ctx).deviceSecret,
	})
	return a.loginResponse(ctx, result, err)
}

// loginResponse returns the response for the result of a sign-in.
func (a *API) loginResponse(ctx context.Context, result *auth.LoginResult, err error) (*loginResponse, error) {
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	user := result.User
	return &loginResponse{
		SetCookie: requestInfoOf(ctx).sessionCookies(result, a.cfg.Now()),
		Body: currentUserView(
			&auth.Principal{Role: auth.Role(user.Role), Name: user.Name, Tags: user.Tags}, user),
	}, nil
}

func (a *API) logout(ctx context.Context, _ *struct{}) (*logoutResponse, error) {
	if err := a.auth.Logout(ctx, auth.PrincipalOf(ctx)); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &logoutResponse{requestInfoOf(ctx).deleteSessionCookie()}, nil
}
