package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/pquerna/otp/totp"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/store/accounts"
)

func TestSetupLinkIsValidOnce(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	first, err := w.CreateSetupSecret(t.Context())
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	second, err := w.CreateSetupSecret(t.Context()) // from another server; both are valid
	if err != nil || second == first {
		t.Fatal(second, err)
	}
	setUp := func(secret, name string) (*auth.LoginResult, error) {
		return w.Setup(contextFrom(t, "192.0.2.1"), secret, auth.UserParams{Name: name, Password: password})
	}
	for _, bad := range []string{"", "swl_", strings.Replace(first, "swl_", "swt_", 1), first[:len(first)-1] + "!"} {
		if _, err := setUp(bad, "a"); !errors.Is(err, auth.ErrInvalidSetupLink) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	started, err := setUp(second, "owner")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := w.Authenticate(t.Context(), started.Secret); err != nil || p.Role != auth.RoleAdmin ||
		p.Name != "owner" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, used := range []string{first, second} {
		if _, err := setUp(used, "attacker"); !errors.Is(err, auth.ErrInvalidSetupLink) {
			t.Errorf("a link was valid twice: %v", err)
		}
	}
	if more, err := w.CreateSetupSecret(t.Context()); more != "" || err != nil {
		t.Errorf("a setup link was created although there is an administrator: %v", err)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	for _, bad := range []auth.UserParams{
		{Name: "a", Password: "short", Role: auth.RoleUser},
		{Name: "alice", Password: "iamALICEhere", Role: auth.RoleUser},
		{Name: "a", Password: "aaaaaaaaaaaaaaaa", Role: auth.RoleUser},
		{Name: "a", Password: strings.Repeat("ab", 200), Role: auth.RoleUser},
		{Name: "a", Password: password + "\xff", Role: auth.RoleUser},
		{Name: "a b", Password: password, Role: auth.RoleUser},
		{Name: "", Password: password, Role: auth.RoleUser},
		{Name: "a", Password: password, Role: auth.RoleAgent},
		{Name: "a", Password: password, Role: auth.RoleUser, Tags: []string{"a b"}},
	} {
		_, err := w.CreateUser(t.Context(), bad)
		if _, ok := errors.AsType[*auth.FieldError](err); !ok {
			t.Errorf("%q, %q: %v", bad.Name, bad.Password, err)
		}
	}
	user := auth.UserParams{Name: "a", Password: "Åäö är goda bokstäver", Role: auth.RoleUser}
	if _, err := w.CreateUser(t.Context(), user); err != nil {
		t.Error(err)
	}
	user.Name = "A"
	if _, err := w.CreateUser(t.Context(), user); !errors.Is(err, accounts.ErrExists) {
		t.Errorf("a name in another case: %v", err)
	}
}

func TestPasswordsAreArgon2id(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleUser)
	stored, err := w.tables.User(t.Context(), "ALICE")
	if err != nil || !strings.HasPrefix(*stored.PasswordHash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%+v, %v", stored, err)
	}
	// With higher parameters, the next sign-in replaces the hash.
	slower := w.newService(&argon2id.Params{Memory: 128, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	credentials := auth.Credentials{Name: "alice", Password: password}
	if _, err := slower.Login(contextFrom(t, "192.0.2.1"), credentials); err != nil {
		t.Fatal(err)
	}
	stored, err = w.tables.User(t.Context(), "alice")
	if err != nil || !strings.HasPrefix(*stored.PasswordHash, "$argon2id$v=19$m=128,t=2,p=1$") {
		t.Errorf("%+v, %v", stored, err)
	}
	// A password matches in composed and in decomposed form.
	composed := auth.UserParams{Name: "bob", Password: "caf\u00e9 au lait s'il vous", Role: auth.RoleUser}
	if _, err := w.CreateUser(t.Context(), composed); err != nil {
		t.Fatal(err)
	}
	decomposed := auth.Credentials{Name: "bob", Password: "cafe\u0301 au lait s'il vous"}
	if _, err := w.login("192.0.2.1", decomposed); err != nil {
		t.Errorf("decomposed: %v", err)
	}
	// Without an account, the decoy is checked.
	_, err = w.login("192.0.2.1", auth.Credentials{Name: "nobody", Password: password})
	if !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("nobody: %v", err)
	}
	if p := auth.DefaultPasswordParams(); p.Memory < 19<<10 || p.Iterations < 2 {
		t.Errorf("the parameters are below the recommendation of OWASP: %+v", p)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	user := w.addUser("alice", auth.RoleUser, "web")
	idle, used := w.mustLogin("alice"), w.mustLogin("alice")
	for day := range 29 {
		w.clock.advance(24 * time.Hour)
		if !w.isValid(used.Secret) {
			t.Fatalf("a session in use ended on day %d", day)
		}
		if day == 7 && w.isValid(idle.Secret) {
			t.Error("a session that was not used for a week is valid")
		}
	}
	w.clock.advance(25 * time.Hour)
	if w.isValid(used.Secret) {
		t.Error("a session of more than 30 days is valid")
	}
	ends := map[string]func(secret string, p *auth.Principal) error{
		"logout": func(_ string, p *auth.Principal) error { return w.Logout(t.Context(), p) },
		"revoked": func(_ string, p *auth.Principal) error {
			return w.EndSession(t.Context(), user, p.SessionID)
		},
		"disabled": func(string, *auth.Principal) error {
			yes := true
			_, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{Disabled: &yes})
			no := false
			_, enable := w.ChangeUser(t.Context(), "alice", auth.UserChange{Disabled: &no})
			return errors.Join(err, enable)
		},
		"password": func(string, *auth.Principal) error {
			same := password
			_, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{Password: &same})
			return err
		},
		"deleted": func(string, *auth.Principal) error { return w.DeleteUser(t.Context(), "alice") },
	}
	w.SetListening(true) // enables the cache, which changes must invalidate
	for _, how := range []string{"logout", "revoked", "disabled", "password", "deleted"} {
		s := w.mustLogin("alice")
		p, err := w.Authenticate(t.Context(), s.Secret)
		if err != nil || p.Role != auth.RoleUser || p.Tags[0] != "web" {
			t.Fatalf("%+v, %v", p, err)
		}
		if err := ends[how](s.Secret, p); err != nil {
			t.Fatal(how, err)
		}
		if w.isValid(s.Secret) {
			t.Errorf("%s: the session is still valid", how)
		}
		w.clock.advance(time.Minute) // sign-ins are rate limited
	}
}

func TestChangePasswordEndsOtherSessions(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleAdmin)
	here, there := w.mustLogin("alice"), w.mustLogin("alice")
	p, err := w.Authenticate(t.Context(), here.Secret)
	if err != nil {
		t.Fatal(err)
	}
	const replacement = "a horse of another colour"
	if err := w.ChangePassword(t.Context(), p, "wrong wrong wrong", replacement); err == nil {
		t.Error("a wrong password was accepted")
	}
	if err := w.ChangePassword(t.Context(), p, password, replacement); err != nil {
		t.Fatal(err)
	}
	if !w.isValid(here.Secret) || w.isValid(there.Secret) {
		t.Errorf("this session is valid: %v, the other: %v", w.isValid(here.Secret), w.isValid(there.Secret))
	}
	_, err = w.login("192.0.2.9", auth.Credentials{Name: "alice", Password: password})
	if !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := w.login("192.0.2.9", auth.Credentials{Name: "alice", Password: replacement}); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// TestLoginRateLimits checks that password guessing is limited by address and by account, and does not lock the
// owner's browser out.
func TestLoginRateLimits(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleUser)
	w.addUser("bob", auth.RoleUser)
	owner := w.mustLogin("alice")
	guess := func(address, name string) error {
		_, err := w.login(address, auth.Credentials{Name: name, Password: "not the password"})
		return err
	}
	limited := func(err error) bool {
		wait, ok := errors.AsType[*auth.RateLimitError](err)
		return ok && wait.RetryAfter > 0
	}
	// One address, one account.
	tries := 0
	for ; !limited(guess("198.51.100.1", "alice")); tries++ {
		if tries > 20 {
			t.Fatal("more than 20 attempts were allowed")
		}
	}
	if tries < 5 {
		t.Errorf("the limit was reached after %d attempts", tries)
	}
	// While limited, the right password is refused too.
	if _, err := w.login("198.51.100.1", auth.Credentials{Name: "alice", Password: password}); !limited(err) {
		t.Errorf("the right password while limited: %v", err)
	}
	// One address, many accounts.
	for i := range 30 {
		_ = guess("198.51.100.2", fmt.Sprintf("nobody%d", i))
	}
	if err := guess("198.51.100.2", "bob"); !limited(err) {
		t.Errorf("one address, many accounts: %v", err)
	}
	// Many addresses, one account. Then one IPv6 network, many accounts.
	for i := range 60 {
		_ = guess(fmt.Sprintf("203.0.113.%d", i), "alice")
	}
	if err := guess("203.0.113.99", "alice"); !limited(err) {
		t.Errorf("many addresses, one account: %v", err)
	}
	for i := range 30 {
		_ = guess(fmt.Sprintf("2001:db8::%x", i), fmt.Sprintf("somebody%d", i))
	}
	if err := guess("2001:db8::ffff", "bob"); !limited(err) {
		t.Errorf("one IPv6 network, many accounts: %v", err)
	}
	// The owner's browser can sign in from anywhere, and other accounts are not affected.
	known := auth.Credentials{Name: "alice", Password: password, DeviceSecret: owner.DeviceSecret}
	if _, err := w.login("198.51.100.1", known); err != nil {
		t.Errorf("the owner is locked out: %v", err)
	}
	if _, err := w.login("192.0.2.77", auth.Credentials{Name: "bob", Password: password}); err != nil {
		t.Errorf("bob is locked out: %v", err)
	}
	// An unknown device secret has no effect, and a known browser has a limit of its own.
	unknown := auth.Credentials{Name: "alice", Password: password, DeviceSecret: "swd_" + strings.Repeat("A", 43)}
	if _, err := w.login("203.0.113.99", unknown); !limited(err) {
		t.Errorf("an unknown device secret: %v", err)
	}
	tries, known.Password = 0, "not the password"
	for ; tries < 20; tries++ {
		if _, err := w.login("192.0.2.1", known); limited(err) {
			break
		}
	}
	if tries == 20 {
		t.Error("a known browser has no limit")
	}
	w.clock.advance(time.Hour)
	if _, err := w.login("198.51.100.1", auth.Credentials{Name: "alice", Password: password}); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestOneTimeCodes(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleUser)
	p, err := w.Authenticate(t.Context(), w.mustLogin("alice").Secret)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := w.GenerateTOTPKey(p)
	if err != nil || !strings.HasPrefix(offer.URL, "otpauth://totp/snapwatch:alice?") ||
		!strings.HasPrefix(offer.Image, "data:image/png;base64,") {
		t.Fatal(offer, err)
	}
	code := func() string {
		t.Helper()
		code, err := totp.GenerateCode(offer.Secret, w.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if err := w.ConfirmTOTP(t.Context(), p, password, offer.Secret, "000000"); err == nil {
		t.Error("a wrong code was accepted")
	}
	if err := w.ConfirmTOTP(t.Context(), p, "wrong wrong wrong", offer.Secret, code()); err == nil {
		t.Error("a wrong password was accepted")
	}
	if err := w.ConfirmTOTP(t.Context(), p, password, offer.Secret, code()); err != nil {
		t.Fatal(err)
	}
	login := func(code string) error {
		_, err := w.login("192.0.2.1", auth.Credentials{Name: "alice", Password: password, Code: code})
		return err
	}
	if err := login(code()); !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("the code of the confirmation was accepted again: %v", err)
	}
	w.clock.advance(30 * time.Second)
	if err := login(""); !errors.Is(err, auth.ErrCodeRequired) {
		t.Errorf("without a code: %v", err)
	}
	_, err = w.login("192.0.2.1", auth.Credentials{Name: "alice", Password: "wrong", Code: code()})
	if !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("with a wrong password: %v", err)
	}
	fresh := code()
	if err := login(fresh[:3] + " " + fresh[3:]); err != nil {
		t.Errorf("with the right code: %v", err)
	}
	if err := login(fresh); !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("a code was accepted twice: %v", err)
	}
	w.clock.advance(5 * time.Minute)
	if err := login(fresh); !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("an old code: %v", err)
	}
	// An administrator removes the key for a user who lost it.
	if _, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{RemoveTOTP: true}); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(5 * time.Minute)
	if err := login(""); err != nil {
		t.Errorf("after the key was removed: %v", err)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleAdmin)
	user, yes := auth.RoleUser, true
	for what, do := range map[string]func() error{
		"delete": func() error { return w.DeleteUser(t.Context(), "alice") },
		"demote": func() error {
			_, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{Role: &user})
			return err
		},
		"disable": func() error {
			_, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{Disabled: &yes})
			return err
		},
	} {
		if err := do(); !errors.Is(err, accounts.ErrLastAdmin) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.addUser("bob", auth.RoleAdmin)
	// When two administrators delete each other at the same time, one remains.
	outcomes := make(chan error, 2)
	for _, name := range []string{"alice", "bob"} {
		go func() { outcomes <- w.DeleteUser(context.WithoutCancel(t.Context()), name) }()
	}
	failed := 0
	for range 2 {
		if err := <-outcomes; errors.Is(err, accounts.ErrLastAdmin) {
			failed++
		} else if err != nil {
			t.Error(err)
		}
	}
	if has, err := w.HasAdmin(t.Context()); !has || err != nil || failed != 1 {
		t.Errorf("an administrator remains: %v (%v); %d of 2 deletions were refused", has, err, failed)
	}
}
