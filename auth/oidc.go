package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDCConfig configures sign-in through an OpenID Connect identity provider.
type OIDCConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// RedirectURL is the callback URL of this server, as registered with the provider.
	RedirectURL string
	// Scopes are requested in addition to openid.
	Scopes []string
	// RoleClaim is the name of the claim that determines the role: a string or a list of strings.
	RoleClaim string
	// AdminValues and UserValues are the values of RoleClaim that make an admin or a user. "*" in UserValues makes
	// everyone a user who can sign in at the provider.
	AdminValues, UserValues []string
	// TagsClaim is the name of the claim with the user's tags. If it is "", administrators assign the tags.
	TagsClaim string
	// HTTPClient sends the requests to the provider; nil means a client with a timeout of 10 seconds.
	HTTPClient *http.Client
}

// ErrNoRole is returned when RoleClaim gives a person no role.
var ErrNoRole = errors.New("the identity provider assigns no role for snapwatch")

// OIDC signs people in through an identity provider, with OpenID Connect's authorization code flow and PKCE (RFC 7636).
type OIDC struct {
	cfg     OIDCConfig
	service *Service

	mu       sync.Mutex
	provider *oidc.Provider
}

// NewOIDC returns the sign-in through a provider. The provider's configuration is fetched at the first sign-in, because
// the provider may be unavailable when the server starts.
func NewOIDC(cfg OIDCConfig, service *Service) *OIDC {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	return &OIDC{cfg: cfg, service: service}
}

// AuthRequest is the state of a sign-in while the person is at the provider. The browser stores it in a cookie, which
// binds the provider's response to that browser.
type AuthRequest struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// Encode returns the request as the value of a cookie.
func (r AuthRequest) Encode() string { return r.State + "." + r.Nonce + "." + r.Verifier }

// DecodeAuthRequest decodes the value of a cookie, and returns false if it is invalid.
func DecodeAuthRequest(text string) (AuthRequest, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || slices.Contains(parts, "") || len(text) > 400 {
		return AuthRequest{}, false
	}
	return AuthRequest{parts[0], parts[1], parts[2]}, true
}

// discover returns the provider's configuration, which it fetches once.
func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider == nil {
		clientCtx := oidc.ClientContext(context.WithoutCancel(ctx), o.cfg.HTTPClient)
		provider, err := oidc.NewProvider(clientCtx, o.cfg.Issuer)
		if err != nil {
			return nil, fmt.Errorf("fetch the configuration of the identity provider: %w", err)
		}
		o.provider = provider
	}
	return o.provider, nil
}

func (o *OIDC) oauthConfig(provider *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     o.cfg.ClientID,
		ClientSecret: o.cfg.ClientSecret,
		Endpoint:     provider.Endpoint(),
		RedirectURL:  o.cfg.RedirectURL,
		Scopes:       append([]string{oidc.ScopeOpenID}, o.cfg.Scopes...),
	}
}

// BeginLogin returns the provider's URL to redirect the browser to, and the request to store in a cookie.
func (o *OIDC) BeginLogin(ctx context.Context) (url string, request AuthRequest, err error) {
	provider, err := o.discover(ctx)
	if err != nil {
		return "", AuthRequest{}, err
	}
	state, _ := NewSecret(KindDevice)
	nonce, _ := NewSecret(KindDevice)
	request = AuthRequest{State: state[4:], Nonce: nonce[4:], Verifier: oauth2.GenerateVerifier()}
	url = o.oauthConfig(provider).AuthCodeURL(
		request.State, oidc.Nonce(request.Nonce), oauth2.S256ChallengeOption(request.Verifier))
	return url, request, nil
}

// FinishLogin exchanges the provider's authorization code and starts a session for the person it names. It returns
// ErrLoginFailed for a response that does not belong to the request, and ErrNoRole.
func (o *OIDC) FinishLogin(ctx context.Context, request AuthRequest, state, code, device string) (*LoginResult, error) {
	if state != request.State || code == "" {
		return nil, ErrLoginFailed
	}
	provider, err := o.discover(ctx)
	if err != nil {
		return nil, err
	}
	clientCtx := oidc.ClientContext(ctx, o.cfg.HTTPClient)
	tokens, err := o.oauthConfig(provider).Exchange(clientCtx, code, oauth2.VerifierOption(request.Verifier))
	if err != nil {
		// The full error may contain what was sent.
		if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			return nil, fmt.Errorf("%w: the identity provider refused the code: %s", ErrLoginFailed, refusal.ErrorCode)
		}
		return nil, fmt.Errorf("exchange the authorization code: %w", err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	verifier := provider.Verifier(&oidc.Config{ClientID: o.cfg.ClientID, Now: o.service.cfg.Now})
	idToken, err := verifier.Verify(clientCtx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: verify the ID token: %s", ErrLoginFailed, err.Error())
	}
	if idToken.Nonce != request.Nonce {
		return nil, ErrLoginFailed
	}
	claims, err := o.claims(clientCtx, provider, idToken, tokens)
	if err != nil {
		return nil, err
	}
	user, err := o.findOrCreateUser(ctx, idToken.Subject, claims)
	if err != nil {
		return nil, err
	}
	return o.service.startSession(ctx, user, device, "identity provider")
}

// claims returns the claims of an ID token. If it lacks RoleClaim, the claims of the user info endpoint are added.
func (o *OIDC) claims(
	ctx context.Context, provider *oidc.Provider, idToken *oidc.IDToken, tokens *oauth2.Token,
) (map[string]any, error) {
	var claims map[string]any
	if err := idToken.Claims(&claims); err != nil {
		return nil, fmt.Errorf("decode the ID token: %w", err)
	}
	if _, found := claims[o.cfg.RoleClaim]; found || provider.UserInfoEndpoint() == "" {
		return claims, nil
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return nil, fmt.Errorf("fetch the user info: %w", err)
	}
	if info.Subject != idToken.Subject {
		return nil, ErrLoginFailed
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return nil, fmt.Errorf("decode the user info: %w", err)
	}
	for name, value := range more {
		if _, found := claims[name]; !found {
			claims[name] = value
		}
	}
	return claims, nil
}
