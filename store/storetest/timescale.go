package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
)

// timescaleSlots bounds how many databases with TimescaleDB there are at a time:
// each is a process with an own WebAssembly machine.
var timescaleSlots = make(chan struct{}, 2)

// timescaleTemplate is a dump of a migrated database, made once.
var timescaleTemplate = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "snapwatch-timescale-")
	if err != nil {
		return "", err
	}
	templateDir = dir
	b, err := startBridge("")
	if err != nil {
		return "", err
	}
	defer b.stop()
	if _, err := store.Migrate(context.Background(), b.url, backend.Timescale); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "template.tar")
	return file, b.dump(file)
})

// templateDir is removed when the tests of the package end.
var templateDir string

// TimescaleURL makes a migrated database with TimescaleDB for the test.
func TimescaleURL(t testing.TB) string {
	t.Helper()
	if server := os.Getenv(nativeEnv); server != "" {
		address := nativeDatabase(t, server)
		if _, err := store.Migrate(t.Context(), address, backend.Timescale); err != nil {
			t.Fatal(err)
		}
		return address
	}
	template, err := timescaleTemplate()
	if err != nil {
		t.Fatalf("make a template with TimescaleDB: %v", err)
	}
	return bridge(t, template)
}

func bridge(t testing.TB, template string) string {
	t.Helper()
	timescaleSlots <- struct{}{}
	b, err := startBridge(template)
	if err != nil {
		<-timescaleSlots
		t.Fatalf("start TimescaleDB: %v", err)
	}
	t.Cleanup(func() {
		b.stop()
		<-timescaleSlots
	})
	return b.url
}

// timescaleBridge is a running bridge.mjs, which see.
type timescaleBridge struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	url string
}

func startBridge(template string) (*timescaleBridge, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("no source path")
	}
	args := []string{filepath.Join(filepath.Dir(file), "timescale", "bridge.mjs")}
	if template != "" {
		args = append(args, template)
	}
	b := &timescaleBridge{cmd: exec.Command("node", args...)}
	b.cmd.Stderr = os.Stderr
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewReader(out)
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	port, err := b.out.ReadString('\n')
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("bridge.mjs did not come up; make test installs what it needs: %w", err)
	}
	// Prepared statements of two connections would meet in the one backend.
	b.url = fmt.Sprintf(
		"postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable&default_query_exec_mode=cache_describe",
		strings.TrimSpace(port),
	)
	return b, nil
}

func (b *timescaleBridge) dump(file string) error {
	if _, err := fmt.Fprintln(b.in, "dump", file); err != nil {
		return err
	}
	answer, err := b.out.ReadString('\n')
	if err == nil && answer != "dumped\n" {
		err = fmt.Errorf("the dump failed: %q", answer)
	}
	return err
}

func (b *timescaleBridge) stop() {
	_ = b.in.Close()
	_ = b.cmd.Wait()
}

// Database is a database of a test, and what it is.
type Database struct {
	URL       string
	Detection store.Detection
}

// EachProfile runs a test of the contract that both storage profiles keep, once
// on each, with a migrated database of its own.
func EachProfile(t *testing.T, test func(t *testing.T, db Database)) {
	t.Helper()
	t.Run(backend.Postgres, func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
	t.Run(backend.Timescale, func(t *testing.T) {
		t.Parallel()
		test(t, Database{TimescaleURL(t), asWanted(backend.Timescale)})
	})
}

// The databases of EachProfileShared.
var (
	sharedBridge   *timescaleBridge
	sharedPostgres = sync.OnceValues(func() (string, error) {
		_, url, err := createDatabase(template)
		return url, err
	})
	sharedTimescale = sync.OnceValues(func() (string, error) {
		template, err := timescaleTemplate()
		if err != nil {
			return "", err
		}
		if sharedBridge, err = startBridge(template); err != nil {
			return "", err
		}
		return sharedBridge.url, nil
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
				test(t, Database{TimescaleURL(t), asWanted(profile)})
				return
			}
			url, err := shared()
			if err != nil {
				t.Fatalf("create the shared database: %v", err)
			}
			test(t, Database{url, asWanted(profile)})
		})
	}
}

// Open opens a store on the database; change, if given, alters the config.
func (d Database) Open(t testing.TB, change func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.Config{DatabaseURL: d.URL, Detection: d.Detection, Retention: 30 * 24 * time.Hour}
	if change != nil {
		change(&cfg)
	}
	return OpenConfig(t, cfg)
}
