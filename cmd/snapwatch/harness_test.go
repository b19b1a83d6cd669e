//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/internal/testlog"
)

// binaries is the folder with the two programs, built once for these tests.
var binaries string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "snapwatch-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "../snapwatch", "../snapwatch-agent").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	return m.Run()
}

// process is a running snapwatch.
type process struct {
	cmd   *exec.Cmd
	dir   string
	url   string
	links <-chan string // the set-up link, if one was printed
	token string        // an administrator's
	log   *lockedBuffer
	done  chan error
}

// client sends the token of whichever of the tests' servers it asks.
var client = &http.Client{Transport: &bearers{tokens: make(map[string]string)}}

type bearers struct {
	mu     sync.Mutex
	tokens map[string]string // by host and port
}

func (b *bearers) know(address, token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens[strings.TrimPrefix(address, "http://")] = token
}

// RoundTrip sends a request.
func (b *bearers) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	token := b.tokens[r.URL.Host]
	b.mu.Unlock()
	if token == "" {
		return http.DefaultTransport.RoundTrip(r)
	}
	return bearer.Transport{Token: token}.RoundTrip(r)
}

// shell runs a command of snapwatch beside a server, as an administrator would.
func shell(t *testing.T, dir, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, "snapwatch"), append(args, "--data-dir", dir)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL=")
	cmd.Stdin = strings.NewReader(stdin)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, errors.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// lockedBuffer takes a program's log while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = testlog.Writer().Write(p)
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a command that serves and waits for its URL.
func start(t *testing.T, command, dir, listen string, more ...string) *process {
	t.Helper()
	p := &process{dir: dir, log: &lockedBuffer{}, done: make(chan error, 1)}
	p.cmd = exec.Command(
		filepath.Join(binaries, "snapwatch"),
		append([]string{command, "--data-dir", dir, "--listen", listen}, more...)...)
	p.cmd.Env = append(os.Environ(), "DATABASE_URL=", "SNAPWATCH_LOG_LEVEL=debug")
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
		t.Fatalf("it did not come up: %q, %v\n%s", line, readErr, p.log)
	}
	p.url = url
	if p.token, err = shell(t, dir, "", "token", "add", "the test's", "--role", "admin"); err != nil {
		t.Fatal(err)
	}
	client.Transport.(*bearers).know(url, p.token)
	p.links = links
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.stop(t)
		}
	})
	return p
}

// stop ends it as Ctrl-C does and checks that it ended well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Errorf("interrupt: %v", err)
	}
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("it ended with %v\n%s", err, p.log)
		}
	case <-time.After(60 * time.Second):
		_ = p.cmd.Process.Kill()
		t.Errorf("it did not end\n%s", p.log)
	}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

// row asks the private database by the URL that the program prints.
func row(t *testing.T, dir, query string, into any) {
	t.Helper()
	out, err := exec.Command(filepath.Join(binaries, "snapwatch"), "database-url", "--data-dir", dir).Output()
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

// statusWith asks with a token and returns the answer's status.
func statusWith(t *testing.T, token, url string) int {
	t.Helper()
	response, err := (&http.Client{Transport: bearer.Transport{Token: token}}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", url, response.StatusCode)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
