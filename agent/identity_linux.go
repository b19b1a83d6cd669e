package agent

import (
	"bytes"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/snapwatch/snapwatch/snapshot"
)

// identify reads what a process is.
func (r *procReader) identify(p *procProcess) {
	p.named, p.ran = p.comm, false
	id := snapshot.Identity{PPID: p.raw.PPID, Name: p.comm}
	if text, err := r.readFile(p, &keptFile{}, "cmdline", false); err == nil {
		text = bytes.TrimRight(text, "\x00")
		if first, _, _ := bytes.Cut(text, []byte{0}); len(p.comm) >= 15 {
			// The kernel keeps 15 bytes of a name; the first argument may have the rest.
			if full := filepath.Base(string(first)); strings.HasPrefix(full, p.comm) {
				id.Name = full
			}
		}
		if r.want.commandLines && len(text) > 0 {
			id.CommandLine = clean(
				strings.Join(r.scrub.arguments(strings.Split(string(text), "\x00")), " "), maxCommandLine,
			)
		}
	}
	if r.want.cgroups {
		if text, err := r.readFile(p, &keptFile{}, "cgroup", false); err == nil {
			id.Cgroup = clean(cgroupOf(text), snapshot.MaxPathBytes)
		}
	}
	if id.Name = clean(id.Name, snapshot.MaxTextBytes); id.Name == "" {
		id.Name = "?"
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(r.root+"/"+p.pid, &stat); err == nil {
		id.User = r.users.name(stat.Uid)
	}
	p.raw.Identity = id
}

// cgroupOf picks the path of /proc/[pid]/cgroup that tells most: that of version 2 or,
// where version 1 is in use beside it or alone, of systemd's hierarchy or of whichever is
// not the root. The root itself tells nothing. See cgroups(7).
func cgroupOf(text []byte) string {
	best := ""
	for line := range bytes.Lines(text) {
		parts := bytes.SplitN(bytes.TrimSuffix(line, []byte{'\n'}), []byte{':'}, 3)
		if len(parts) != 3 || len(parts[2]) < 2 || parts[2][0] != '/' {
			continue
		}
		path, controllers := string(parts[2]), string(parts[1])
		if controllers == "" || controllers == "name=systemd" {
			return path
		}
		if best == "" {
			best = path
		}
	}
	return best
}

// userNames remembers the names of users.
type userNames map[uint32]string

func (u userNames) name(uid uint32) string {
	name, ok := u[uid]
	if !ok {
		name = strconv.FormatUint(uint64(uid), 10)
		if found, err := user.LookupId(name); err == nil {
			name = clean(found.Username, snapshot.MaxTextBytes)
		}
		u[uid] = name
	}
	return name
}
