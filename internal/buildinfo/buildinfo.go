// Package buildinfo says which version of snapwatch a program is.
package buildinfo

import (
	"regexp"
	"runtime/debug"
	"strings"
)

// next is the version under development: the one that the next release will have. A build that is
// not a release has this version with the suffix -dev.
const next = "0.1.0"

// version is set by the linker for releases:
// -X github.com/snapwatch/snapwatch/internal/buildinfo.version=1.2.3
var version string

// Info describes a build.
type Info struct {
	// Version is a semantic version without a leading v, for example 0.1.0 for a release, or
	// 0.1.0-dev+fa6601c for a build of that commit. It ends with .modified if the working tree had
	// uncommitted changes.
	Version string
	// Revision is the full hash of the commit, and Time its time in RFC 3339. Both are empty if the
	// build does not have them, for example in a source archive without a Git repository.
	Revision, Time string
}

// Version returns the version of this program.
func Version() string { return Read().Version }

// Read returns the build information of this program.
func Read() Info {
	build, _ := debug.ReadBuildInfo() // nil without modules
	return infoOf(version, build)
}

// String returns the version, and the commit's date if it is known: what --version prints.
func (i Info) String() string {
	if date, _, ok := strings.Cut(i.Time, "T"); ok {
		return i.Version + " (" + date + ")"
	}
	return i.Version
}

var (
	releasePattern = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	// pseudoPattern matches the versions that Go makes for commits without a tag:
	// v0.0.0-20060102150405-abcdefabcdef, or with a prefix before the time.
	pseudoPattern = regexp.MustCompile(`[-.]\d{14}-([0-9a-f]{12})(\+dirty)?$`)
)

// infoOf prefers the linker's version, then the tag that go install was given or that the commit has,
// and else names the commit.
func infoOf(linked string, build *debug.BuildInfo) Info {
	var info Info
	suffix, module := "", ""
	if build != nil {
		module = build.Main.Version
		for _, setting := range build.Settings {
			switch setting.Key {
			case "vcs.revision":
				info.Revision = setting.Value
			case "vcs.time":
				info.Time = setting.Value
			case "vcs.modified":
				if setting.Value == "true" {
					suffix = ".modified"
				}
			}
		}
	}
	commit := info.Revision
	pseudo := pseudoPattern.FindStringSubmatch(module)
	if commit == "" && pseudo != nil {
		commit = pseudo[1]
	}
	switch {
	case linked != "":
		info.Version = strings.TrimPrefix(linked, "v")
	case pseudo == nil && releasePattern.MatchString(module):
		info.Version = strings.TrimPrefix(module, "v")
	case commit != "":
		info.Version = next + "-dev+" + commit[:min(len(commit), 7)] + suffix
	default:
		info.Version = next + "-dev"
	}
	return info
}
