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

func TestSetupLinkCountsOnce(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	first, err := w.CreateSetupSecret(t.Context())
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	second, err := w.CreateSetupSecret(t.Context()) // of a further server; both count
	if err != nil || second == first {
		t.Fatal(second, err)
	}
	for _, bad := range []string{"", "swl_", strings.Replace(first, "swl_", "swt_", 1), first[:len(first)-1] + "!"} {
		if _, err := w.Setup(contextFrom(t, "192.0.2.1"), bad, auth.UserParams{Name: "a", Password: password}); !errors.Is(
			err, auth.ErrInvalidSetupLink,
		) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	started, err := w.Setup(contextFrom(t, "192.0.2.1"), second, auth.UserParams{Name: "owner", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := w.Authenticate(t.Context(), started.Secret); err != nil || p.Role != auth.RoleAdmin ||
		p.Name != "owner" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, used := range []string{first, second} {
		if _, err := w.Setup(contextFrom(t, "192.0.2.1"), used, auth.UserParams{Name: "thief", Password: password}); !errors.Is(
			err, auth.ErrInvalidSetupLink,
		) {
			t.Errorf("a link counts again: %v", err)
		}
	}
	if more, err := w.CreateSetupSecret(t.Context()); more != "" || err != nil {
		t.Errorf("a link although there is an administrator: %v", err)
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
	if _, err := w.CreateUser(t.Context(), auth.UserParams{Name: "a", Password: "Åäö är goda bokstäver", Role: auth.RoleUser}); err != nil {
		t.Error(err)
	}
	if _, err := w.CreateUser(t.Context(), auth.UserParams{Name: "A", Password: password, Role: auth.RoleUser}); !errors.Is(
		err, accounts.ErrExists,
	) {
		t.Errorf("a name in another case: %v", err)
	}
}

func TestPasswordsAreArgon2id(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleUser)
	kept, err := w.tables.User(t.Context(), "ALICE")
	if err != nil || !strings.HasPrefix(*kept.PasswordHash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%+v, %v", kept, err)
	}
	// Parameters were raised: the next log-in makes the hash anew.
	dearer := w.newService(&argon2id.Params{Memory: 128, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if _, err := dearer.Login(contextFrom(t, "192.0.2.1"), auth.Credentials{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	kept, err = w.tables.User(t.Context(), "alice")
	if err != nil || !strings.HasPrefix(*kept.PasswordHash, "$argon2id$v=19$m=128,t=2,p=1$") {
		t.Errorf("%+v, %v", kept, err)
	}
	// The same letters, composed and not, are the same password.
	if _, err := w.CreateUser(t.Context(), auth.UserParams{Name: "bob", Password: "caf\u00e9 au lait s'il vous", Role: auth.RoleUser}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.login("192.0.2.1", auth.Credentials{Name: "bob", Password: "cafe\u0301 au lait s'il vous"}); err != nil {
		t.Errorf("decomposed: %v", err)
	}
	// Where there is no account, a password is compared all the same.
	if _, err := w.login("192.0.2.1", auth.Credentials{Name: "nobody", Password: password}); !errors.Is(
		err, auth.ErrLoginFailed,
	) {
		t.Errorf("nobody: %v", err)
	}
	if p := auth.DefaultPasswordParams(); p.Memory < 19<<10 || p.Iterations < 2 {
		t.Errorf("the parameters are below OWASP's: %+v", p)
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
			t.Fatalf("a session that is used ended on day %d", day)
		}
		if day == 7 && w.isValid(idle.Secret) {
			t.Error("a session that was not used for a week holds")
		}
	}
	w.clock.advance(25 * time.Hour)
	if w.isValid(used.Secret) {
		t.Error("a session of more than 30 days holds")
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
	w.InvalidateCache(true) // from now on it remembers, and must forget
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
			t.Errorf("%s: the session holds", how)
		}
		w.clock.advance(time.Minute) // log-ins are counted
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
	const fresh = "a horse of another colour"
	if err := w.ChangePassword(t.Context(), p, "wrong wrong wrong", fresh); err == nil {
		t.Error("a wrong password was enough")
	}
	if err := w.ChangePassword(t.Context(), p, password, fresh); err != nil {
		t.Fatal(err)
	}
	if !w.isValid(here.Secret) || w.isValid(there.Secret) {
		t.Errorf("this session holds: %v, the other: %v", w.isValid(here.Secret), w.isValid(there.Secret))
	}
	if _, err := w.login("192.0.2.9", auth.Credentials{Name: "alice", Password: password}); !errors.Is(
		err, auth.ErrLoginFailed,
	) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := w.login("192.0.2.9", auth.Credentials{Name: "alice", Password: fresh}); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// Those who guess are slowed down, by address and by account, and do not lock the
// owner's own browser out.
func TestGuessing(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleUser)
	w.addUser("bob", auth.RoleUser)
	owner := w.mustLogin("alice")
	guess := func(address, name string) error {
		_, err := w.login(address, auth.Credentials{Name: name, Password: "not the password"})
		return err
	}
	slowed := func(err error) bool {
		wait, ok := errors.AsType[*auth.RateLimitError](err)
		return ok && wait.RetryAfter > 0
	}
	// One address, one account.
	tries := 0
	for ; !slowed(guess("198.51.100.1", "alice")); tries++ {
		if tries > 20 {
			t.Fatal("twenty guesses at once")
		}
	}
	if tries < 5 {
		t.Errorf("somebody who mistypes %d times is slowed down", tries)
	}
	// The right password does not help from there, nor does it tell that it is right.
	if _, err := w.login("198.51.100.1", auth.Credentials{Name: "alice", Password: password}); !slowed(err) {
		t.Errorf("while slowed down, the right password: %v", err)
	}
	// One address, many accounts.
	for i := range 30 {
		_ = guess("198.51.100.2", fmt.Sprintf("nobody%d", i))
	}
	if err := guess("198.51.100.2", "bob"); !slowed(err) {
		t.Errorf("an address that tries many names: %v", err)
	}
	// Many addresses, one account: and the same of a network of IPv6.
	for i := range 60 {
		_ = guess(fmt.Sprintf("203.0.113.%d", i), "alice")
	}
	if err := guess("203.0.113.99", "alice"); !slowed(err) {
		t.Errorf("an account that many try: %v", err)
	}
	for i := range 30 {
		_ = guess(fmt.Sprintf("2001:db8::%x", i), fmt.Sprintf("somebody%d", i))
	}
	if err := guess("2001:db8::ffff", "bob"); !slowed(err) {
		t.Errorf("a network that tries: %v", err)
	}
	// The owner's browser gets in all the while, from anywhere; bob is not concerned.
	if _, err := w.login("198.51.100.1", auth.Credentials{Name: "alice", Password: password, DeviceSecret: owner.DeviceSecret}); err != nil {
		t.Errorf("the owner is locked out: %v", err)
	}
	if _, err := w.login("192.0.2.77", auth.Credentials{Name: "bob", Password: password}); err != nil {
		t.Errorf("bob is locked out: %v", err)
	}
	// Somebody else's browser is nobody's key, and a known one is counted too.
	if _, err := w.login("203.0.113.99", auth.Credentials{Name: "alice", Password: password, DeviceSecret: "swd_" + strings.Repeat("A", 43)}); !slowed(
		err,
	) {
		t.Errorf("a made up device: %v", err)
	}
	tries = 0
	for ; tries < 20; tries++ {
		_, err := w.login(
			"192.0.2.1", auth.Credentials{Name: "alice", Password: "not the password", DeviceSecret: owner.DeviceSecret},
		)
		if slowed(err) {
			break
		}
	}
	if tries == 20 {
		t.Error("a known browser guesses on and on")
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
		t.Error("any code confirms")
	}
	if err := w.ConfirmTOTP(t.Context(), p, "wrong wrong wrong", offer.Secret, code()); err == nil {
		t.Error("any password confirms")
	}
	if err := w.ConfirmTOTP(t.Context(), p, password, offer.Secret, code()); err != nil {
		t.Fatal(err)
	}
	login := func(code string) error {
		_, err := w.login("192.0.2.1", auth.Credentials{Name: "alice", Password: password, Code: code})
		return err
	}
	if err := login(code()); !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("the code that confirmed counts again: %v", err)
	}
	w.clock.advance(30 * time.Second)
	if err := login(""); !errors.Is(err, auth.ErrCodeRequired) {
		t.Errorf("without a code: %v", err)
	}
	if _, err := w.login("192.0.2.1", auth.Credentials{Name: "alice", Password: "wrong", Code: code()}); !errors.Is(
		err, auth.ErrLoginFailed,
	) {
		t.Errorf("with a wrong password: %v", err)
	}
	fresh := code()
	if err := login(fresh[:3] + " " + fresh[3:]); err != nil {
		t.Errorf("with its code: %v", err)
	}
	if err := login(fresh); !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("a code counts twice: %v", err)
	}
	w.clock.advance(5 * time.Minute)
	if err := login(fresh); !errors.Is(err, auth.ErrLoginFailed) {
		t.Errorf("an old code: %v", err)
	}
	// An administrator helps somebody who has lost the key.
	if _, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{RemoveTOTP: true}); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(5 * time.Minute)
	if err := login(""); err != nil {
		t.Errorf("after the key was taken away: %v", err)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.addUser("alice", auth.RoleAdmin)
	user, yes := auth.RoleUser, true
	for what, do := range map[string]func() error{
		"delete": func() error { return w.DeleteUser(t.Context(), "alice") },
		"demote": func() error { _, err := w.ChangeUser(t.Context(), "alice", auth.UserChange{Role: &user}); return err },
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
	// Two who remove each other at the same time: one stays.
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
		t.Errorf("somebody can administer: %v (%v); %d of two were refused", has, err, failed)
	}
}
