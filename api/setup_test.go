package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// TestSetupIsOneTransaction makes the database fail at each statement of the first set-up. Nothing may be left of the
// attempt, the next start must offer a new link, and the first link must work as soon as the database does.
func TestSetupIsOneTransaction(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct{ name, table, trigger string }{
		{"user", "users", "BEFORE INSERT ON users FOR EACH STATEMENT"},
		{"links", "settings", "AFTER DELETE ON settings FOR EACH STATEMENT"},
		{"session", "sessions", "AFTER INSERT ON sessions FOR EACH STATEMENT"},
		{"oldest sessions", "sessions", "BEFORE DELETE ON sessions FOR EACH STATEMENT"},
		{"sign-in", "users", "AFTER UPDATE ON users FOR EACH STATEMENT"},
		{"device", "devices", "AFTER INSERT ON devices FOR EACH STATEMENT"},
		{"audit log", "audit_log", "AFTER INSERT ON audit_log FOR EACH ROW WHEN (new.action = 'user.added')"},
		{"sign-in in the audit log", "audit_log", "AFTER INSERT ON audit_log FOR EACH ROW WHEN (new.action = 'login')"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			failSetup(t, fault.table, "TRIGGER fault "+fault.trigger)
		})
	}
	t.Run("commit", func(t *testing.T) {
		t.Parallel()
		failSetup(t, "users", "CONSTRAINT TRIGGER fault AFTER INSERT ON users "+
			"DEFERRABLE INITIALLY DEFERRED FOR EACH ROW")
	})
}

// failSetup checks a set-up that fails because of a trigger on a table.
func failSetup(t *testing.T, table, trigger string) {
	t.Helper()
	db := storetest.Postgres(t)
	s := testServerOf(t, apitest.Start(t, db, apitest.Config{Config: api.Config{}}))
	conn := storetest.ConnectAdmin(t, db)
	execute := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	count := func(table string) (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	link, err := s.auth.CreateSetupSecret(t.Context())
	if err != nil || link == "" {
		t.Fatal(link, err)
	}
	body := fmt.Sprintf(`{"secret": %q, "name": "owner", "password": %q}`, link, goodPassword)
	setUp := func() response {
		return s.do(http.MethodPost, "/api/v1/auth/setup", body, "Authorization", "")
	}
	before := count("audit_log")
	execute(`CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'injected fault'; END$$`)
	execute("CREATE " + trigger + " EXECUTE FUNCTION fault()")
	if got := setUp(); got.status != http.StatusInternalServerError {
		t.Fatalf("with a fault: %d %s", got.status, got.text)
	}
	for _, table := range []string{"users", "sessions", "devices"} {
		if n := count(table); n != 0 {
			t.Errorf("the failed set-up left %d rows in %s", n, table)
		}
	}
	if audit := count("audit_log") - before; audit != 0 {
		t.Errorf("the failed set-up left %d audit entries", audit)
	}
	if fresh, err := s.auth.CreateSetupSecret(t.Context()); fresh == "" || err != nil {
		t.Errorf("the next start has the link %q, %v", fresh, err)
	}
	execute("DROP TRIGGER fault ON " + table)
	if got := setUp(); got.status != http.StatusCreated && got.status != http.StatusOK {
		t.Errorf("without the fault: %d %s", got.status, got.text)
	}
	if count("users") != 1 || count("sessions") != 1 || count("settings WHERE starts_with(key, 'setup_link:')") != 0 {
		t.Error("the set-up is incomplete")
	}
}
