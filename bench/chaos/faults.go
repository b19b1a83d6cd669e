//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/bench/product"
)

// fault is something that goes wrong. inject causes it. It returns how to remove the cause, or nil if the cause is gone
// at once.
type fault struct {
	name   string
	root   bool // only root can cause it
	agent  bool // it ends the real agent, which must report again
	inject func(ctx context.Context, w *world) (remove func() error, err error)
}

// faults returns all faults of one server.
func faults() []fault {
	killServer := func(_ context.Context, w *world) { w.services[0].signal(syscall.SIGKILL) }
	killPostgres := func(_ context.Context, w *world) { w.postgres.kill() }
	killAgent := func(_ context.Context, w *world) { w.real.signal(syscall.SIGKILL) }
	return []fault{
		{name: "kill-server", inject: once(killServer)},
		{name: "kill-agent", agent: true, inject: once(killAgent)},
		{name: "kill-postgres", inject: once(killPostgres)},
		{name: "kill-both", agent: true, inject: once(killPostgres, killServer, killAgent)},
		{name: "postgres-frozen", inject: freeze},
		{name: "postgres-read-only", inject: readOnly},
		{name: "no-connections", inject: takeConnections},
		{name: "postgres-restarted", inject: func(ctx context.Context, w *world) (func() error, error) {
			return nil, w.postgres.restart(ctx)
		}},
		{name: "lock", inject: lock},
		{name: "listen-ended", inject: func(ctx context.Context, w *world) (func() error, error) {
			return nil, w.postgres.exec(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE application_name = 'snapwatch listener'`)
		}},
		{name: "disk-full", root: true, inject: fillDisk},
		{name: "hostile-clients", inject: hostileClients},
		{name: "link-cut", inject: onLink(cut)},
		{name: "link-silent", inject: onLink(silent)},
		{name: "link-slow", inject: onLink(slow)},
	}
}

// once is a fault whose cause is gone at once.
func once(steps ...func(context.Context, *world)) func(context.Context, *world) (func() error, error) {
	return func(ctx context.Context, w *world) (func() error, error) {
		for _, step := range steps {
			step(ctx, w)
		}
		return nil, nil
	}
}

func onLink(state linkState) func(context.Context, *world) (func() error, error) {
	return func(_ context.Context, w *world) (func() error, error) {
		w.links[0].set(state)
		return func() error { w.links[0].set(intact); return nil }, nil
	}
}

func freeze(_ context.Context, w *world) (func() error, error) {
	w.postgres.signalAll(syscall.SIGSTOP)
	return func() error { w.postgres.signalAll(syscall.SIGCONT); return nil }, nil
}

// readOnly makes the database read-only, as a standby is.
func readOnly(ctx context.Context, w *world) (func() error, error) {
	err := w.postgres.exec(ctx, `ALTER DATABASE snapwatch SET default_transaction_read_only = on`, terminate)
	return func() error {
		// The sessions that the server has now stay read-only.
		return w.postgres.exec(ctx, `SET default_transaction_read_only = off`,
			`ALTER DATABASE snapwatch RESET default_transaction_read_only`)
	}, err
}

func takeConnections(ctx context.Context, w *world) (func() error, error) {
	taken, err := w.postgres.takeAllConnections(ctx)
	return func() error { return closeAll(taken) }, err
}

func closeAll(list []*pgx.Conn) (err error) {
	for _, conn := range list {
		err = errors.Join(err, conn.Close(context.Background()))
	}
	return err
}

// lock locks the table that every post writes.
func lock(ctx context.Context, w *world) (func() error, error) {
	conn, err := w.postgres.connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `BEGIN; LOCK TABLE snapshots IN ACCESS EXCLUSIVE MODE`)
	return func() error { return conn.Close(context.WithoutCancel(ctx)) }, err
}

// fillDisk fills the disk of the database.
func fillDisk(_ context.Context, w *world) (func() error, error) {
	path := filepath.Join(filepath.Dir(w.postgres.dir), "filler")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	for block := make([]byte, 1<<20); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, err
	}
	return func() error { return os.Remove(path) }, nil
}

// inject causes a fault, removes its cause and waits until the service has recovered.
func (w *world) inject(ctx context.Context, one fault) (r row, err error) {
	r = row{name: one.name}
	w.logf("%s", one.name)
	failures := w.fleet.failures()
	began := time.Now()
	remove, err := one.inject(ctx, w)
	if remove != nil {
		if err == nil {
			err = product.Pause(ctx, w.hold)
		}
		err = errors.Join(err, remove())
		r.held = time.Since(began)
		began = time.Now()
	}
	if err != nil {
		return r, err
	}
	w.logf("the cause of %s is gone", one.name)
	if r.recovery, err = w.recovered(ctx, began); err != nil {
		w.services[0].signal(syscall.SIGQUIT) // it writes its goroutines to its log
		return r, err
	}
	if one.agent {
		if err := w.realReports(ctx, began); err != nil {
			return r, err
		}
		r.agent = time.Since(began)
	}
	r.failures = w.fleet.failures() - failures
	return r, nil
}

// realReports waits until a snapshot is stored that the real agent has taken after a time.
func (w *world) realReports(ctx context.Context, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	conn, err := w.postgres.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for reported := false; !reported; {
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM machines WHERE machine_id = $1 AND last_snapshot > $2)`,
			realMachine, since).Scan(&reported)
		if err != nil {
			return fmt.Errorf("wait for the agent: %w", err)
		}
		if err := product.Pause(ctx, pollPause); err != nil {
			return fmt.Errorf("the agent did not report again: %w", err)
		}
	}
	return nil
}
