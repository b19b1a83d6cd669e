package auth_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/accounts"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// newKey creates an enrolment key for any number of machines.
func (w *testService) newKey(params auth.EnrolmentKeyParams) string {
	w.t.Helper()
	params.Name = "fleet"
	key, _, err := w.CreateEnrolmentKey(w.t.Context(), params)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// invalidKey returns a key that does not exist.
func invalidKey(i int) string { return fmt.Sprintf("swe_%043d", i) }

// isLimited reports whether an error is a *auth.RateLimitError.
func isLimited(err error) bool {
	_, ok := errors.AsType[*auth.RateLimitError](err)
	return ok
}

// A fleet enrols from one address at one moment, in one transaction for all that wait at the same time. An address that
// tries invalid keys is limited, and keeps no valid key from its use, even if it shares the address.
func TestEnrolmentRateLimit(t *testing.T) {
	t.Parallel()
	w := newTestService(t) // its clock stands still
	key := w.newKey(auth.EnrolmentKeyParams{})
	const address = "198.51.100.1"
	var fleet sync.WaitGroup
	for i := range 1000 {
		fleet.Go(func() {
			if _, err := w.Enrol(contextFrom(t, address), key, fmt.Sprintf("m-%d", i)); err != nil {
				t.Errorf("machine %d of the fleet: %v", i, err)
			}
		})
	}
	fleet.Wait()

	attempts := func(address string) (allowed int) {
		for i := range 1000 {
			_, err := w.Enrol(contextFrom(t, address), invalidKey(i), "guess")
			if isLimited(err) {
				return i
			}
			if !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
				t.Fatal(err)
			}
		}
		return 1000
	}
	if allowed := attempts(address); allowed != 200 {
		t.Errorf("%d invalid keys were allowed from one address, want 200", allowed)
	}
	if _, err := w.Enrol(contextFrom(t, address), key, "another"); err != nil {
		t.Errorf("a valid key of an address that sent invalid ones: %v", err)
	}
	for i := range 9 {
		attempts(fmt.Sprintf("203.0.113.%d", i))
	}
	if allowed := attempts("192.0.2.77"); allowed != 0 {
		t.Errorf("%d invalid keys were allowed after 2,000 from ten addresses", allowed)
	}
	if _, err := w.Enrol(contextFrom(t, "192.0.2.77"), key, "one-more"); err != nil {
		t.Errorf("a valid key while others are guessed: %v", err)
	}
	// Invalid tokens of agents do not keep them from enrolling again.
	for i := range 300 {
		_, _ = w.Authenticate(contextFrom(t, "192.0.2.9"), fmt.Sprintf("swa_%043d", i))
	}
	if _, err := w.Enrol(contextFrom(t, "192.0.2.9"), key, "again"); err != nil {
		t.Errorf("after invalid tokens: %v", err)
	}
}

// A revoked key is invalid at once, also on a server that has used it before. It then counts as a guess.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	other := w.newService(fastParams())
	key, made, err := w.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Enrol(contextFrom(t, "192.0.2.1"), key, "m"); err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeEnrolmentKey(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for ; refused < 1000; refused++ {
		_, err := other.Enrol(contextFrom(t, "192.0.2.1"), key, "n")
		if isLimited(err) {
			break
		}
		if !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
			t.Fatalf("a revoked key: %v", err)
		}
	}
	if refused != 200 {
		t.Errorf("%d attempts with a revoked key were allowed, want 200", refused)
	}
}

