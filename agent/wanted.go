package agent

import "github.com/snapwatch/snapwatch/snapshot"

// wanted is what a sample is to hold; comparable.
type wanted struct {
	commandLines, cgroups, io, openFiles, shortLived bool // of processes
	cores, disks, interfaces, temperatures           bool
}

// wantedBy is what a config does not omit.
func wantedBy(config snapshot.Config) wanted {
	want := func(part snapshot.Part) bool { return !config.Omits(part) }
	return wanted{
		commandLines: want(snapshot.CommandLines),
		cgroups:      want(snapshot.Cgroups),
		io:           want(snapshot.ProcessIO),
		openFiles:    want(snapshot.OpenFiles),
		shortLived: want(
			snapshot.ShortLived,
		),
		cores:        want(snapshot.Cores),
		disks:        want(snapshot.Disks),
		interfaces:   want(snapshot.Interfaces),
		temperatures: want(snapshot.Temperatures),
	}
}
