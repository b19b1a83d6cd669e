package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// OIDCConfig names an identity provider, and says how its claims become roles.
type OIDCConfig struct {
	Issuer       string
	ClientID     string
	ClientSecret string
	// RedirectURL is our address for the provider's answer, as registered with it.
	RedirectURL string
	// Scopes are asked for besides openid.
	Scopes []string
	// RoleClaim names the claim that says what somebody is: a text or a list of texts.
	// AdminValues and UserValues are the values that make an admin or a user; "*" among
	// UserValues makes a user of everybody whom the provider knows.
	RoleClaim               string
	AdminValues, UserValues []string
	// TagsClaim names the claim with the tags granted to a user; "" leaves tags to the
	// administrators.
	TagsClaim string
	// Client asks the provider; nil means one with a timeout.
	HTTPClient *http.Client
}

// ErrNoRole says that an identity provider knows somebody who has no role here.
var ErrNoRole = errors.New("the identity provider gives no role here")

// OIDC logs people in through an identity provider: OpenID Connect's code flow with
// PKCE (RFC 7636).
type OIDC struct {
	cfg     OIDCConfig
	service *Service

	mu       sync.Mutex
	provider *oidc.Provider
}

// NewOIDC returns the log-in through a provider. The provider is asked when the first
// person logs in: it may be away while the server starts.
func NewOIDC(cfg OIDCConfig, service *Service) *OIDC {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	return &OIDC{cfg: cfg, service: service}
}

// Attempt is what the browser keeps while its user is at the provider: it ties the
// answer to the browser that asked.
type AuthRequest struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// Encode packs an attempt for a cookie.
func (a AuthRequest) Encode() string { return a.State + "." + a.Nonce + "." + a.Verifier }

// DecodeAttempt unpacks it.
func DecodeAuthRequest(text string) (AuthRequest, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || slices.Contains(parts, "") || len(text) > 400 {
		return AuthRequest{}, false
	}
	return AuthRequest{parts[0], parts[1], parts[2]}, true
}

func (o *OIDC) discover(ctx context.Context) (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider == nil {
		provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.cfg.HTTPClient), o.cfg.Issuer)
		if err != nil {
			return nil, fmt.Errorf("ask the identity provider what it is: %w", err)
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

// Begin returns where to send the browser, and what it keeps meanwhile.
func (o *OIDC) BeginLogin(ctx context.Context) (address string, attempt AuthRequest, err error) {
	provider, err := o.discover(ctx)
	if err != nil {
		return "", AuthRequest{}, err
	}
	state, _ := NewSecret(KindDevice)
	nonce, _ := NewSecret(KindDevice)
	attempt = AuthRequest{State: state[4:], Nonce: nonce[4:], Verifier: oauth2.GenerateVerifier()}
	return o.oauthConfig(provider).
			AuthCodeURL(attempt.State, oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)),
		attempt, nil
}

// Finish takes the provider's answer, and begins a session for whom it names. It
// returns ErrLogin for an answer that does not belong to the attempt, or ErrNoRole.
func (o *OIDC) FinishLogin(ctx context.Context, attempt AuthRequest, state, code, device string) (*LoginResult, error) {
	if state != attempt.State || code == "" {
		return nil, ErrLoginFailed
	}
	provider, err := o.discover(ctx)
	if err != nil {
		return nil, err
	}
	asking := oidc.ClientContext(ctx, o.cfg.HTTPClient)
	answer, err := o.oauthConfig(provider).Exchange(asking, code, oauth2.VerifierOption(attempt.Verifier))
	if err != nil {
		if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok { // its text may have what was sent
			return nil, fmt.Errorf("%w: the identity provider refused the code: %s", ErrLoginFailed, refusal.ErrorCode)
		}
		return nil, fmt.Errorf("exchange the code: %w", err)
	}
	raw, _ := answer.Extra("id_token").(string)
	token, err := provider.Verifier(&oidc.Config{ClientID: o.cfg.ClientID, Now: o.service.cfg.Now}).Verify(asking, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: the identity provider's token: %s", ErrLoginFailed, err.Error())
	}
	if token.Nonce != attempt.Nonce {
		return nil, ErrLoginFailed
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return nil, fmt.Errorf("read the identity provider's token: %w", err)
	}
	// What the token does not say, the provider's user info may.
	if _, told := claims[o.cfg.RoleClaim]; !told && provider.UserInfoEndpoint() != "" {
		info, err := provider.UserInfo(asking, oauth2.StaticTokenSource(answer))
		if err != nil {
			return nil, fmt.Errorf("ask the identity provider who it is: %w", err)
		}
		if info.Subject != token.Subject {
			return nil, ErrLoginFailed
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return nil, fmt.Errorf("read who it is: %w", err)
		}
		for name, value := range more {
			if _, told := claims[name]; !told {
				claims[name] = value
			}
		}
	}
	user, err := o.findOrCreateUser(ctx, token.Subject, claims)
	if err != nil {
		return nil, err
	}
	return o.service.startSession(ctx, user, device, "identity provider")
}

