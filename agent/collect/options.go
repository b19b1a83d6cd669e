package collect

import (
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Options selects the optional parts of a sample. It is comparable.
type Options struct {
	procfs.Options
	// ShortLived selects the processes that start and exit between two samples.
	ShortLived                             bool
	Cores, Disks, Interfaces, Temperatures bool
}

// OptionsOf returns the options of a config: everything that it does not omit.
func OptionsOf(config snapshot.Config) Options {
	includes := func(part snapshot.Part) bool { return !config.Omits(part) }
	return Options{
		Options: procfs.Options{
			CommandLines: includes(snapshot.PartCommandLines),
			Cgroups:      includes(snapshot.PartCgroups),
			IO:           includes(snapshot.PartProcessIO),
			OpenFiles:    includes(snapshot.PartOpenFiles),
		},
		ShortLived:   includes(snapshot.PartShortLived),
		Cores:        includes(snapshot.PartCores),
		Disks:        includes(snapshot.PartDisks),
		Interfaces:   includes(snapshot.PartInterfaces),
		Temperatures: includes(snapshot.PartTemperatures),
	}
}
