package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/auth"
)

// TestCommonPasswordsAreRefused checks that passwords that are easy to guess are refused wherever one is set, although
// they are long enough.
func TestCommonPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	link, err := w.CreateSetupSecret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const name = "eva.lindqvist@example.org"
	w.addUser(name, auth.RoleUser)
	session := w.mustLogin(name)
	p, err := w.Authenticate(t.Context(), session.Secret)
	if err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(password string) error{
		"set-up": func(password string) error {
			_, err := w.Setup(contextFrom(t, "192.0.2.7"), link, auth.UserParams{Name: name, Password: password})
			w.clock.advance(time.Minute) // attempts are limited
			return err
		},
		"create a user": func(password string) error {
			_, err := w.CreateUser(t.Context(), auth.UserParams{Name: name, Password: password, Role: auth.RoleUser})
			return err
		},
		"change a user": func(password string) error {
			_, err := w.ChangeUser(t.Context(), name, auth.UserChange{Password: &password})
			return err
		},
		"change the own password": func(password string) error {
			defer w.clock.advance(time.Minute)
			return w.ChangePassword(t.Context(), p, "correct horse battery", password)
		},
	}
	for way, set := range ways {
		for password, problem := range map[string]string{
			"password1234":            "common password",
			"PasswordPassword":        "common password",
			"p@ssw0rd1234":            "common password",
			"qwertyuiop123":           "common password",
			"123456789012":            "common password",
			"iloveyou1234":            "common password",
			"snapwatch123":            "common password",
			"aaaaaaaaaaaaaaaa":        "common password",
			"P.a.s.s.w.o.r.d.":        "common password",
			"p a s s w o r d":         "common password",
			"ｐａｓｓｗｏｒｄ１２３４":            "common password", // of full width
			"QWER!@#$asdf":            "common password", // qwer1234asdf with the shift key
			"postgres1234":            "common password",
			"let me in please":        "common password",
			"evaevaevaeva":            "common password", // too short a part of the name for the rule below
			"my LindqVist password":   "part of it",
			"at example, all is well": "part of it",
			name + " and more":        "user name",
		} {
			err := set(password)
			invalid, ok := errors.AsType[*auth.FieldError](err)
			if !ok || !strings.Contains(invalid.Problem, problem) || !strings.Contains(invalid.Field, "password") {
				t.Errorf("%s with %q: %v, want %q", way, password, err, problem)
			}
		}
	}
	for _, good := range []string{
		"four unrelated plain words", "x7Kq9pLm2Rtz", "k.d-2_f.8-s_1.q", "wR8!#kQ$z@p2", "Åäö är goda bokstäver",
		"另一个完全不同的密码在这里",
	} {
		if err := ways["change a user"](good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