// user finds or makes the person whom claims are about. What they are is what the
// provider says now.
func (o *OIDC) findOrCreateUser(ctx context.Context, subject string, claims map[string]any) (*accounts.User, error) {
	role := o.roleOf(claims)
	if role == "" {
		o.service.record(
			ctx, "unknown", "login.failed", "user "+truncate(usernameFrom(claims)),
			map[string]any{"by": "identity provider", "reason": "no role"},
		)
		return nil, ErrNoRole
	}
	var tags *[]string
	if o.cfg.TagsClaim != "" {
		list := []string{}
		for _, tag := range claimStrings(claims[o.cfg.TagsClaim]) {
			if tagPattern.MatchString(tag) || tag == AllMachines {
				list = append(list, tag)
			}
		}
		list = sortedUnique(list)[:min(len(list), MaxTags)]
		tags = &list
	}
	known, err := o.service.accounts.UserBySubject(ctx, o.cfg.Issuer, subject)
	if err == nil {
		if known.Disabled {
			return nil, ErrLoginFailed
		}
		text := string(role)
		if text != known.Role || tags != nil && !slices.Equal(*tags, known.Tags) {
			if err := o.service.accounts.ChangeUser(ctx, known.ID, accounts.UserChange{Role: &text, Tags: tags}); err != nil {
				return nil, err
			}
			o.service.purgeCache()
			o.service.record(
				ctx, "identity provider", "user.changed", "user "+known.Name,
				map[string]any{"role": role, "tags": tags},
			)
		}
		return o.service.accounts.UserByID(ctx, known.ID)
	}
	if !errors.Is(err, accounts.ErrNotFound) {
		return nil, err
	}
	user := &accounts.User{
		Name:      usernameFrom(claims),
		Role:      string(role),
		Issuer:    &o.cfg.Issuer,
		Subject:   &subject,
		CreatedAt: o.service.cfg.Now(),
	}
	if tags != nil {
		user.Tags = *tags
	}
	// Somebody else's name is not taken over, whatever the provider says.
	for i := 2; ; i++ {
		err := o.service.accounts.CreateUser(ctx, user)
		if err == nil {
			break
		}
		if !errors.Is(err, accounts.ErrExists) || i > 50 {
			return nil, err
		}
		if found, foundErr := o.service.accounts.UserBySubject(ctx, o.cfg.Issuer, subject); foundErr == nil {
			return found, nil // another server was faster
		}
		user.Name = fmt.Sprintf("%s-%d", usernameFrom(claims), i)
	}
	o.service.record(
		ctx, "identity provider", "user.added", "user "+user.Name, map[string]any{"role": role, "tags": user.Tags},
	)
	return user, nil
}

func (o *OIDC) roleOf(claims map[string]any) Role {
	values := claimStrings(claims[o.cfg.RoleClaim])
	has := func(wanted []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(wanted, v) })
	}
	switch {
	case has(o.cfg.AdminValues):
		return RoleAdmin
	case has(o.cfg.UserValues), slices.Contains(o.cfg.UserValues, "*"):
		return RoleUser
	}
	return ""
}

// texts reads a claim that is a text or a list of texts.
func claimStrings(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, 0, len(v))
		for _, one := range v {
			if text, ok := one.(string); ok {
				list = append(list, text)
			}
		}
		return list
	case json.Number:
		return []string{v.String()}
	}
	return nil
}

var invalidNameCharacters = regexp.MustCompile(`[^A-Za-z0-9._@+-]+`)

// nameOf makes a name of what the provider calls somebody.
func usernameFrom(claims map[string]any) string {
	for _, claim := range []string{"preferred_username", "email", "sub"} {
		text, _ := claims[claim].(string)
		text = strings.Trim(invalidNameCharacters.ReplaceAllString(text, "-"), "._@+-")
		if len(text) > 56 {
			text = text[:56]
		}
		if namePattern.MatchString(text) {
			return text
		}
	}
	return "user"
}
