package embedded

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/pgsession"
)

const (
	// superviseInterval is the time between two checks of the postmaster and of the disk.
	superviseInterval = time.Second
	// replacedFor is how long the programs must be replaced before the cluster is restarted. A package manager
	// needs some time to replace them all.
	replacedFor    = 10 * time.Second
	restartTimeout = 90 * time.Second
	// While the disk is full, segments of the write-ahead log are freed every freeInterval, until there are
	// minSegments.
	freeInterval   = 2 * time.Second
	minSegments    = 6
	segmentsAtOnce = 2
)

// Supervise keeps the cluster running until ctx is done. It starts a cluster that has ended, with growing delays, and
// restarts one whose programs were replaced by an upgrade. It also watches the free space of the disk. State returns
// what it sees.
func (c *Cluster) Supervise(ctx context.Context) {
	s := newSupervisor(c)
	c.state.setRunning(true, "")
	ticker := time.NewTicker(superviseInterval)
	defer ticker.Stop()
	for {
		s.checkDisk(ctx)
		s.check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// supervisor is the state of Supervise.
type supervisor struct {
	cluster       *Cluster
	delay         backoff.Backoff
	failures      failureLog
	unknownLogged time.Time // when an unknown state was logged last
	next          time.Time // of the next attempt to start
	replacedSince time.Time // zero if the programs are those that run
	disks         []Disk    // the last measurement of each file system
	reserveFailed bool
	freed         time.Time // when the write-ahead log was shortened last
}

// newSupervisor returns the supervisor of a cluster.
func newSupervisor(c *Cluster) *supervisor {
	return &supervisor{cluster: c, delay: newDelay(), failures: failureLog{logger: c.cfg.Logger}}
}

// check starts or restarts the cluster if that is necessary.
func (s *supervisor) check(ctx context.Context) {
	c := s.cluster
	isRunning, err := c.isRunning()
	if err != nil { // starting another one would end a cluster that works
		if time.Since(s.unknownLogged) >= failureInterval {
			s.unknownLogged = time.Now()
			c.cfg.Logger.Error("could not find out whether the private database runs", "err", err)
		}
		return
	}
	if !isRunning {
		s.start(ctx)
		return
	}
	c.trimLog()
	if !c.state.get().Running { // it took longer than an attempt to start, or somebody else has started it
		if err := c.ping(ctx); err != nil {
			c.state.setRunning(false, "PostgreSQL is starting: "+pgsession.Cause(err).Error())
			return
		}
		s.started()
	}
	s.checkPrograms(ctx)
}

// checkPrograms restarts the cluster if its programs were replaced. New connections need the files that came with the
// running program, and fail without them.
func (s *supervisor) checkPrograms(ctx context.Context) {
	c := s.cluster
	pid, err := c.PID()
	if err != nil { // it has just ended
		return
	}
	if !c.isMoved() && !c.isReplaced(pid) {
		s.replacedSince = time.Time{}
		c.state.setMissing("")
		return
	}
	if s.replacedSince.IsZero() {
		s.replacedSince = time.Now()
	}
	if time.Since(s.replacedSince) < replacedFor {
		return
	}
	s.replacedSince = time.Time{} // the next attempt comes after the same time
	if err := c.findPrograms(); err != nil {
		reason := "the programs of the running PostgreSQL were removed, so new connections can fail: " + err.Error()
		if c.state.setMissing(reason) {
			c.cfg.Logger.Error("the programs of the private database were removed", "program", c.startedProgram(),
				"err", err)
		}
		return
	}
	c.cfg.Logger.Warn("restarting the private database: its programs were replaced", "binaries", c.bin)
	s.restart(ctx)
}

// start starts a cluster that has ended, when its next attempt is due.
func (s *supervisor) start(ctx context.Context) {
	c := s.cluster
	if time.Now().Before(s.next) {
		return
	}
	if c.state.get().Running {
		c.state.setRunning(false, "PostgreSQL has ended")
		c.cfg.Logger.Error("the private database has ended, starting it again", "log", c.logPath())
	}
	err := c.findPrograms()
	if err == nil {
		err = c.launch(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		wait := s.delay.Next()
		s.next = time.Now().Add(wait)
		c.state.setRunning(false, err.Error())
		c.cfg.OnFailure(err)
		s.failures.log(err, wait)
		return
	}
	s.started()
}

// started records that the cluster runs again.
func (s *supervisor) started() {
	s.delay.Reset()
	s.failures = failureLog{logger: s.cluster.cfg.Logger}
	s.next = time.Time{}
	s.cluster.state.addRestart()
	s.cluster.state.setRunning(true, "")
	s.cluster.cfg.Logger.Info("the private database runs again")
}

// restart stops the cluster in an orderly way, and starts it.
func (s *supervisor) restart(ctx context.Context) {
	c := s.cluster
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	c.state.setRunning(false, "PostgreSQL is restarted, because its programs were replaced")
	if out, err := c.run(ctx, "pg_ctl", "stop", "-D", c.data(), "-m", "fast", "-w", "-t", "60"); err != nil {
		c.cfg.Logger.Error("could not stop the private database for a restart", "err", err, "output", out)
	}
	s.start(ctx)
}

// checkDisk measures the disk, keeps the reserve, and logs changes of the level.
func (s *supervisor) checkDisk(ctx context.Context) {
	c := s.cluster
	before := c.state.get().Disk
	disks, err := measureDisks(ctx, c.cfg.Dir, s.disks)
	s.disks = disks
	if err != nil {
		if before.Level != DiskUnknown && ctx.Err() == nil {
			c.cfg.Logger.Warn("could not measure the free space of the disk", "dir", c.cfg.Dir, "err", err)
		}
		c.state.setDisk(Disk{})
		return
	}
	now := fullest(disks)
	c.state.setDisk(now)
	if err := c.keepReserves(disks); err != nil && !s.reserveFailed {
		s.reserveFailed = true
		c.cfg.Logger.Warn("could not keep a disk reserve for a restart of the private database", "err", err)
	} else if err == nil {
		s.reserveFailed = false
	}
	if now.Level == DiskFull && time.Since(s.freed) >= freeInterval && c.hasUnusedWAL() {
		defer func() { s.freed = time.Now() }()
		c.freeWAL(ctx, now.Level != before.Level)
	}
	if now.Level == before.Level {
		return
	}
	attributes := []any{"dir", now.Path, "free_bytes", now.Free, "required_bytes", now.Required}
	if now.Inodes.Level != DiskUnknown {
		attributes = append(attributes, "inodes_dir", now.Inodes.Path, "free_inodes", now.Inodes.Free,
			"required_inodes", now.Inodes.Required)
	}
	switch {
	case now.Level == DiskFull:
		c.cfg.Logger.Error("the disk is full: snapshots are refused until there is space", attributes...)
	case now.Level == DiskLow:
		c.cfg.Logger.Warn("the disk is nearly full: snapshots will be refused below the required space", attributes...)
	case before.Level != DiskUnknown:
		c.cfg.Logger.Info("the disk has space again", attributes...)
	}
}

// hasUnusedWAL reports whether the write-ahead log has more segments than a cluster without load needs.
func (c *Cluster) hasUnusedWAL() bool {
	segments, err := filepath.Glob(filepath.Join(c.data(), "pg_wal", "????????????????????????"))
	return err == nil && len(segments) > minSegments
}

// freeWAL makes the cluster remove what it no longer needs of its write-ahead log. PostgreSQL keeps old segments for
// later use, and removes them only after they were used again, so each call uses one and has the rest examined.
func (c *Cluster) freeWAL(ctx context.Context, logFailure bool) {
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.SuperuserURL())
	if err == nil {
		for range segmentsAtOnce {
			if _, err = conn.Exec(ctx, `SELECT pg_switch_wal()`); err != nil {
				break
			}
			if _, err = conn.Exec(ctx, `CHECKPOINT`); err != nil {
				break
			}
		}
		_ = conn.Close(ctx)
	}
	if err != nil && ctx.Err() == nil && logFailure {
		c.cfg.Logger.Warn("could not free space with a checkpoint", "err", err)
	}
}

// isReplaced reports whether the program of the running postmaster is no longer the installed one. It returns false
// where that cannot be found out.
func (c *Cluster) isReplaced(pid int) bool {
	running, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	if err != nil {
		return false
	}
	installed, err := os.Stat(filepath.Join(c.bin, "postgres"))
	return err == nil && !os.SameFile(running, installed)
}

// isMoved reports whether the program from which the postmaster was started is no longer in its directory. Then its
// libraries are not there either.
func (c *Cluster) isMoved() bool { return isMissing(c.startedProgram()) }

// startedProgram returns the path from which the postmaster was started. That is the installed program if the cluster
// has not recorded it.
func (c *Cluster) startedProgram() string {
	if text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.opts")); err == nil {
		if path, _, found := strings.Cut(string(text), ` "-`); found && filepath.IsAbs(path) {
			return path
		}
	}
	return filepath.Join(c.bin, "postgres")
}
