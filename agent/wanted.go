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
		commandLines: want(snapshot.PartCommandLines),
		cgroups:      want(snapshot.PartCgroups),
		io:           want(snapshot.PartProcessIO),
		openFiles:    want(snapshot.PartOpenFiles),
		shortLived: want(
			snapshot.PartShortLived,
		),
		cores:        want(snapshot.PartCores),
		disks:        want(snapshot.PartDisks),
		interfaces:   want(snapshot.PartInterfaces),
		temperatures: want(snapshot.PartTemperatures),
	}
}