// Enrolments that wait at the same time share a transaction, so they do not wait for each other's commit.
func TestEnrolmentsShareTransactions(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	url := storetest.URL(t)
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: url})
	w.tables = s.Accounts()
	w.Service = w.newService(fastParams())
	uses := 150
	key := w.newKey(auth.EnrolmentKeyParams{Uses: &uses, Tags: []string{"web"}})
	conn := storetest.Connect(t, url)
	blocked, err := storetest.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocked.Exec(t.Context(), `SELECT FROM enrolment_keys FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var fleet sync.WaitGroup
	enrol := func(i int) {
		fleet.Go(func() {
			if _, err := w.Enrol(contextFrom(t, "192.0.2.1"), key, fmt.Sprintf("m-%d", i)); err != nil {
				t.Errorf("machine %d: %v", i, err)
			}
		})
	}
	enrol(0)
	testwait.Until(t, "the first enrolment to wait for the key", func() (waits bool) {
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		return waits
	})
	for i := range 149 {
		enrol(i + 1)
	}
	testwait.Until(t, "the other enrolments to wait", func() bool { return w.WaitingEnrolments() == 149 })
	if err := blocked.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	fleet.Wait()
	var transactions int
	err = conn.QueryRow(t.Context(), `SELECT count(DISTINCT xmin::text) FROM tokens`).Scan(&transactions)
	if err != nil || transactions != 2 {
		t.Errorf("%d transactions for 150 enrolments, want 2: %v", transactions, err)
	}
	var tokens, entries int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(DISTINCT machine_id) FROM tokens WHERE tags = '{web}'),
		(SELECT count(*) FROM audit_log WHERE action = 'machine.enrolled' AND actor = 'enrolment key fleet'
			AND address = '192.0.2.1' AND detail = '{"tags": ["web"]}')`).Scan(&tokens, &entries); err != nil ||
		tokens != 150 || entries != 150 {
		t.Errorf("%d tokens and %d entries of the audit log, want 150: %v", tokens, entries, err)
	}
	if _, err := w.Enrol(contextFrom(t, "192.0.2.1"), key, "m"); !errors.Is(err, auth.ErrInvalidEnrolmentKey) {
		t.Errorf("after the last use: %v", err)
	}
}

// Two agents that enrol one machine at the same time get one token, and one refusal. With a key that takes over, both
// get a token, and the token of the last one is valid.
func TestConcurrentEnrolmentOfOneMachine(t *testing.T) {
	t.Parallel()
	for _, takesOver := range []bool{false, true} {
		w := newTestService(t)
		other := w.newService(fastParams())
		w.SetListening(true)
		key := w.newKey(auth.EnrolmentKeyParams{TakesOver: takesOver})
		var mu sync.Mutex
		var secrets []string
		var agents sync.WaitGroup
		for i := range 20 {
			agents.Go(func() {
				service := w.Service
				if i%2 == 0 && !takesOver { // the caches of w are not notified of the changes of other
					service = other
				}
				secret, err := service.Enrol(contextFrom(t, "192.0.2.1"), key, "m")
				if err != nil && !errors.Is(err, accounts.ErrEnrolled) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					secrets = append(secrets, secret)
				}
			})
		}
		agents.Wait()
		valid := 0
		for _, secret := range secrets {
			if w.isValid(secret) {
				valid++
			}
		}
		if want := map[bool]int{false: 1, true: 20}[takesOver]; len(secrets) != want || valid != 1 {
			t.Errorf("takes over: %v: %d tokens, %d of them valid; want %d and 1", takesOver, len(secrets), valid, want)
		}
	}
}

// The token of an enrolment is cached, so that the agent's first posts do not wait for a look-up and count as no
// attempt of an address that has sent invalid tokens.
func TestEnrolmentCachesTheToken(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	w.SetListening(true)
	key := w.newKey(auth.EnrolmentKeyParams{Tags: []string{"web"}, TakesOver: true})
	ctx := contextFrom(t, "192.0.2.1")
	secret, err := w.Enrol(ctx, key, "m")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		_, _ = w.Authenticate(ctx, fmt.Sprintf("swa_%043d", i))
	}
	p, err := w.Authenticate(ctx, secret)
	if err != nil || p.MachineID != "m" || p.Role != auth.RoleAgent || p.Tags[0] != "web" || p.TokenID == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := w.Enrol(ctx, key, "m"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Authenticate(contextFrom(t, "192.0.2.2"), secret); !errors.Is(err, auth.ErrInvalidCredential) {
		t.Errorf("the replaced token: %v", err)
	}
}

// The queue of enrolments is bounded.
func TestEnrolmentQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := newTestService(t)
	key := w.newKey(auth.EnrolmentKeyParams{})
	defer w.FillEnrolments()()
	if _, err := w.Enrol(contextFrom(t, "192.0.2.1"), key, "m"); !errors.Is(err, auth.ErrBusy) {
		t.Errorf("an enrolment beyond the limit: %v", err)
	}
}
