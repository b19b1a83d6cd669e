package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/shirou/gopsutil/v3/disk"
)

// Method is how Upgrade moves data to the new cluster.
type Method string

// The methods.
const (
	// MethodAuto is pg_upgrade where it is possible, and else a dump.
	MethodAuto Method = "auto"
	// MethodPgUpgrade copies the files of the tables with pg_upgrade.
	MethodPgUpgrade Method = "pg_upgrade"
	// MethodDump copies the data with pg_dump and psql, and compares the number of rows of each table.
	MethodDump Method = "dump"
)

// UpgradeConfig configures Upgrade.
type UpgradeConfig struct {
	// Dir is the data directory.
	Dir string
	// BinDir has the programs of the new version. By default, Upgrade searches for them.
	BinDir string
	// OldBinDir has the programs of the cluster's version. By default, Upgrade searches for them.
	OldBinDir string
	// Major is the new major version. 0 means the newest one that is installed.
	Major  int
	Method Method
	// Clone makes pg_upgrade clone files instead of copying them, which only some file systems can do.
	Clone bool
	// Durable must be true for anything but tests: it keeps fsync on.
	Durable bool
	// Progress is called with a line for each step.
	Progress func(string)
}

// Upgraded is the result of Upgrade and Revert.
type Upgraded struct {
	// From is the major version of the cluster that was replaced, and To that of the cluster in use.
	From, To int
	// Kept is the directory of the cluster that was replaced.
	Kept string
}

const (
	// upgradeDir is where the new cluster is made, below the data directory.
	upgradeDir = "upgrade"
	// upgradeSpace is the space in bytes that an upgrade needs besides a copy of the data.
	upgradeSpace = 256 << 20
	// copyInterval is the time between two lines about the progress of a copy.
	copyInterval = 5 * time.Second
	// cleanupTimeout bounds the end of the servers of a failed upgrade.
	cleanupTimeout = 90 * time.Second
)

// ErrNothingToUpgrade means that no version newer than that of the cluster is installed.
var ErrNothingToUpgrade = errors.New("no newer version of PostgreSQL was found")

// upgrade is the state of Upgrade.
type upgrade struct {
	cfg      UpgradeConfig
	lock     *flock.Flock
	old, new *Cluster
	from, to int
	size     uint64 // of the old cluster's data, in bytes
}

// Upgrade moves the cluster of a data directory to another major version, and keeps the old cluster. No server may use
// the directory. The old cluster stays in use until the new one is complete: an upgrade that fails or that is
// interrupted leaves it as it was.
func Upgrade(ctx context.Context, cfg UpgradeConfig) (_ Upgraded, err error) {
	u := &upgrade{cfg: cfg}
	if err := u.open(ctx); err != nil {
		return Upgraded{}, err
	}
	defer func() { _ = u.lock.Close() }()
	if err := u.checkSpace(ctx); err != nil {
		return Upgraded{}, err
	}
	defer func() {
		if cleanErr := u.clean(ctx); err != nil { // after a success, the next start removes the rest
			err = errors.Join(err, cleanErr)
		}
	}()
	if err := u.copyCluster(ctx); err != nil {
		return Upgraded{}, fmt.Errorf("upgrade the private database: %w; the cluster of version %d is unchanged", err,
			u.from)
	}
	keep := keepName(u.old.cfg.Dir, u.from)
	u.step("switching to the new cluster")
	if err := switchTo(u.old.cfg.Dir, u.old.owner, filepath.Join(upgradeDir, inUse), keep); err != nil {
		return Upgraded{}, err
	}
	return Upgraded{From: u.from, To: u.to, Kept: filepath.Join(u.old.cfg.Dir, keep)}, nil
}

// open locks the data directory, finds the programs and removes what an earlier upgrade has left.
func (u *upgrade) open(ctx context.Context) (err error) {
	if u.old, u.lock, err = openStopped(u.cfg.Dir, u.cfg.Durable); err != nil {
		return err
	}
	if err := u.findPrograms(); err != nil {
		_ = u.lock.Close()
		return err
	}
	if err := u.old.removeUnfinishedUpgrade(ctx); err != nil {
		_ = u.lock.Close()
		return err
	}
	return nil
}

// openStopped locks a data directory with a cluster, and completes an interrupted switch. The cluster has no programs
// yet.
func openStopped(dir string, durable bool) (*Cluster, *flock.Flock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("resolve the data directory: %w", err)
	}
	if !Exists(dir) {
		return nil, nil, fmt.Errorf("%w in %s", ErrNoCluster, dir)
	}
	owner, err := currentOwner()
	if err != nil {
		return nil, nil, err
	}
	lock, err := lockDir(dir, owner)
	if err != nil {
		return nil, nil, err
	}
	c := &Cluster{
		cfg: Config{Dir: dir, Durable: durable, Logger: slog.New(slog.DiscardHandler)}, owner: owner,
	}
	if err = finishSwitch(dir, owner); err == nil {
		c.socket, err = owner.makeSocketDir(dir)
	}
	if err != nil {
		_ = lock.Close()
		return nil, nil, err
	}
	return c, lock, nil
}

