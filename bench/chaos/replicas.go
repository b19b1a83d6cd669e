//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/store/embedded"
)

// replicasName is the name of a fault: one of three servers on a database is killed.
const replicasName = "replicas"

const replicas = 3

// runReplicas starts three servers at once on an empty database, so that all want to migrate it, kills one under load,
// and compares what is stored.
func runReplicas(ctx context.Context, s settings, dir string, result *results) (err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	cluster, err := embedded.Start(ctx, embedded.Config{
		Dir: filepath.Join(dir, "database"), Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(context.WithoutCancel(ctx))) }()
	w := &world{settings: s, databaseURL: cluster.URL()}
	defer func() { err = errors.Join(err, w.stop()) }()
	began := time.Now()
	for i := range replicas {
		through, err := newLink(ctx)
		if err != nil {
			return err
		}
		data := filepath.Join(dir, fmt.Sprint("replica-", i))
		if err := os.Mkdir(data, 0o755); err != nil {
			return err
		}
		w.links = append(w.links, through)
		w.services = append(w.services, startService(ctx, s, data, cluster.URL(), through))
	}
	for _, one := range w.services {
		server, err := one.wait(ctx)
		if err != nil {
			return err
		}
		if w.token == "" {
			if w.token, err = server.AdminToken(ctx); err != nil {
				return err
			}
		}
	}
	r := row{name: "three replicas start on an empty database"}
	w.startLoad(ctx)
	if r.recovery, err = w.recovered(ctx, began); err != nil {
		return err
	}
	result.add(r)
	// The killed replica is not started again, so its agents use the others.
	r = row{name: "one of three replicas is killed"}
	failures := w.fleet.failures()
	w.services[0].hold(true)
	w.services[0].signal(syscall.SIGKILL)
	if r.recovery, err = w.recovered(ctx, time.Now()); err != nil {
		return err
	}
	if err := product.Pause(ctx, s.hold); err != nil {
		return err
	}
	r.failures = w.fleet.failures() - failures
	w.services[0].hold(false)
	result.add(r)
	return w.verify(ctx, result)
}

// connect opens a connection to the database.
func (w *world) connect(ctx context.Context) (*pgx.Conn, error) {
	if w.databaseURL != "" {
		return pgx.Connect(ctx, w.databaseURL)
	}
	return w.postgres.connect(ctx)
}
