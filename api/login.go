package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
)

// The log-in through an identity provider is for browsers: plain redirects.
const (
	oidcLoginPath    = "/api/v1/auth/oidc/login"
	oidcCallbackPath = "/api/v1/auth/oidc/callback"
	// attemptFor is how long somebody may take at the identity provider.
	oidcTimeout = 10 * time.Minute
)

// Methods says how to log in here.
type LoginMethods struct {
	SetupNeeded bool   `json:"setup_needed" doc:"Nobody can administer yet: the server has printed a set-up link"`
	Provider    string `json:"provider,omitempty" doc:"What the identity provider is called, if there is one; GET /api/v1/auth/oidc/login goes there"`
}

type loginBody struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"256"`
	Code     string `json:"code,omitempty" maxLength:"10" doc:"The one-time code, where the account has them"`
}

type setupBody struct {
	Secret   string `json:"secret" minLength:"1" maxLength:"100" doc:"What follows # in the set-up link"`
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"256" doc:"At least 12 characters"`
}

type loginResponse struct {
	SetCookie []string `header:"Set-Cookie" doc:"The session, and what makes this browser known"`
	Body      CurrentUserView
}

func (a *API) registerLogin() {
	tags := []string{"log-in"}
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-login-methods",
			Method:      http.MethodGet,
			Path:        "/api/v1/auth/methods",
			Tags:        tags,
			Summary:     "How to log in here",
		},
		func(ctx context.Context, _ *struct{}) (*struct{ Body LoginMethods }, error) {
			has, err := a.auth.HasAdmin(ctx)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			out := &struct{ Body LoginMethods }{}
			out.Body.SetupNeeded = !has
			if a.oidc != nil {
				out.Body.Provider = a.oidcName
			}
			return out, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:  "setup",
			Method:       http.MethodPost,
			Path:         "/api/v1/auth/setup",
			Tags:         tags,
			MaxBodyBytes: maxSmallBody,
			Summary:      "Add the first administrator, by the set-up link, and log in",
		},
		func(ctx context.Context, in *struct{ Body setupBody }) (*loginResponse, error) {
			return a.newLoginResponse(
				ctx,
			)(
				a.auth.Setup(ctx, in.Body.Secret, auth.UserParams{Name: in.Body.Name, Password: in.Body.Password}),
			)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:  "login",
			Method:       http.MethodPost,
			Path:         "/api/v1/auth/login",
			Tags:         tags,
			MaxBodyBytes: maxSmallBody,
			Summary:      "Log in; the session is a cookie",
			Description:  "For browsers. Programs use tokens. 401 code_needed asks for the one-time code: send everything again with it. 429 says how long to wait.",
		},
		func(ctx context.Context, in *struct{ Body loginBody }) (*loginResponse, error) {
			return a.newLoginResponse(
				ctx,
			)(
				a.auth.Login(
					ctx,
					auth.Credentials{
						Name:         in.Body.Name,
						Password:     in.Body.Password,
						Code:         in.Body.Code,
						DeviceSecret: requestInfoOf(ctx).device,
					},
				),
			)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "logout",
			Method:        http.MethodPost,
			Path:          "/api/v1/auth/logout",
			Tags:          tags,
			DefaultStatus: http.StatusNoContent,
			Summary:       "End this session",
		},
		func(ctx context.Context, _ *struct{}) (*struct {
			SetCookie []string `header:"Set-Cookie"`
		}, error) {
			if err := a.auth.Logout(ctx, auth.PrincipalOf(ctx)); err != nil {
				return nil, a.fail(ctx, err)
			}
			return &struct {
				SetCookie []string `header:"Set-Cookie"`
			}{requestInfoOf(ctx).ended()}, nil
		},
	)
}

// begun answers with a session that has begun, or says why not.
func (a *API) newLoginResponse(ctx context.Context) func(*auth.LoginResult, error) (*loginResponse, error) {
	return func(s *auth.LoginResult, err error) (*loginResponse, error) {
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &loginResponse{
			SetCookie: requestInfoOf(ctx).begun(s, a.cfg.Now()),
			Body: selfView(
				&auth.Principal{Role: auth.Role(s.User.Role), Name: s.User.Name, Tags: s.User.Tags}, s.User,
			),
		}, nil
	}
}

// beginOIDC sends the browser to the identity provider.
func (a *API) beginOIDC(c *gin.Context) {
	if a.oidc == nil {
		problem.New(http.StatusNotFound, "no_provider", "No identity provider is configured.").
			Write(c.Writer, c.Request)
		return
	}
	address, attempt, err := a.oidc.BeginLogin(c.Request.Context())
	if err != nil {
		a.loginFailed(c, err)
		return
	}
	v := requestInfoOf(c.Request.Context())
	c.Writer.Header().
		Add("Set-Cookie", v.cookie(oidcCookie, attempt.Encode(), a.cfg.Now().Add(oidcTimeout), http.SameSiteLaxMode))
	c.Redirect(http.StatusFound, address)
}

// finishOIDC takes the browser back from the identity provider.
func (a *API) finishOIDC(c *gin.Context) {
	if a.oidc == nil {
		problem.New(http.StatusNotFound, "no_provider", "No identity provider is configured.").
			Write(c.Writer, c.Request)
		return
	}
	ctx := c.Request.Context()
	v := requestInfoOf(ctx)
	cookie, err := c.Request.Cookie(a.cookieName(c, oidcCookie))
	var attempt auth.AuthRequest
	known := false
	if err == nil {
		attempt, known = auth.DecodeAuthRequest(cookie.Value)
	}
	c.Writer.Header().Add("Set-Cookie", v.cookie(oidcCookie, "", time.Unix(1, 0), http.SameSiteLaxMode))
	if !known || c.Query("error") != "" {
		a.loginFailed(c, auth.ErrLoginFailed)
		return
	}
	started, err := a.oidc.FinishLogin(ctx, attempt, c.Query("state"), c.Query("code"), v.device)
	if err != nil {
		a.loginFailed(c, err)
		return
	}
	for _, one := range v.begun(started, a.cfg.Now()) {
		c.Writer.Header().Add("Set-Cookie", one)
	}
	c.Redirect(http.StatusFound, "/")
}

// loginFailed sends the browser back to the log-in page, which says why.
func (a *API) loginFailed(c *gin.Context, err error) {
	ctx := c.Request.Context()
	code := "provider_failed"
	if p := accountProblem(err); p != nil {
		code = p.Code
	}
	a.logger.Warn(
		"a log-in through the identity provider failed", "request_id", problem.RequestID(ctx), "code", code,
		"err", err,
	)
	c.Redirect(http.StatusFound, "/login?failed="+url.QueryEscape(code))
}