// findPrograms finds the programs of both versions.
func (u *upgrade) findPrograms() error {
	u.from = clusterMajor(u.old.data())
	all, err := installations(u.cfg.BinDir)
	if err != nil {
		return err
	}
	newBin := ""
	for _, candidate := range all {
		if newBin == "" && (u.cfg.Major == 0 || candidate.major == u.cfg.Major) {
			newBin, u.to = candidate.dir, candidate.major
		}
	}
	switch installed := describe(all); {
	case installed == "":
		return fmt.Errorf("%w: install the new version of PostgreSQL, or name its programs with --postgres-bin",
			ErrNoBinaries)
	case newBin == "":
		return fmt.Errorf("%w of version %d, only version %s: install it, or name its programs with --postgres-bin",
			ErrNoBinaries, u.cfg.Major, installed)
	case u.to < u.from:
		return fmt.Errorf("the cluster has version %d, and cannot be moved to the older version %d", u.from, u.to)
	case u.to == u.from && u.cfg.Major == 0:
		return fmt.Errorf("%w: the cluster has version %d; installed is version %s", ErrNothingToUpgrade, u.from,
			installed)
	}
	oldBin, err := findBinaries(u.cfg.OldBinDir, u.from)
	if err != nil && u.to == u.from {
		oldBin, err = newBin, nil
	}
	if err != nil {
		return fmt.Errorf("%w. Only PostgreSQL %[2]d itself can read its files: install it beside version %[3]d, "+
			"for example from apt.postgresql.org, or name its programs with --old-bin. If that is impossible, "+
			"restore a backup (docs/backup.md)", err, u.from, u.to)
	}
	u.old.bin = oldBin
	work := filepath.Join(u.old.cfg.Dir, upgradeDir)
	u.new = &Cluster{
		cfg:   Config{Dir: work, Durable: u.cfg.Durable, Logger: u.old.cfg.Logger},
		owner: u.old.owner, bin: newBin, socket: socketDir(work),
	}
	// pg_dump locks each table, and each day has some. A small log needs little space while data is loaded.
	u.old.extra = []string{"max_locks_per_transaction=2048"}
	u.new.extra = []string{"max_locks_per_transaction=2048", "max_wal_size=128MB", "autovacuum=off"}
	return nil
}

// checkSpace returns an error if the disk has no room for a second cluster.
func (u *upgrade) checkSpace(ctx context.Context) (err error) {
	if u.size, err = dataSize(u.old.data()); err != nil {
		return err
	}
	usage, err := disk.UsageWithContext(ctx, u.old.cfg.Dir)
	if err != nil {
		return fmt.Errorf("measure free space: %w", err)
	}
	needed := u.size + upgradeSpace
	if u.cfg.Clone {
		needed = upgradeSpace
	}
	if usage.Free < needed {
		return fmt.Errorf("the upgrade needs %d MiB of free space in %s, and there are %d MiB: it keeps the old "+
			"cluster beside the new one; free some space, or move the data directory to a larger disk",
			needed>>20, u.old.cfg.Dir, usage.Free>>20)
	}
	u.step("moving the cluster in %s from version %d (%s) to version %d (%s); it has %d MiB, and %d MiB are free",
		u.old.data(), u.from, u.old.bin, u.to, u.new.bin, u.size>>20, usage.Free>>20)
	return nil
}

// copyCluster makes a complete new cluster beside the old one. Both are stopped when it returns nil.
func (u *upgrade) copyCluster(ctx context.Context) error {
	u.step("starting and stopping the old cluster, so that it is consistent")
	if err := u.startOld(ctx); err != nil {
		return err
	}
	if err := u.old.shutdown(ctx); err != nil {
		return err
	}
	if err := u.createNew(ctx); err != nil {
		return err
	}
	dump, err := u.mustDump(ctx)
	if err != nil {
		return err
	}
	if dump {
		err = u.dumpAndRestore(ctx)
	} else if err = u.pgUpgrade(ctx); err == nil {
		err = u.new.launch(ctx)
	}
	if err != nil {
		return err
	}
	if err := u.finishDatabases(ctx); err != nil {
		return err
	}
	if err := u.new.shutdown(ctx); err != nil {
		return err
	}
	return u.copySettings()
}

// startOld starts the old cluster, unless it was left running by a server that was killed.
func (u *upgrade) startOld(ctx context.Context) error {
	if u.old.ping(ctx) == nil {
		return nil
	}
	return u.old.launch(ctx)
}

// createNew makes an empty cluster of the new version.
func (u *upgrade) createNew(ctx context.Context) error {
	u.step("creating an empty cluster of version %d", u.to)
	if err := u.new.owner.makeOwned(u.new.cfg.Dir); err != nil {
		return fmt.Errorf("create a directory for the new cluster: %w", err)
	}
	if _, err := u.new.owner.makeSocketDir(u.new.cfg.Dir); err != nil {
		return fmt.Errorf("create the socket directory: %w", err)
	}
	return u.new.initialise(ctx)
}

// copySettings copies who may connect, and reports settings that are not copied.
func (u *upgrade) copySettings() error {
	for _, name := range []string{"pg_hba.conf", "pg_ident.conf"} {
		text, err := u.old.owner.read(filepath.Join(u.old.data(), name))
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
		path := filepath.Join(u.new.data(), name)
		if err := u.new.owner.write(path, os.O_TRUNC, string(text)); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	text, err := u.old.owner.read(filepath.Join(u.old.data(), "postgresql.auto.conf"))
	if err != nil {
		return fmt.Errorf("read the settings of ALTER SYSTEM: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			u.step("not copied, set it again with ALTER SYSTEM if you need it: %s", line)
		}
	}
	return nil
}

// clean stops the servers and removes what is not part of a cluster in use.
func (u *upgrade) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	isRunning, err := u.old.isRunning()
	if isRunning {
		err = u.old.shutdown(ctx)
	}
	return errors.Join(err, u.old.removeUnfinishedUpgrade(ctx))
}

func (u *upgrade) step(format string, args ...any) { u.cfg.Progress(fmt.Sprintf(format, args...)) }
