//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// binaries is the folder with the two programs. They are built once for these tests, with the
// flags of the Makefile, so that both builds share the compiler's cache.
var binaries string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	flag.Parse()
	// These tests mostly wait for other programs, so more of them than cores run at a time.
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = flag.Set("test.parallel", "8")
	}
	dir, err := os.MkdirTemp("", "snapwatch-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command(
		"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", dir+"/", "../snapwatch", "../snapwatch-agent",
	)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	return storetest.Main(m)
}

func program(name string) string { return filepath.Join(binaries, name) }

// clusterTemplate is a data directory with a stopped private cluster that has the schema and no
// accounts. Copying it takes a fraction of the time of initdb and all migrations.
var clusterTemplate = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(binaries, "template")
	if err := os.Chmod(binaries, 0o755); err != nil { // the cluster's owner passes through it
		return "", err
	}
	// Only a server creates a cluster. It stops as soon as it is up.
	serve := exec.Command(program("snapwatch"), "serve", "--data-dir", dir, "--listen", "127.0.0.1:0")
	serve.Env = append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_RUNTIME_DIR="+filepath.Join(binaries, "runtime"))
	var log bytes.Buffer
	serve.Stderr = &log
	out, err := serve.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := serve.Start(); err != nil {
		return "", err
	}
	_, readErr := bufio.NewReader(out).ReadString('\n')
	_ = serve.Process.Signal(syscall.SIGINT)
	if err := errors.Join(serve.Wait(), readErr); err != nil {
		return "", fmt.Errorf("make a template of the private cluster: %w: %s", err, &log)
	}
	return dir, nil
})

// dataDir returns a data directory with a migrated private cluster, which does not run.
func dataDir(t *testing.T) string {
	t.Helper()
	template, err := clusterTemplate()
	if err != nil {
		t.Fatal(err)
	}
	dir := storetest.Dir(t)
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", template+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the cluster: %v: %s", err, out)
	}
	return dir
}

// logBuffer collects a program's log while the test reads it.
type logBuffer struct {
	// hasSecrets keeps the text out of the log of the test run.
	hasSecrets bool

	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasSecrets {
		_, _ = testlog.Writer().Write(p)
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// contains waits until each of the texts is in the log.
func (l *logBuffer) contains(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		testwait.Until(t, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(l.String(), text) })
	}
}

// startUntilUp starts a server, and waits until it is up. It returns a function that stops it.
func startUntilUp(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	output, log := &logBuffer{hasSecrets: true}, &logBuffer{} // the output has the setup link
	cmd.Stdout, cmd.Stderr = output, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output.contains(t, "is up")
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, log)
		}
	}
}

// process is a running snapwatch server.
type process struct {
	cmd   *exec.Cmd
	dir   string
	url   string
	links <-chan string // the setup link, if one was printed
	token string        // an administrator's
	log   *logBuffer
	done  chan error
}

// start runs a command that serves, and waits for its URL.
func start(t *testing.T, command, dir, listen string, more ...string) *process {
	t.Helper()
	return startWithEnv(t, nil, command, dir, listen, more...)
}

// startWithEnv is start with further variables in the environment.
func startWithEnv(t *testing.T, env []string, command, dir, listen string, more ...string) *process {
	t.Helper()
	p := &process{dir: dir, log: &logBuffer{}, done: make(chan error, 1)}
	p.cmd = exec.Command(
		program("snapwatch"), append([]string{command, "--data-dir", dir, "--listen", listen}, more...)...,
	)
	p.cmd.Env = append(append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_LOG_LEVEL=debug",
		"SNAPWATCH_RUNTIME_DIR="+filepath.Join(binaries, "runtime")), env...)
	p.cmd.Dir = dir
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	line, readErr := lines.ReadString('\n')
	links := make(chan string, 1)
	go func() {
		for failed := readErr; failed == nil; {
			var line string
			if line, failed = lines.ReadString('\n'); strings.Contains(line, "/setup#") {
				links <- strings.TrimSpace(line)
			}
		}
		close(links)
		p.done <- p.cmd.Wait()
	}()
	_, url, ok := strings.Cut(strings.TrimSpace(line), "is up: ")
	if readErr != nil || !ok {
		<-p.done
		t.Fatalf("the server did not start: %q, %v\n%s", line, readErr, p.log)
	}
	p.url = url
	if p.token, err = shellWithEnv(t, env, dir, "", "token", "add", "the test's", "--role", "admin"); err != nil {
		t.Fatal(err)
	}
	client.Transport.(*tokens).add(url, p.token)
	p.links = links
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.stop(t)
		}
	})
	return p
}

// stop ends the server as Ctrl-C does, and checks that it ended without an error.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Errorf("interrupt: %v", err)
	}
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("the server ended with %v\n%s", err, p.log)
		}
	case <-nearDeadline(t):
		_ = p.cmd.Process.Kill()
		t.Errorf("the server did not end\n%s", p.log)
	}
}

// nearDeadline returns a channel that receives shortly before the test binary would be ended. Other
// than testwait.Context it also works in cleanup functions, where the test's context has ended.
func nearDeadline(t *testing.T) <-chan time.Time {
	if deadline, ok := t.Deadline(); ok {
		return time.After(time.Until(deadline) - time.Minute)
	}
	return nil
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

// shell runs a command of snapwatch beside a server, as an administrator would.
func shell(t *testing.T, dir, stdin string, args ...string) (string, error) {
	t.Helper()
	return shellWithEnv(t, nil, dir, stdin, args...)
}

// shellWithEnv is shell with further variables in the environment.
func shellWithEnv(t *testing.T, env []string, dir, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program("snapwatch"), append(args, "--data-dir", dir)...)
	cmd.Env = append(append(os.Environ(), "DATABASE_URL="), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, log.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// enrolmentKey makes an enrolment key on the server of a data directory.
func enrolmentKey(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	key, err := shell(t, dir, "", append([]string{"key", "add", name}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// queryRow queries the private database through the URL that the program prints.
func queryRow(t *testing.T, dir, query string, into any) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program("snapwatch"), "database-url", "--data-dir", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), query).Scan(into); err != nil {
		t.Fatal(err)
	}
}

// storedSnapshots returns how many snapshots the private database holds.
func storedSnapshots(t *testing.T, dir string) (n int) {
	t.Helper()
	queryRow(t, dir, `SELECT count(*) FROM snapshots`, &n)
	return n
}

// client sends the administrator's token of the server that a request goes to.
var client = &http.Client{Transport: &tokens{byHost: make(map[string]string)}}

type tokens struct {
	mu     sync.Mutex
	byHost map[string]string // host and port to token
}

func (c *tokens) add(address, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	host, _, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
	c.byHost[host] = token
}

// RoundTrip sends a request.
func (c *tokens) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	token := c.byHost[r.URL.Host]
	c.mu.Unlock()
	if token == "" {
		return http.DefaultTransport.RoundTrip(r)
	}
	return bearer.Transport{Token: token}.RoundTrip(r)
}

// statusWith sends a GET request with a token and returns the response's status.
func statusWith(t *testing.T, token, url string) int {
	t.Helper()
	return statusFrom(t, &http.Client{Transport: bearer.Transport{Token: token}}, url)
}

// statusFrom sends a GET request and returns the response's status.
func statusFrom(t *testing.T, from *http.Client, url string) int {
	t.Helper()
	response, err := from.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// get reads a JSON response with the administrator's token; any status but 200 ends the test.
func get(t *testing.T, url string, into any) {
	t.Helper()
	status, text := fetch(t, url)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", url, status, text)
	}
	if err := json.Unmarshal([]byte(text), into, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
}
