package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// maxReplicaDelay bounds how long a change takes to be seen by another server. It is about 10 ms if the machine is
// idle.
// Without notifications, it would be a minute.
const maxReplicaDelay = 20 * time.Second

// startReplicas starts two servers on one database, which receive notifications.
func startReplicas(t *testing.T) (first, second *testServer, db storetest.Database) {
	t.Helper()
	db = storetest.Postgres(t)
	servers := make([]*testServer, 2)
	for i := range servers {
		servers[i] = testServerOf(t, apitest.Start(t, db, apitest.Config{Listen: true}))
		testwait.Until(t, "the server to listen", func() bool {
			return servers[i].metric("snapwatch_live_listener_connected", "") == 1
		})
	}
	return servers[0], servers[1], db
}

// metric returns a metric of the server. labels are as in the text format, with braces.
func (s *testServer) metric(name, labels string) float64 {
	s.t.Helper()
	text := s.get("/metrics").text
	line := regexp.MustCompile(`(?m)^` + name + regexp.QuoteMeta(labels) + ` (\S+)$`).FindStringSubmatch(text)
	if line == nil {
		s.t.Fatalf("no metric %s%s", name, labels)
	}
	value, err := strconv.ParseFloat(line[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// untilSeen waits until a change is seen, and fails the test if that takes too long.
func untilSeen(t *testing.T, what string, seen func() bool) {
	t.Helper()
	began := time.Now()
	testwait.Until(t, what, seen)
	if took := time.Since(began); took > maxReplicaDelay {
		t.Errorf("%s took %s", what, took)
	}
}

// What is set on one server is used by the other one.
func TestReplicasShareSettings(t *testing.T) {
	t.Parallel()
	first, second, db := startReplicas(t)
	for _, days := range []int{17, 12} {
		change := fmt.Sprintf(`{"raw_days":%d}`, days)
		decode[struct{}](t, first.do(http.MethodPatch, "/api/v1/storage/retention", change))
		untilSeen(t, "the other server to have the retention", func() bool {
			return second.store.Retention().RawDays == days
		})
	}
	conn := storetest.Connect(t, db.URL)
	floor := time.Now().Add(-48 * time.Hour).UTC().Truncate(24 * time.Hour)
	if _, err := conn.Exec(t.Context(), `INSERT INTO settings (key, value) VALUES ('complete_from', $1)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		fmt.Sprintf(`{"process_samples":%q,"snapshots":%q}`, floor.Format(time.RFC3339), floor.Format(time.RFC3339)),
	); err != nil {
		t.Fatal(err)
	}
	for _, server := range []*testServer{first, second} {
		untilSeen(t, "the server to know what was dropped", func() bool {
			return server.store.Horizon() >= snapshot.TimeOf(floor)
		})
	}
	// A notification is missed, because the connection that listens is lost.
	for _, statement := range []string{
		`ALTER TABLE settings DISABLE TRIGGER USER`,
		`UPDATE settings SET value = jsonb_set(value::jsonb, '{raw_days}', '9') WHERE key = 'retention'`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'snapwatch listener' AND datname = current_database()`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, server := range []*testServer{first, second} {
		untilSeen(t, "the server to read the retention again", func() bool {
			return server.store.Retention().RawDays == 9
		})
	}
}

// A credential that is revoked or replaced on one server is invalid on the other one, which has cached it.
func TestReplicasShareRevocations(t *testing.T) {
	t.Parallel()
	first, second, db := startReplicas(t)
	ctx := t.Context()
	newToken := func(params auth.TokenParams) (string, int64) {
		secret, token, err := first.auth.CreateToken(ctx, params)
		if err != nil {
			t.Fatal(err)
		}
		return secret, token.ID
	}
	user := func(name string) string {
		params := auth.UserParams{Name: name, Password: "correct horse battery", Role: auth.RoleUser}
		if _, err := first.auth.CreateUser(ctx, params); err != nil {
			t.Fatal(err)
		}
		result, err := first.auth.Login(ctx, auth.Credentials{Name: name, Password: params.Password})
		if err != nil {
			t.Fatal(err)
		}
		return result.Secret
	}
	agent := func(machineID string) (string, int64) {
		return newToken(auth.TokenParams{Name: "agent", Role: auth.RoleAgent, MachineID: machineID})
	}
	conn := storetest.Connect(t, db.URL)
	execute := func(sql string, args ...any) func() error {
		return func() error { _, err := conn.Exec(ctx, sql, args...); return err }
	}
	revoked, revokedID := newToken(auth.TokenParams{Name: "revoked", Role: auth.RoleUser})
	changed, changedID := newToken(auth.TokenParams{Name: "changed", Role: auth.RoleUser})
	replaced, _ := agent("replaced")
	rotated, _ := agent("rotated")
	key, _, err := first.auth.CreateEnrolmentKey(ctx, auth.EnrolmentKeyParams{Name: "key", TakesOver: true})
	if err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 301 { // more than a notification lists
		secret, _ := newToken(auth.TokenParams{Name: fmt.Sprintf("many %d", i), Role: auth.RoleUser})
		many = append(many, secret)
	}
	for _, test := range []struct {
		name   string
		secret string
		change func() error
	}{
		{"a revoked token", revoked, func() error { return first.auth.RevokeToken(ctx, revokedID) }},
		{"the token of a machine that enrols again", replaced, func() error {
			_, err := first.auth.Enrol(ctx, key, "replaced")
			return err
		}},
		{"a token whose replacement was used", rotated, func() error {
			p, err := first.auth.Authenticate(ctx, rotated)
			if err != nil {
				return err
			}
			fresh, err := first.auth.RotateToken(ctx, p)
			if err == nil {
				_, err = first.auth.Authenticate(ctx, fresh)
			}
			return err
		}},
		{"a session that was ended", user("ended"), execute(
			`DELETE FROM sessions WHERE user_id = (SELECT id FROM users WHERE name = 'ended')`)},
		{"a session of a disabled user", user("disabled"), func() error {
			_, err := first.auth.ChangeUser(ctx, "disabled", auth.UserChange{Disabled: new(true)})
			return err
		}},
		{"a session of a deleted user", user("deleted"), func() error { return first.auth.DeleteUser(ctx, "deleted") }},
		{"a token that was changed in the database", changed, execute(
			`UPDATE tokens SET expires_at = '2020-01-01' WHERE id = $1`, changedID)},
		{"the first of many tokens", many[0], execute(`DELETE FROM tokens WHERE name LIKE 'many %'`)},
	} {
		if _, err := second.auth.Authenticate(ctx, test.secret); err != nil {
			t.Fatalf("%s, before the change: %v", test.name, err)
		}
		if err := test.change(); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		untilSeen(t, test.name+" to be refused", func() bool {
			_, err := second.auth.Authenticate(ctx, test.secret)
			if err != nil && !errors.Is(err, auth.ErrInvalidCredential) {
				t.Fatalf("%s: %v", test.name, err)
			}
			return err != nil
		})
	}
}

// Enrolments remove only replaced tokens from the caches of servers. Other changes that concern one credential remove
// only that one.
func TestEnrolmentKeepsCaches(t *testing.T) {
	t.Parallel()
	first, second, _ := startReplicas(t)
	ctx := t.Context()
	key, _, err := first.auth.CreateEnrolmentKey(ctx, auth.EnrolmentKeyParams{
		Name: "key", Tags: []string{"web"}, TakesOver: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := first.auth.Enrol(ctx, key, "m-0")
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := first.auth.CreateToken(ctx, auth.TokenParams{Name: "kept", Role: auth.RoleUser})
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*testServer{first, second} {
		for _, secret := range []string{kept, replaced} {
			if _, err := server.auth.Authenticate(ctx, secret); err != nil {
				t.Fatal(err)
			}
		}
	}
	misses := func(s *testServer) float64 { return s.metric("snapwatch_cache_misses_total", `{cache="tokens"}`) }
	before := []float64{misses(first), misses(second)}
	for i := range 20 {
		machineID := fmt.Sprintf("m-%d", (i+1)%20) // the last one enrols again
		if _, err := first.auth.Enrol(ctx, key, machineID); err != nil {
			t.Fatal(err)
		}
		if _, err := first.store.Register(ctx, &snapshot.Machine{MachineID: machineID}); err != nil {
			t.Fatal(err)
		}
	}
	lookUps := 0.0 // of the replaced token
	untilSeen(t, "the replaced token to be refused", func() bool {
		_, err := second.auth.Authenticate(ctx, replaced)
		if err != nil {
			lookUps++
		}
		return err != nil
	})
	for i, server := range []*testServer{first, second} {
		if _, err := server.auth.Authenticate(ctx, kept); err != nil {
			t.Error(err)
		}
		want := before[i]
		if server == second {
			want += lookUps
		}
		if n := misses(server); n != want {
			t.Errorf("server %d looked up %v credentials, want %v", i, n-before[i], want-before[i])
		}
	}
}

// A fleet behind one address enrols, registers and posts at the same moment.
func TestFleetFromOneAddress(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := start(t, api.Config{Now: func() time.Time { return now }})
	key, _, err := s.auth.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	series := snapshottest.NewMachine(1, 3).Series(snapshot.TimeOf(now.Add(-time.Minute)), 1, time.Second, 1)
	var fleet sync.WaitGroup
	turns := make(chan struct{}, 20)
	for i := range 400 {
		fleet.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			machineID := fmt.Sprintf("m-%d", i)
			enrolment := fmt.Sprintf(`{"key":%q,"machine_id":%q}`, key, machineID)
			enrolled := s.do(http.MethodPost, "/api/v1/enrol", enrolment, "Authorization", "")
			if enrolled.status != http.StatusCreated {
				t.Errorf("enrol: %d %s", enrolled.status, enrolled.text)
				return
			}
			token := "Bearer " + decode[struct{ Token string }](t, enrolled).Token
			if r := s.do(http.MethodPost, "/api/v1/machines",
				fmt.Sprintf(`{"machine_id":%q,"hostname":"h"}`, machineID), "Authorization", token); r.status >= 300 {
				t.Errorf("register: %d %s", r.status, r.text)
			}
			body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: machineID, Snapshots: series.Snapshots})
			if err != nil {
				t.Error(err)
				return
			}
			if r := s.do(http.MethodPost, "/api/v1/snapshots", string(body), "Authorization", token); r.status >= 300 {
				t.Errorf("post: %d %s", r.status, r.text)
			}
		})
	}
	fleet.Wait()
	invalid := 0
	for ; invalid < 1000; invalid++ {
		body := fmt.Sprintf(`{"key":"swe_%043d","machine_id":"m"}`, invalid)
		if r := s.do(http.MethodPost, "/api/v1/enrol", body, "Authorization", ""); r.status != http.StatusUnauthorized {
			if r.status != http.StatusTooManyRequests {
				t.Errorf("an invalid key: %d %s", r.status, r.text)
			}
			break
		}
	}
	if invalid != 200 {
		t.Errorf("%d invalid keys were allowed, want 200", invalid)
	}
}
