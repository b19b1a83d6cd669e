package storetest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/migrations"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
)

// timescalePool holds the private databases with TimescaleDB that no test is using. A nil one has not been started.
var timescalePool = sync.OnceValue(func() chan *timescaleDatabase {
	pool := make(chan *timescaleDatabase, 2)
	for range cap(pool) {
		pool <- nil
	}
	return pool
})

// timescaleTemplate is the file of a dump of a migrated database. Creating it takes several seconds,
// so it is kept for the next test run, under a name that depends on everything that is in it.
var timescaleTemplate = sync.OnceValues(func() (string, error) {
	key, err := templateKey()
	if err != nil {
		return "", err
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "snapwatch-test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "timescale-"+key+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	b, err := startTimescale("")
	if err != nil {
		return "", err
	}
	defer b.stop()
	if err := prepareTemplate(b.url); err != nil {
		return "", err
	}
	unfinished := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := b.dump(unfinished); err != nil {
		return "", err
	}
	return file, os.Rename(unfinished, file)
})

// prepareTemplate migrates a database and creates the policies of the retention that Open sets, which takes longer than
// most tests. It removes the retention itself, so that a test can set another one.
func prepareTemplate(url string) error {
	ctx := context.Background()
	if _, err := store.Migrate(ctx, url, backend.Timescale, Logger()); err != nil {
		return err
	}
	cfg := store.Config{DatabaseURL: url, Detection: detection(backend.Timescale), Retention: testRetention}
	s, err := store.Open(ctx, cfg, Logger(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.MaintainOnce(ctx); err != nil {
		return err
	}
	return finishTemplate(ctx, url)
}

// finishTemplate removes the retention, and the databases that a cluster has besides the one at url. Without their
// files, half of all files, a copy of the template starts a quarter faster.
func finishTemplate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, `DELETE FROM settings WHERE key = 'retention'`); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `UPDATE pg_database SET datistemplate = false`); err != nil {
		return err
	}
	for _, name := range []string{"postgres", "template0"} {
		if _, err := conn.Exec(ctx, `DROP DATABASE `+name); err != nil {
			return err
		}
	}
	return nil
}

// templateKey returns a hash of what the template depends on.
func templateKey() (string, error) {
	folder, err := migrations.For(backend.Timescale)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(folder, path)
		fmt.Fprintf(hash, "%s %d\n%s", path, len(text), text)
		return err
	}); err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	dir := timescaleDir()
	for _, pattern := range []string{
		"*.mjs", "package-lock.json", "../timescale.go", "../../*.go", "../../backend/*.go",
	} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(text), text)
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// TimescaleURL creates a migrated database with TimescaleDB for the test and returns its URL.
func TimescaleURL(t testing.TB) string {
	t.Helper()
	if server := os.Getenv(nativeEnv); server != "" {
		address := nativeDatabase(t, server)
		if _, err := store.Migrate(t.Context(), address, backend.Timescale, Logger()); err != nil {
			t.Fatal(err)
		}
		return address
	}
	template, err := timescaleTemplate()
	if err != nil {
		t.Fatalf("create a template with TimescaleDB: %v", err)
	}
	b := <-timescalePool()
	if b == nil {
		b, err = startTimescale(template)
	} else {
		err = b.reset()
	}
	t.Cleanup(func() { timescalePool() <- b })
	if err != nil {
		b = nil
		t.Fatalf("start TimescaleDB: %v", err)
	}
	return b.url
}

// timescaleHost is the process of host.mjs, started with the first database.
var timescaleHost = sync.OnceValues(func() (*hostProcess, error) {
	h := &hostProcess{replies: make(map[string]chan string)}
	h.cmd = exec.Command("node", filepath.Join(timescaleDir(), "host.mjs"))
	h.cmd.Stderr = os.Stderr
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	startedHost = h
	go h.read(out)
	return h, nil
})

// startedHost is the host to stop at the end of the tests, if one was started.
var startedHost *hostProcess

// timescaleDir returns the folder of host.mjs. Tests run in their package's folder, which is below the repository's.
var timescaleDir = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(fmt.Errorf("storetest: find the repository: %w", err))
	}
	for {
		folder := filepath.Join(dir, "store", "storetest", "timescale")
		if _, err := os.Stat(filepath.Join(folder, "host.mjs")); err == nil {
			return folder
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			panic("storetest: the tests do not run inside the repository")
		}
		dir = parent
	}
})

// hostProcess is a running host.mjs.
type hostProcess struct {
	cmd *exec.Cmd

	mu      sync.Mutex
	in      io.WriteCloser
	replies map[string]chan string // by the database's id; nil after the process has exited
}

