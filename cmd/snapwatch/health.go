package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/snapwatch/snapwatch/internal/health"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store/embedded"
)

// newHealth returns the health checks of the server.
func (s *server) newHealth() *health.Checker {
	var checks []health.Check
	if s.cluster != nil { // first, because they are causes of the others
		checks = append(checks,
			health.Check{Name: "disk", Severity: health.Failure, Run: s.checkDisk},
			health.Check{Name: "postgresql", Severity: health.Failure, Run: s.checkCluster},
		)
	}
	checks = append(checks,
		health.Check{Name: "database", Severity: health.Failure, Run: s.store.CheckWrite},
		health.Check{Name: "posts", Severity: health.Failure, Run: s.ingest.CheckCommits},
		health.Check{Name: "notifications", Severity: health.Failure, Run: s.broadcaster.CheckListener},
		health.Check{Name: "maintenance", Severity: health.Warning, Run: s.store.CheckMaintenance},
		health.Check{Name: "rollups", Severity: health.Warning, Run: s.store.CheckRollups},
	)
	return health.New(checks, s.logger, s.registry)
}

// checkCluster returns an error if the private database does not run, and a warning if its programs were removed.
func (s *server) checkCluster(context.Context) error {
	switch state := s.cluster.State(); {
	case !state.Running:
		return errors.New(state.Reason)
	case state.Missing != "":
		return &health.Finding{Severity: health.Warning, Reason: state.Missing}
	}
	return nil
}

// checkDisk returns an error if the disk of the private database is full, and a warning if it is nearly full.
func (s *server) checkDisk(context.Context) error {
	switch disk := s.cluster.State().Disk; disk.Level {
	case embedded.DiskFull:
		return errors.New(disk.Describe())
	case embedded.DiskLow:
		return &health.Finding{Severity: health.Warning, Reason: disk.Describe()}
	}
	return nil
}

// acceptPosts returns a problem while the disk of the private database is full.
func (s *server) acceptPosts() error {
	if s.cluster == nil {
		return nil
	}
	disk := s.cluster.State().Disk
	if disk.Level != embedded.DiskFull {
		return nil
	}
	return problem.New(http.StatusInsufficientStorage, "disk_full",
		"The disk of the database is full. Keep the snapshots and send them again later.")
}

// startCluster starts the private cluster. While it does not start, the server answers with the reason.
func (s *server) startCluster(ctx context.Context) (*embedded.Cluster, error) {
	return startCluster(ctx, s.database, embedded.Config{
		Logger:     s.logger,
		KeepTrying: true,
		OnFailure: func(err error) {
			s.startup.setReason("The private database does not start: " + err.Error() + ".")
		},
	})
}

// supervise keeps the private cluster running until stopSupervisor is called.
func (s *server) supervise() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.cluster.Supervise(ctx); close(done) }()
	s.stopSupervisor = func() { cancel(); <-done }
}
