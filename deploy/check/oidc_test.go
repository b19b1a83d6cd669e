package check_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testport"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// serve starts the server and waits until it listens.
func serve(t *testing.T, address string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(
		t.Context(),
		filepath.Join(programs, "snapwatch"),
		append([]string{"serve", "--data-dir", storetest.Dir(t), "--listen", address}, args...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_LOG_LEVEL=debug", "SNAPWATCH_OIDC_CLIENT_SECRET=s3cret")
	cmd.Stderr = testlog.Writer()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
}

// waitReady waits until url, the address of /readyz, answers with 200. The server listens before its database runs.
func waitReady(t *testing.T, client *http.Client, url string) {
	t.Helper()
	testwait.Until(t, "the server to be ready", func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// browser follows redirects, keeps cookies, and records the URLs of the redirects.
type browser struct {
	*http.Client
	t    *testing.T
	seen []*url.URL
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, Client: &http.Client{Jar: jar}}
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		b.seen = append(b.seen, r.URL)
		return nil
	}
	return b
}

// read returns the body of a response, and the response.
func (b *browser) read(response *http.Response, err error) (string, *http.Response) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text), response
}

// signIn signs in at the provider, and returns the URL of the last page.
func (b *browser) signIn(site, name string) *url.URL {
	b.t.Helper()
	_, page := b.read(b.Get(site + "/api/v1/auth/oidc/login"))
	_, last := b.read(
		b.PostForm(
			page.Request.URL.String(),
			url.Values{
				"id":       {page.Request.URL.Query().Get("authRequestID")},
				"username": {name},
				"password": {"verysecure"},
			},
		),
	)
	return last.Request.URL
}

type self struct {
	Name, Role string
	Session    bool
	Password   bool
}

func (b *browser) self(site string) (self, int) {
	b.t.Helper()
	var who self
	text, response := b.read(b.Get(site + "/api/v1/me"))
	if err := json.Unmarshal([]byte(text), &who); err != nil {
		b.t.Fatal(err)
	}
	return who, response.StatusCode
}

// Users sign in through a real OpenID Connect provider, with PKCE. Its claims determine their roles.
func TestOIDC(t *testing.T) {
	t.Parallel()
	var handler http.Handler
	provider := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }),
	)
	defer provider.Close()
	issuer := strings.Replace(provider.URL, "127.0.0.1", "localhost", 1) + "/"
	address, stricter := testport.FreeAddress(t), testport.FreeAddress(t)
	site, other := "http://"+address, "http://"+stricter+"/snapwatch" // one with a base path
	const callback = "/api/v1/auth/oidc/callback"
	storage.RegisterClients(storage.WebClient("snapwatch", "s3cret", site+callback, other+callback))
	handler = exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), testlog.Logger(), false)
	settings := []string{
		"--oidc-issuer", issuer, "--oidc-client-id", "snapwatch",
		"--oidc-role-claim", "preferred_username", "--oidc-admin-values", "test-user@localhost",
	}
	serve(t, address, append(settings, "--oidc-redirect-url", site+callback, "--oidc-user-values", "test-user2")...)
	serve(t, stricter, append(settings, "--oidc-redirect-url", other+callback, "--base-path", "/snapwatch")...)
	waitReady(t, http.DefaultClient, site+"/readyz")
	waitReady(t, http.DefaultClient, other+"/readyz")

	admin := newBrowser(t)
	if end := admin.signIn(site, "test-user@localhost"); end.String() != site+"/" {
		t.Fatalf("the sign-in ends at %s", end)
	}
	if query := admin.seen[0].Query(); query.Get("code_challenge_method") != "S256" ||
		len(query.Get("code_challenge")) != 43 ||
		query.Get("nonce") == "" ||
		query.Get("state") == "" {
		t.Errorf("the authorization request has %v", query)
	}
	if who, status := admin.self(site); status != http.StatusOK ||
		who != (self{"test-user@localhost", "admin", true, false}) {
		t.Errorf("%d %+v", status, who)
	}
	if _, answer := admin.read(admin.Get(site + "/api/v1/users")); answer.StatusCode != http.StatusOK {
		t.Errorf("an admin is refused: %s", answer.Status)
	}
	user := newBrowser(t)
	user.signIn(site, "test-user2")
	if who, status := user.self(site); status != http.StatusOK || who.Role != "user" {
		t.Errorf("%d %+v", status, who)
	}
	// A second sign-in finds the same user.
	again := newBrowser(t)
	again.signIn(site, "test-user2")
	text, _ := admin.read(admin.Get(site + "/api/v1/users"))
	if n := strings.Count(text, `"elsewhere":true`); n != 2 {
		t.Errorf("%d users: %s", n, text)
	}
	// A user without a role is refused, with a reason.
	nobody := newBrowser(t)
	if end := nobody.signIn(other, "test-user2"); end.Path != "/snapwatch/login" || end.Query().Get("failed") != "no_role" {
		t.Errorf("a user without a role ends at %s", end)
	}
	below := newBrowser(t)
	if end := below.signIn(other, "test-user@localhost"); end.String() != other+"/" {
		t.Errorf("below a base path, the sign-in ends at %s", end)
	}
	if who, status := below.self(other); status != http.StatusOK || who.Role != "admin" {
		t.Errorf("below a base path: %d %+v", status, who)
	}
	if _, status := nobody.self(other); status != http.StatusUnauthorized {
		t.Errorf("a user without a role is signed in: %d", status)
	}
	// A response that this browser has not requested, or that belongs to another request, is refused.
	var callbackURL *url.URL
	for _, at := range again.seen {
		if at.Path == callback {
			callbackURL = at
		}
	}
	reason := func(b *browser) string {
		t.Helper()
		_, last := b.read(b.Get(callbackURL.String()))
		return last.Request.URL.Query().Get("failed")
	}
	if got := reason(newBrowser(t)); got != "login_failed" {
		t.Errorf("the response for another browser fails with %q", got)
	}
	victim := newBrowser(t)
	victim.read(victim.Get(site + "/api/v1/auth/oidc/login"))
	if got := reason(victim); got != "login_failed" {
		t.Errorf("a forged response fails with %q", got)
	}
	if _, status := victim.self(site); status != http.StatusUnauthorized {
		t.Errorf("a forged response signs in: %d", status)
	}
}
