package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/strictpath"
	"github.com/snapwatch/snapwatch/store/embedded"
)

// locateCluster returns the data directory of the private database for a command: that of the settings, of the running
// server, or the default one. It returns an error that says what to do if there is no private database.
func locateCluster(database config.Database) (dir string, err error) {
	if dir, err = database.Dir(); err != nil {
		return "", err
	}
	var servers []runningServer
	if database.DataDir == "" {
		servers = findServers(database)
		if running, err := chooseServer(servers); err != nil {
			return "", err
		} else if running != "" {
			dir = running
		}
	}
	if embedded.Exists(dir) {
		return dir, nil
	}
	return "", missingCluster(dir, servers)
}

// chooseServer returns the data directory of the only server that the current user may use, or "" if there is none.
func chooseServer(servers []runningServer) (dir string, err error) {
	var usable []string
	for i := range servers {
		s := &servers[i]
		if !s.usable() {
			continue
		}
		if usable = append(usable, s.describe()); s.External {
			err = fmt.Errorf("the running server (%s) has no private database: set DATABASE_URL as it is set for the "+
				"server, for a package in /etc/snapwatch/snapwatch.env", s.describe())
		}
		dir = s.DataDir
	}
	if len(usable) > 1 {
		return "", fmt.Errorf("several servers are running: name one with --data-dir or --database-url\n  %s",
			strings.Join(usable, "\n  "))
	}
	return dir, err
}

// missingCluster returns the error for a directory without a private database. Servers of other users are named.
func missingCluster(dir string, servers []runningServer) error {
	var advice strings.Builder
	for i := range servers {
		if s := &servers[i]; !s.usable() {
			fmt.Fprintf(&advice, "\nA server runs as %s. For its database, run the command as that user: sudo -u %s",
				s.describe(), osUser(s.owner))
		}
	}
	err := embedded.ErrNoCluster
	if _, statErr := os.Stat(filepath.Join(dir, "postgres")); errors.Is(statErr, fs.ErrPermission) {
		err = fs.ErrPermission
	}
	return fmt.Errorf("look for the private database in %s: %w; name another directory with --data-dir, "+
		"set DATABASE_URL, or create the database with snapwatch up or snapwatch serve%s", dir, err, &advice)
}

// clusterUser returns the user that the server of a data directory runs as, if that is not the current one and the
// current one is root, and else -1.
func clusterUser(dir string) int {
	owner := strictpath.Owner(filepath.Join(dir, "lock"))
	if owner < 0 {
		owner = strictpath.Owner(dir)
	}
	if owner > 0 && os.Geteuid() == 0 {
		return owner
	}
	return -1
}

// osUser returns the name of a user, or the number of one without a name.
func osUser(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}
