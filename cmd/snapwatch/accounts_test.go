//go:build linux

package main_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The commands user, token and key work beside a running server, and without one.
func TestAccountCommands(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t)
	p := start(t, "serve", dir, "127.0.0.1:0")
	link := <-p.links
	if !strings.HasPrefix(link, p.url+"/setup#swl_") {
		t.Errorf("the first start printed %q", link)
	}
	if strings.Contains(p.log.String(), "swl_") {
		t.Error("the setup link is in the log")
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, err := shell(t, dir, stdin, args...)
		if err != nil {
			t.Fatal(args, err)
		}
		return out
	}
	refused := func(why, stdin string, args ...string) {
		t.Helper()
		if out, err := shell(t, dir, stdin, args...); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v: %s, %v, want %q", args, out, err, why)
		}
	}
	const password = "correct horse battery"
	must(password+"\n", "user", "add", "owner", "--role", "admin")
	must(password+"\r\n", "user", "add", "reader", "--tags", "web,db")
	refused("already in use", password, "user", "add", "Owner")
	refused("12 characters", "short\n", "user", "add", "x")
	refused("12 characters", "", "user", "add", "x")
	refused("no user", password, "user", "passwd", "nobody")
	refused("last administrator", "", "user", "disable", "owner")
	if list := must("", "user", "list"); !strings.Contains(list, "reader  user   db,web  enabled") &&
		!strings.Contains(list, "reader  user   web,db  enabled") {
		t.Errorf("%s", list)
	}
	login := func(name, password string) (*http.Client, int) {
		t.Helper()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Jar: jar}
		response, err := browser.Post(
			p.url+"/api/v1/auth/login",
			"application/json",
			strings.NewReader(fmt.Sprintf(`{"name": %q, "password": %q}`, name, password)),
		)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return browser, response.StatusCode
	}
	machines := func(browser *http.Client) int { return statusFrom(t, browser, p.url+"/api/v1/machines") }
	browser, status := login("reader", password)
	if status != http.StatusOK || machines(browser) != http.StatusOK {
		t.Fatalf("%d, %d", status, machines(browser))
	}
	// The server applies changes that commands make as soon as PostgreSQL notifies it.
	must("", "user", "disable", "reader")
	testwait.Until(t, "the session to end", func() bool { return machines(browser) == http.StatusUnauthorized })
	if _, status := login("reader", password); status != http.StatusUnauthorized {
		t.Errorf("a disabled user signs in: %d", status)
	}
	must("", "user", "enable", "reader")
	must("a horse of another colour", "user", "passwd", "reader")
	if _, status := login("reader", "a horse of another colour"); status != http.StatusOK {
		t.Errorf("with the new password: %d", status)
	}
	must("", "user", "delete", "reader")
	refused("no user", "", "user", "delete", "reader")

	token := must("", "token", "add", "scripts", "--tags", "*", "--scopes", "machines.read", "--for", "1h")
	withToken := func() int { return statusWith(t, token, p.url+"/api/v1/machines") }
	if withToken() != http.StatusOK {
		t.Error("a new token is refused")
	}
	list := must("", "token", "list")
	if !strings.Contains(list, "scripts") || strings.Contains(list, token) {
		t.Errorf("%s", list)
	}
	must("", "token", "revoke", "2")
	refused("no token", "", "token", "revoke", "2")
	testwait.Until(t, "the token to end", func() bool { return withToken() == http.StatusUnauthorized })
	refused("scopes", "", "token", "add", "x", "--scopes", "everything")
	refused("scopes: must not be empty", "", "token", "add", "x", "--scopes", "") // a variable that is not set
	refused("machine_id", "", "token", "add", "x", "--role", "agent")

	key := must("", "key", "add", "rack", "--uses", "3", "--tags", "web")
	if list := must("", "key", "list"); !strings.Contains(list, "rack  web   3") || strings.Contains(list, key) {
		t.Errorf("%s", list)
	}
	must("", "key", "revoke", "1")
	refused("no enrolment key", "", "key", "revoke", "1")

	var superuser bool
	const rights = `SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user`
	queryRow(t, dir, rights, &superuser)
	if superuser {
		t.Error("the server's role has more rights than to own its database")
	}
	p.stop(t)
	must(password, "user", "add", "second", "--role", "admin") // starts the private cluster for this command
	p = start(t, "serve", dir, "127.0.0.1:0")
	if _, status := login("second", password); status != http.StatusOK {
		t.Errorf("a user added while the server was down: %d", status)
	}
	p.stop(t)
	if link, printed := <-p.links; printed {
		t.Errorf("a setup link was printed although there are administrators: %s", link)
	}
}

// The commands user, token and key on a database without tables say what to do.
func TestAccountCommandsNeedTheSchema(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	for _, args := range [][]string{{"user", "list"}, {"token", "list"}, {"key", "add", "first"}} {
		out, err := shell(t, t.TempDir(), "", append(args, "--database-url", url)...)
		if err == nil || !strings.Contains(err.Error(), "snapwatch migrate up") ||
			!strings.Contains(err.Error(), "DATABASE_URL") {
			t.Errorf("%v: %s, %v, want the command that creates the tables", args, out, err)
		}
	}
}
