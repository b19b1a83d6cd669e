package auth_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/store/accounts"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// testClock is a clock that a test advances.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testService is a Service with a database of its own.
type testService struct {
	*auth.Service
	t      *testing.T
	clock  *testClock
	tables *accounts.Accounts
}

const password = "correct horse battery"

func fastParams() *argon2id.Params {
	return &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

func newTestService(t *testing.T) *testService {
	t.Helper()
	w := &testService{
		t:      t,
		clock:  &testClock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)},
		tables: storetest.Open(t, nil).Accounts(),
	}
	w.Service = w.newService(fastParams())
	return w
}

// newService returns another server on the same database.
func (w *testService) newService(params *argon2id.Params) *auth.Service {
	w.t.Helper()
	s, err := auth.New(auth.Config{PasswordParams: params, Now: w.clock.Now}, w.tables, storetest.Logger())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *testService) addUser(name string, role auth.Role, tags ...string) *accounts.User {
	w.t.Helper()
	user, err := w.CreateUser(w.t.Context(), auth.UserParams{Name: name, Password: password, Role: role, Tags: tags})
	if err != nil {
		w.t.Fatal(err)
	}
	return user
}

// contextFrom returns the context of a request from an address.
func contextFrom(t *testing.T, address string) context.Context {
	return auth.WithClient(t.Context(), auth.Client{Address: address, UserAgent: "a test", RequestID: "r"})
}

// login signs in from an address.
func (w *testService) login(address string, c auth.Credentials) (*auth.LoginResult, error) {
	return w.Login(contextFrom(w.t, address), c)
}

func (w *testService) mustLogin(name string) *auth.LoginResult {
	w.t.Helper()
	s, err := w.login("192.0.2.1", auth.Credentials{Name: name, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// isValid reports whether a secret authenticates.
func (w *testService) isValid(secret string) bool {
	w.t.Helper()
	_, err := w.Authenticate(w.t.Context(), secret)
	if err != nil && !errors.Is(err, auth.ErrInvalidCredential) {
		w.t.Fatal(err)
	}
	return err == nil
}
