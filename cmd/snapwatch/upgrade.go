package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/store/embedded"
)

type upgradeCommand struct {
	config.Database
	To     int    `help:"Major version to move to. Empty: the newest one that is installed. The version of the database itself makes a new copy of it." placeholder:"MAJOR"`
	Method string `enum:"auto,pg_upgrade,dump" default:"auto" help:"How to copy the data: pg_upgrade, dump or auto. auto is pg_upgrade where it is possible, and else a dump."`
	Clone  bool   `help:"Let pg_upgrade clone files instead of copying them. That takes no space, but only some file systems can do it, such as XFS, Btrfs and APFS."`
	OldBin string `help:"Directory with the programs of the version that the database has. Empty: search the usual places. --postgres-bin is that of the new version." placeholder:"DIR"`
	Revert bool   `help:"Go back to the database that an upgrade has kept. It does not have what was stored since the upgrade."`
}

// Run upgrades the private database, or reverts an upgrade.
func (c *upgradeCommand) Run(ctx context.Context) error {
	if c.DatabaseURL != "" {
		return errors.New("upgrade-database is for the private database, and DATABASE_URL is set: upgrade that " +
			"server with PostgreSQL's own tools (docs/operations.md)")
	}
	if c.Clone && (c.Method == string(embedded.MethodDump) || c.Revert) {
		return errors.New("--clone is for pg_upgrade: do not use it with --method dump or --revert")
	}
	dir, err := locateCluster(c.Database)
	if err != nil {
		return err
	}
	if uid := clusterUser(dir); uid >= 0 {
		return runAs(ctx, uid, dir)
	}
	do := c.upgrade
	if c.Revert {
		do = c.revert
	}
	err = do(ctx, dir)
	if errors.Is(err, embedded.ErrInUse) {
		return fmt.Errorf("%w. Stop the server before an upgrade, for a package with systemctl stop snapwatch", err)
	}
	return err
}

func (c *upgradeCommand) upgrade(ctx context.Context, dir string) error {
	done, err := embedded.Upgrade(ctx, embedded.UpgradeConfig{
		Dir:       dir,
		BinDir:    c.PostgresBin,
		OldBinDir: c.OldBin,
		Major:     c.To,
		Method:    embedded.Method(c.Method),
		Clone:     c.Clone,
		Durable:   true,
		Progress:  func(line string) { fmt.Println(line) },
	})
	if errors.Is(err, embedded.ErrNothingToUpgrade) {
		fmt.Println(err)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Printf(`The private database has version %d. Start the server.
The database of version %d is kept in %s.
To go back to it: snapwatch upgrade-database --revert
To delete it, when the server runs well: rm -r %[3]s
`, done.To, done.From, done.Kept)
	return nil
}

func (c *upgradeCommand) revert(ctx context.Context, dir string) error {
	done, err := embedded.Revert(ctx, embedded.RevertConfig{Dir: dir, Major: c.To, BinDir: c.OldBin})
	if err != nil {
		return err
	}
	fmt.Printf(`The private database has version %d again. Start the server.
The database of version %d is kept in %s, with everything that was stored since the upgrade.
`, done.To, done.From, done.Kept)
	return nil
}
