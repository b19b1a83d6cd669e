package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/accounts"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.SetListening(true)
	soon := w.clock.Now().Add(time.Hour)
	secret, token, err := w.CreateToken(
		t.Context(),
		auth.TokenParams{
			Name:        "ci",
			Role:        auth.RoleUser,
			Tags:        []string{"web"},
			Permissions: []auth.Permission{auth.ReadMachines},
			ExpiresAt:   &soon,
		},
	)
	if err != nil || !auth.SecretPattern.MatchString(secret) {
		t.Fatal(secret, err)
	}
	p, err := w.Authenticate(t.Context(), secret)
	if err != nil || p.Role != auth.RoleUser || len(p.Permissions) != 1 || p.TokenID != token.ID {
		t.Fatalf("%+v, %v", p, err)
	}
	list, err := w.Tokens(t.Context(), accounts.TokenFilter{Limit: 10})
	if err != nil || len(list) != 1 || list[0].LastUsed == nil || !list[0].LastUsed.Equal(w.clock.Now()) {
		t.Errorf("%+v, %v", list, err)
	}
	w.clock.advance(59 * time.Minute)
	if !w.isValid(secret) {
		t.Error("the token expired early")
	}
	w.clock.advance(2 * time.Minute) // the cache lasts a minute, and the token expires within it
	if w.isValid(secret) {
		t.Error("the token is valid after its expiry")
	}
	for _, bad := range []auth.TokenParams{
		{Name: "", Role: auth.RoleUser},
		{Name: "a\x1b[2J", Role: auth.RoleUser},
		{Name: "a", Role: "god"},
		{Name: "a", Role: auth.RoleAgent},
		{Name: "a", Role: auth.RoleAgent, MachineID: ".."},
		{Name: "a", Role: auth.RoleAgent, MachineID: "a b"},
		{Name: "a", Role: auth.RoleUser, MachineID: "m"},
		{Name: "a", Role: auth.RoleUser, Permissions: []auth.Permission{"everything"}},
		{Name: "a", Role: auth.RoleUser, Tags: []string{"a\nb"}},
		{Name: "a", Role: auth.RoleUser, ExpiresAt: &soon},
	} {
		_, _, err := w.CreateToken(t.Context(), bad)
		if _, ok := errors.AsType[*auth.FieldError](err); !ok {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	otherKind := strings.Replace(secret, "swt_", "sws_", 1)
	for _, invalid := range []string{"", "swt_", secret[:20], secret + "x", otherKind, strings.Repeat("a", 43)} {
		if w.isValid(invalid) {
			t.Errorf("%q is valid", invalid)
		}
	}
}

// TestRevocation checks that a revoked token is invalid at once on the server that revokes it, and on other servers
// after the notification from the database.
func TestRevocation(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	other := w.newService(fastParams())
	w.SetListening(true)
	other.SetListening(true)
	secret, token, err := w.CreateToken(t.Context(), auth.TokenParams{Name: "ci", Role: auth.RoleUser})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*auth.Service{w.Service, other} {
		if _, err := s.Authenticate(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.RevokeToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if w.isValid(secret) {
		t.Error("the revoked token is valid")
	}
	if _, err := other.Authenticate(t.Context(), secret); err != nil {
		t.Error("the other server did not cache the token")
	}
	other.AccessChanged(accounts.Change{Tokens: []int64{token.ID}})
	if _, err := other.Authenticate(t.Context(), secret); !errors.Is(err, auth.ErrInvalidCredential) {
		t.Errorf("after the notification: %v", err)
	}
	// A server that receives no notifications caches nothing.
	secret, token, err = w.CreateToken(t.Context(), auth.TokenParams{Name: "ci", Role: auth.RoleUser})
	if err != nil {
		t.Fatal(err)
	}
	other.SetListening(false)
	if _, err := other.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Authenticate(t.Context(), secret); !errors.Is(err, auth.ErrInvalidCredential) {
		t.Errorf("a server without notifications: %v", err)
	}
}

func TestEnrolment(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	two, later := 2, w.clock.Now().Add(time.Hour)
	key, made, err := w.CreateEnrolmentKey(
		t.Context(), auth.EnrolmentKeyParams{Name: "rack 1", Tags: []string{"web"}, Uses: &two, ExpiresAt: &later},
	)
	if err != nil {
		t.Fatal(err)
	}
	enrol := func(key, machine string) (string, error) { return w.Enrol(contextFrom(t, "192.0.2.1"), key, machine) }
	first, err := enrol(key, "a")
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), first)
	if err != nil || p.Role != auth.RoleAgent || p.MachineID != "a" || p.Tags[0] != "web" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := enrol(key, "a"); !errors.Is(err, accounts.ErrEnrolled) {
		t.Errorf("an enrolled machine: %v", err)
	}
	if keys, err := w.EnrolmentKeys(t.Context()); err != nil || len(keys) != 1 || *keys[0].UsesLeft != 1 {
		t.Errorf("a refused enrolment consumed a use: %+v, %v", keys, err)
	}
	if _, err := enrol(key, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := enrol(key, "c"); !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
		t.Errorf("used up: %v", err)
	}
	if _, err := enrol("swe_"+strings.Repeat("A", 43), "c"); !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
		t.Errorf("unknown key: %v", err)
	}
	over, _, err := w.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "re-enrol", TakesOver: true})
	if err != nil {
		t.Fatal(err)
	}
	second, err := enrol(over, "a")
	if err != nil || w.isValid(first) || !w.isValid(second) {
		t.Errorf("re-enrolment: %v; the old token is valid: %v, the new: %v", err, w.isValid(first), w.isValid(second))
	}
	timed, _, err := w.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "timed", ExpiresAt: &later})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Hour)
	if _, err := enrol(timed, "d"); !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
		t.Errorf("expired: %v", err)
	}
	if err := w.RevokeEnrolmentKey(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	if !w.isValid(second) {
		t.Error("revoking the key made a token invalid")
	}
	// Concurrent enrolments with a key of limited uses.
	few := 3
	key, _, err = w.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "few", Uses: &few})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	enrolled := 0
	for i := range 12 {
		wg.Go(func() {
			if _, err := enrol(key, fmt.Sprintf("many-%d", i)); err == nil {
				mu.Lock()
				enrolled++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if enrolled != few {
		t.Errorf("%d enrolled with %d uses", enrolled, few)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	old, _, err := w.CreateToken(
		t.Context(), auth.TokenParams{Name: "agent", Role: auth.RoleAgent, MachineID: "m", Tags: []string{"web"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	lost, err := w.RotateToken(t.Context(), p) // the response is lost
	if err != nil {
		t.Fatal(err)
	}
	if !w.isValid(old) {
		t.Error("the old token became invalid before the new one was used")
	}
	fresh, err := w.RotateToken(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if w.isValid(lost) {
		t.Error("the lost token is valid")
	}
	q, err := w.Authenticate(t.Context(), fresh)
	if err != nil || q.MachineID != "m" || q.Tags[0] != "web" {
		t.Fatalf("%+v, %v", q, err)
	}
	if w.isValid(old) || !w.isValid(fresh) {
		t.Errorf("the old token is valid: %v, the new: %v", w.isValid(old), w.isValid(fresh))
	}
	if _, err := w.RotateToken(t.Context(), p); !errors.Is(err, auth.ErrInvalidCredential) {
		t.Errorf("rotating with an invalid token: %v", err)
	}
}

// TestRevocationAfterRotation checks that a revoked token leaves no replacement, which a thief could have kept.
func TestRevocationAfterRotation(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	old, row, err := w.CreateToken(
		t.Context(), auth.TokenParams{Name: "agent", Role: auth.RoleAgent, MachineID: "m"},
	)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	unused, err := w.RotateToken(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeToken(t.Context(), row.ID); err != nil {
		t.Fatal(err)
	}
	if w.isValid(old) || w.isValid(unused) {
		t.Errorf("the revoked token is valid: %v, its replacement: %v", w.isValid(old), w.isValid(unused))
	}
	if _, err := w.RotateToken(t.Context(), p); !errors.Is(err, auth.ErrInvalidCredential) {
		t.Errorf("rotating a revoked token: %v", err)
	}
}

// TestNoPermissions checks that an empty list of permissions is not taken for all of them.
func TestNoPermissions(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	_, _, err := w.CreateToken(
		t.Context(), auth.TokenParams{Name: "x", Role: auth.RoleAdmin, Permissions: []auth.Permission{}},
	)
	if invalid, ok := errors.AsType[*auth.FieldError](err); !ok || invalid.Field != "scopes" {
		t.Errorf("a token with no permissions: %v", err)
	}
}

// TestRotationKeepsTheExpiry checks that an agent cannot prolong the validity of its token.
func TestRotationKeepsTheExpiry(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	end := w.clock.Now().Add(time.Hour)
	secret, _, err := w.CreateToken(
		t.Context(), auth.TokenParams{Name: "agent", Role: auth.RoleAgent, MachineID: "m", ExpiresAt: &end},
	)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(59 * time.Minute)
	p, err := w.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := w.RotateToken(t.Context(), p)
	if err != nil || !w.isValid(fresh) {
		t.Fatalf("%v, valid: %v", err, w.isValid(fresh))
	}
	w.clock.advance(2 * time.Minute)
	if w.isValid(fresh) {
		t.Error("the new token is valid after the expiry of the first one")
	}
}

// TestConfiguredSecrets checks that a new secret in the settings replaces the previous one.
func TestConfiguredSecrets(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	first, second := strings.Repeat("first ", 8), strings.Repeat("second ", 8)
	for range 2 {
		if err := w.SetMetricsToken(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.Authenticate(t.Context(), first)
	if err != nil || auth.NewPolicy(auth.Rules()).Scope("GET /metrics", p) != auth.ScopeAll ||
		auth.NewPolicy(auth.Rules()).Scope("GET /api/v1/machines", p) != auth.ScopeNone {
		t.Errorf("%+v, %v", p, err)
	}
	if err := w.SetMetricsToken(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if w.isValid(first) || !w.isValid(second) {
		t.Errorf("the previous secret is valid: %v, the current: %v", w.isValid(first), w.isValid(second))
	}
	if err := w.SetMetricsToken(t.Context(), "short"); err == nil {
		t.Error("a short secret was accepted")
	}
	for _, key := range []string{first, second} {
		if err := w.SetEnrolmentKey(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Enrol(contextFrom(t, "192.0.2.1"), first, "m"); !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
		t.Errorf("the previous key: %v", err)
	}
	if _, err := w.Enrol(contextFrom(t, "192.0.2.1"), second, "m"); err != nil {
		t.Error(err)
	}
}

// TestBadCredentialsRateLimit checks that invalid credentials are limited by address, and that cached ones are not.
func TestBadCredentialsRateLimit(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.SetListening(true)
	secret, _, err := w.CreateToken(t.Context(), auth.TokenParams{Name: "ci", Role: auth.RoleUser})
	if err != nil {
		t.Fatal(err)
	}
	ctx := contextFrom(t, "198.51.100.1")
	if _, err := w.Authenticate(ctx, secret); err != nil {
		t.Fatal(err)
	}
	var limited bool
	for i := 0; i < 1000 && !limited; i++ {
		_, err := w.Authenticate(ctx, fmt.Sprintf("swt_%043d", i))
		_, limited = errors.AsType[*auth.RateLimitError](err)
	}
	if !limited {
		t.Error("1,000 attempts were allowed")
	}
	if _, err := w.Authenticate(ctx, secret); err != nil {
		t.Errorf("a cached credential: %v", err)
	}
	_, err = w.Authenticate(contextFrom(t, "198.51.100.2"), fmt.Sprintf("swt_%043d", 1))
	if !errors.Is(err, auth.ErrInvalidCredential) {
		t.Errorf("from another address: %v", err)
	}
}

func TestAuditAndPrune(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleAdmin)
	started := w.mustLogin("alice")
	p, err := w.Authenticate(t.Context(), started.Secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx := auth.WithPrincipal(auth.WithClient(t.Context(), auth.Client{Address: "192.0.2.5", RequestID: "req-1"}), p)
	if _, _, err := w.CreateToken(ctx, auth.TokenParams{Name: "ci", Role: auth.RoleUser}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.login("192.0.2.66", auth.Credentials{Name: "my password typed as a name", Password: "x"})
	all := accounts.AuditQuery{To: w.clock.Now().Add(time.Hour), Limit: 100}
	entries, err := w.Audit(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Actor+" "+e.Action+" "+e.Target)
	}
	want := []string{
		"unknown login.failed user unknown",
		"alice token.added token 1",
		"alice login user alice",
		"shell user.added user alice",
	}
	if !slices.Equal(actions, want) {
		t.Errorf("the audit log has %q", actions)
	}
	if e := entries[1]; e.Address != "192.0.2.5" || e.RequestID != "req-1" || e.Detail["name"] != "ci" {
		t.Errorf("%+v", e)
	}
	only := all
	only.Actor, only.Action = "alice", "token.added"
	if some, err := w.Audit(t.Context(), only); err != nil || len(some) != 1 {
		t.Errorf("%+v, %v", some, err)
	}
	w.clock.advance(401 * 24 * time.Hour)
	if err := w.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.To = w.clock.Now().Add(time.Hour)
	if left, err := w.Audit(t.Context(), all); err != nil || len(left) != 0 {
		t.Errorf("%d expired entries remain (%v)", len(left), err)
	}
}

// Metrics are needed most while the database does not answer.
func TestMetricsTokenIsValidWithoutDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	w := &testService{
		t: t, clock: &testClock{now: time.Now()},
		tables: storetest.OpenConfig(t, store.Config{DatabaseURL: url}).Accounts(),
	}
	w.Service = w.newService(fastParams())
	secret := strings.Repeat("metrics ", 8)
	if err := w.SetMetricsToken(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	lock, err := storetest.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `LOCK TABLE tokens`); err != nil {
		t.Fatal(err)
	}
	p, err := w.Authenticate(t.Context(), secret)
	if err != nil || auth.NewPolicy(auth.Rules()).Scope("GET /metrics", p) != auth.ScopeAll ||
		auth.NewPolicy(auth.Rules()).Scope("GET /api/v1/machines", p) != auth.ScopeNone {
		t.Errorf("%+v, %v", p, err)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	// If the token was revoked, it is not valid although it is in the settings.
	if err := w.RevokeToken(t.Context(), p.TokenID); err != nil {
		t.Fatal(err)
	}
	if w.isValid(secret) {
		t.Error("the token is valid after it was revoked")
	}
}