// read reads the replies of the host and sends them to the waiting databases.
func (h *hostProcess) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		id, reply, _ := strings.Cut(lines.Text(), " ")
		h.mu.Lock()
		if replies := h.replies[id]; replies != nil {
			replies <- reply
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, replies := range h.replies {
		close(replies)
	}
	h.replies = nil
}

// command sends a command about a database.
func (h *hostProcess) command(words ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.in, strings.TrimSpace(strings.Join(words, " ")))
	return err
}

func (h *hostProcess) stop() {
	_ = h.in.Close()
	_ = h.cmd.Wait()
}

// timescaleDatabase is a database of a host.
type timescaleDatabase struct {
	host    *hostProcess
	id      string
	replies chan string
	url     string
}

func startTimescale(template string) (*timescaleDatabase, error) {
	host, err := timescaleHost()
	if err != nil {
		return nil, err
	}
	d := &timescaleDatabase{host: host, id: fmt.Sprint(counter.Add(1)), replies: make(chan string, 1)}
	host.mu.Lock()
	exited := host.replies == nil
	if !exited {
		host.replies[d.id] = d.replies
	}
	host.mu.Unlock()
	if exited {
		return nil, errors.New("host.mjs has exited; run make test once to install its dependencies")
	}
	if err := host.command("start", d.id, template); err != nil {
		return nil, err
	}
	port, err := d.port()
	if err != nil {
		return nil, fmt.Errorf("%w; run make test once to install its dependencies", err)
	}
	// The prepared statements of two connections would collide in the only backend.
	d.url = fmt.Sprintf(
		"postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable&default_query_exec_mode=cache_describe", port,
	)
	return d, nil
}

// port waits until the database is ready, and returns its port.
func (d *timescaleDatabase) port() (string, error) {
	port := <-d.replies
	if _, err := strconv.Atoi(port); err != nil {
		return "", fmt.Errorf("host.mjs did not start a database (%q)", port)
	}
	return port, nil
}

// reset restores the state that the database had after its start, which is faster than to start another one.
func (d *timescaleDatabase) reset() error {
	if err := d.host.command("reset", d.id); err != nil {
		return err
	}
	_, err := d.port()
	return err
}

func (d *timescaleDatabase) dump(file string) error {
	if err := d.host.command("dump", d.id, file); err != nil {
		return err
	}
	if reply := <-d.replies; reply != "dumped" {
		return fmt.Errorf("dump the template: %q", reply)
	}
	return nil
}

func (d *timescaleDatabase) stop() { _ = d.host.command("stop", d.id) }

// Database is the database of a test.
type Database struct {
	URL       string
	Detection store.Detection
}

// Timescale creates a migrated database of the timescale profile for the test.
func Timescale(t testing.TB) Database {
	t.Helper()
	return Database{TimescaleURL(t), detection(backend.Timescale)}
}

// EachProfile runs a test as a subtest for each storage profile, with a migrated database of its own.
func EachProfile(t *testing.T, test func(t *testing.T, db Database)) {
	t.Helper()
	t.Run(backend.Postgres, func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
	t.Run(backend.Timescale, func(t *testing.T) {
		t.Parallel()
		test(t, Timescale(t))
	})
}

// The databases of EachProfileShared.
var (
	sharedPostgres = sync.OnceValues(func() (string, error) {
		_, url, err := createDatabase(template)
		return url, err
	})
	sharedTimescale = sync.OnceValues(func() (string, error) {
		template, err := timescaleTemplate()
		if err != nil {
			return "", err
		}
		database, err := startTimescale(template)
		if err != nil {
			return "", err
		}
		return database.url, nil
	})
)

// EachProfileShared is like EachProfile, but all tests of the package share one database per profile,
// because creating one takes longer than most tests. A test must use machine ids of its own and must
// not change settings of the database.
func EachProfileShared(t *testing.T, test func(t *testing.T, db Database)) {
	t.Helper()
	for profile, shared := range map[string]func() (string, error){
		backend.Postgres: sharedPostgres, backend.Timescale: sharedTimescale,
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			if profile == backend.Timescale && os.Getenv(nativeEnv) != "" {
				test(t, Database{TimescaleURL(t), detection(profile)})
				return
			}
			url, err := shared()
			if err != nil {
				t.Fatalf("create the shared database: %v", err)
			}
			test(t, Database{url, detection(profile)})
		})
	}
}

// Open opens a store on the database. change may be nil, or alter the config.
func (d Database) Open(t testing.TB, change func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.Config{DatabaseURL: d.URL, Detection: d.Detection, Retention: testRetention}
	if change != nil {
		change(&cfg)
	}
	return OpenConfig(t, cfg)
}
