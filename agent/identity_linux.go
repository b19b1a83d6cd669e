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

// maxCommandLine is how much of a command line is kept.
const maxCommandLine = 4096

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
		id.CommandLine = clean(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})), maxCommandLine)
	}
	if id.Name = clean(id.Name, snapshot.MaxTextBytes); id.Name == "" {
		id.Name = "?"
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(r.root+"/"+p.pid, &stat); err == nil {
		id.User = r.user(stat.Uid)
	}
	p.raw.Identity = id
}

func (r *procReader) user(uid uint32) string {
	name, ok := r.users[uid]
	if !ok {
		name = strconv.FormatUint(uint64(uid), 10)
		if found, err := user.LookupId(name); err == nil {
			name = clean(found.Username, snapshot.MaxTextBytes)
		}
		r.users[uid] = name
	}
	return name
}
