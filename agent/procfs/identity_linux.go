package procfs

import (
	"bytes"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// maxComm is the length of the names that the kernel stores, in bytes; it cuts longer ones.
const maxComm = 15

// identify reads the identity of a process.
func (r *Reader) identify(p *cachedProcess) {
	p.identifiedComm, p.ranSinceIdentity = p.comm, false
	id := snapshot.Identity{PPID: p.last.PPID, Name: p.comm}
	if text, err := r.readFile(p, &openFile{}, "cmdline", false); err == nil {
		text = bytes.TrimRight(text, "\x00")
		if first, _, _ := bytes.Cut(text, []byte{0}); len(p.comm) >= maxComm {
			// The first argument may have the whole name.
			if full := filepath.Base(string(first)); strings.HasPrefix(full, p.comm) {
				id.Name = full
			}
		}
		if r.options.CommandLines && len(text) > 0 {
			arguments := r.scrubber.Arguments(strings.Split(string(text), "\x00"))
			id.CommandLine = clean.Text(strings.Join(arguments, " "), maxCommandLine)
		}
	}
	if r.options.Cgroups {
		if text, err := r.readFile(p, &openFile{}, "cgroup", false); err == nil {
			id.Cgroup = clean.Text(parseCgroup(text), snapshot.MaxPathBytes)
		}
	}
	if id.Name = clean.Text(id.Name, snapshot.MaxTextBytes); id.Name == "" {
		id.Name = "?"
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(r.root+"/"+p.pid, &stat); err == nil {
		id.User = r.users.Name(stat.Uid)
	}
	p.last.Identity = id
}

// parseCgroup returns the most specific path in /proc/[pid]/cgroup. That is the path of version 2. Where version 1 is
// in use, it is the path in systemd's hierarchy, or else the first one that is not the root. See cgroups(7).
func parseCgroup(text []byte) string {
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

// IdentityReader reads the identities of single processes. It keeps no files open.
type IdentityReader struct{ reader *Reader }

// NewIdentityReader returns a reader. A nil scrubber leaves command lines unchanged.
func NewIdentityReader(scrubber *Scrubber) *IdentityReader {
	reader := newReader("/proc", 0, scrubber)
	reader.budget = 0
	return &IdentityReader{reader}
}

// Read returns the identity of a process without its parent, or an error if the process has exited.
func (r *IdentityReader) Read(pid uint32) (snapshot.Identity, error) {
	p := &cachedProcess{pid: strconv.FormatUint(uint64(pid), 10)}
	text, err := r.reader.readFile(p, &openFile{}, "comm", false)
	if err != nil {
		return snapshot.Identity{}, err
	}
	p.comm = strings.TrimSuffix(string(text), "\n")
	r.reader.identify(p)
	return p.last.Identity, nil
}

// UserNames caches the names of users by their id.
type UserNames map[uint32]string

// Name returns the name of a user, or the id if the user has no name.
func (u UserNames) Name(uid uint32) string {
	name, ok := u[uid]
	if !ok {
		name = strconv.FormatUint(uint64(uid), 10)
		if found, err := user.LookupId(name); err == nil {
			name = clean.Text(found.Username, snapshot.MaxTextBytes)
		}
		u[uid] = name
	}
	return name
}
