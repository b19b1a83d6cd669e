package procfs

import (
	"bytes"
	"errors"
	"hash/maphash"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// maxComm is the length of the names that the kernel stores, in bytes; it cuts longer ones.
	maxComm = 15

	// identityAge bounds how old an identity may be. A process can change its command line, and be moved to another
	// control group, without an event.
	identityAge = time.Minute
	// identityMargin is how much earlier an identity is read, because the time of the next sample is not exact.
	identityMargin = time.Second
	// identitySlots is into how many parts the processes are divided that were first read in the same sample. Their
	// identities are then read at different times.
	identitySlots = 12

	// eventBuffer is the size of the kernel's buffer for events between two samples, in bytes.
	eventBuffer = 2 << 20
	// maxLineBytes bounds the command lines of all processes, in bytes; see LineBudget.
	maxLineBytes = 8 << 20
	// firstLookup is how long the first sample may wait for names of users.
	firstLookup = 500 * time.Millisecond
)

// identities is the part of a Reader that decides when to read the identities of processes.
type identities struct {
	events *procevents.Buffer // nil if the kernel sends none
	// changed has the processes whose identity has changed since the sample before; eventsLost is true if there may be
	// others.
	changed    map[int32]struct{}
	eventsLost bool

	at       time.Time     // of this sample
	interval time.Duration // since the sample before
	seed     maphash.Seed

	usersVersion uint64
	usersSettled bool
}

// identified is what is stored about the last read of an identity.
type identified struct {
	identifiedComm string
	// ranSinceIdentity is true if the process may have run since.
	ranSinceIdentity bool
	// identifyBy is when the identity must be read again.
	identifyBy time.Time
	uid        uint32
	// lineMissing is true if the kernel blocked the last read of the command line. lateLine is that read, or nil if too
	// many blocked.
	lineMissing bool
	lateLine    *fileReader
	// line and group are hashes of cmdline and cgroup. Most often, they have not changed.
	line, group uint64
}

// prepareIdentities finds out which identities have changed since the sample before.
func (r *Reader) prepareIdentities(refresh bool) {
	now := r.now()
	if r.at.IsZero() {
		r.seed = maphash.MakeSeed()
	} else {
		r.interval = now.Sub(r.at)
	}
	r.at = now
	r.changed, r.eventsLost = make(map[int32]struct{}), false
	if r.events != nil {
		r.eventsLost = r.events.Drain(func(e procevents.Event) { r.changed[e.PID] = struct{}{} })
	}
	r.users.Refresh()
	if version := r.users.Version(); refresh || version != r.usersVersion {
		r.renameUsers()
	}
}

// renameUsers sets the names of users again, because they may have changed.
func (r *Reader) renameUsers() {
	r.usersVersion = r.users.Version()
	for _, p := range r.cache {
		if p.last.User != "" {
			p.last.User = r.users.Name(p.uid)
		}
	}
}

// settleUsers waits, in the first sample only, for the names of users that are not in /etc/passwd. Otherwise each of
// their processes would have two identities.
func (r *Reader) settleUsers() {
	if r.usersSettled {
		return
	}
	r.usersSettled = true
	r.users.Settle(firstLookup)
	if r.users.Version() == r.usersVersion {
		return
	}
	r.renameUsers()
	for i := range r.list {
		r.list[i].User = r.cache[r.list[i].PID].last.User
	}
}

// mayHaveNewIdentity reports whether the identity of a process must be read again, apart from its control group.
func (r *Reader) mayHaveNewIdentity(p *cachedProcess) bool {
	if p.identityIsFinal() {
		return false
	}
	if _, changed := r.changed[p.last.PID]; changed {
		return true
	}
	if p.lineMissing && !p.lateLine.isBlocked() && !r.blocking.full() {
		return true
	}
	return p.ranSinceIdentity && (r.eventsLost || r.identityIsDue(p))
}

// identityIsDue reports whether the identity of a process would be too old in the next sample.
func (r *Reader) identityIsDue(p *cachedProcess) bool {
	return !p.identityIsFinal() && r.at.Add(r.interval+identityMargin).After(p.identifyBy)
}

// identityIsFinal reports whether an identity stays the same: that of a kernel thread, and that of a zombie, whose
// command line can no longer be read.
func (p *cachedProcess) identityIsFinal() bool {
	return p.round != 0 && (p.kernelThread || p.last.State == "Z")
}

// identify reads the identity of a process.
func (r *Reader) identify(p *cachedProcess) {
	r.identifyText(p)
	var stat syscall.Stat_t
	if err := syscall.Stat(r.root+"/"+p.pid, &stat); err == nil {
		p.uid = stat.Uid
		p.last.User = r.users.Name(stat.Uid)
	}
	r.checkCgroup(p)
	r.spreadIdentities(p)
}

// spreadIdentities makes the identities of processes that were first read in the same sample due at different times.
func (r *Reader) spreadIdentities(p *cachedProcess) {
	if p.round == 0 {
		slot := time.Duration(p.last.PID%identitySlots) * (identityAge / identitySlots)
		p.identifyBy = p.identifyBy.Add(-slot)
	}
}

// identifyText reads the name and the command line of a process.
func (r *Reader) identifyText(p *cachedProcess) {
	renamed := p.round == 0 || p.identifiedComm != p.comm
	p.identifiedComm, p.ranSinceIdentity = p.comm, false
	if text, err := r.readCommandLine(p); err == nil {
		if hash := maphash.Bytes(r.seed, text); hash != p.line || renamed {
			p.line = hash
			r.setCommandLine(p, text)
		}
	} else if renamed {
		p.last.Name = KernelName(p.comm)
		p.line = 0 // the next command line that can be read may have the whole name
	}
}

// readCommandLine returns the content of cmdline. The error is errBlocked if the kernel blocks the read.
func (r *Reader) readCommandLine(p *cachedProcess) (text []byte, err error) {
	if p.lateLine.isBlocked() {
		return nil, errBlocked
	}
	text, p.lateLine, err = r.blocking.read(r.root + "/" + p.pid + "/cmdline")
	p.lineMissing = errors.Is(err, errBlocked)
	return text, err
}

// setCommandLine sets the command line and the name of a process. text is the content of cmdline.
func (r *Reader) setCommandLine(p *cachedProcess, text []byte) {
	id := &p.last.Identity
	id.Name = fullName(p.comm, text)
	r.lines.Release(id.CommandLine)
	id.CommandLine = ""
	if r.options.CommandLines {
		id.CommandLine = commandLine(text, len(text) < len(r.buffer), r.scrubber, r.lines.Limit())
		r.lines.Use(id.CommandLine)
	}
}

// fullName returns the name of a process whose command line begins with text.
func fullName(comm string, text []byte) string {
	if first, _, _ := bytes.Cut(text, []byte{0}); len(comm) >= maxComm {
		// The first argument may have the whole name.
		if full := filepath.Base(string(first)); strings.HasPrefix(full, comm) {
			return cleanName(full)
		}
	}
	return KernelName(comm)
}

// NameAndCommandLine returns the name of a process and its command line without secrets, cut to at most limit bytes.
// comm is the kernel's name. arguments has the arguments, each with a zero at its end, or if complete is false, as many
// as are known.
func NameAndCommandLine(
	comm string, arguments []byte, complete bool, scrubber *Scrubber, limit int,
) (name, line string) {
	return fullName(comm, arguments), commandLine(arguments, complete, scrubber, limit)
}

// checkCgroupIfDue reads the control group of a process that has not run. Another process may have moved it.
func (r *Reader) checkCgroupIfDue(p *cachedProcess) {
	if r.identityIsDue(p) {
		r.checkCgroup(p)
	}
}

// checkCgroup reads the control group of a process.
func (r *Reader) checkCgroup(p *cachedProcess) {
	p.identifyBy = r.at.Add(identityAge)
	if !r.options.Cgroups {
		p.last.Cgroup = ""
		return
	}
	text, err := r.readFile(p, &openFile{}, "cgroup", false)
	if err != nil {
		return
	}
	if hash := maphash.Bytes(r.seed, text); hash != p.group {
		p.group = hash
		p.last.Cgroup = clean.Text(parseCgroup(text), snapshot.MaxPathBytes)
	}
}

// cleanName returns a valid name of a process.
func cleanName(name string) string {
	if name = clean.Text(name, snapshot.MaxTextBytes); name == "" {
		return "?"
	}
	return name
}

// KernelName returns a name as the kernel stores it as valid text. The kernel cuts names after maxComm bytes; a
// character that it has cut in two is left out.
func KernelName(comm string) string { return cleanName(wholeCharacters(comm)) }

// wholeCharacters removes the start of a character from the end of a name that the kernel has cut.
func wholeCharacters(comm string) string {
	if len(comm) != maxComm {
		return comm
	}
	for end := len(comm) - 1; end > len(comm)-utf8.UTFMax; end-- {
		if utf8.RuneStart(comm[end]) {
			if !utf8.FullRuneInString(comm[end:]) {
				return comm[:end]
			}
			break
		}
	}
	return comm
}

// stableName returns the kernel's name of a process with flags, without the part that changes all the time.
func stableName(comm string, flags int64) string {
	if flags&flagKernelWorker == 0 || flags&flagKernelThread == 0 {
		return comm
	}
	return workerName(comm)
}

// workerName returns the name of a kernel worker. The kernel's name ends with what it works on, or has worked on, after
// a plus or minus. It changes all the time, so it is left out.
func workerName(comm string) string {
	const rescuer = "kworker/R-" // of one work queue, whose name follows
	after, separators := 0, "+-"
	if strings.HasPrefix(comm, rescuer) {
		after, separators = len(rescuer), "+"
	}
	if end := strings.IndexAny(comm[after:], separators); end > 0 {
		return comm[:after+end]
	}
	return comm
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
		// The kernel marks a control group that was removed, which still has a zombie.
		path, controllers := strings.TrimSuffix(string(parts[2]), " (deleted)"), string(parts[1])
		if controllers == "" || controllers == "name=systemd" {
			return path
		}
		if best == "" {
			best = path
		}
	}
	return best
}

// IdentityReader reads the identities of single processes. It keeps no files open. Close it after use.
type IdentityReader struct{ reader *Reader }

// NewIdentityReader returns a reader. A nil scrubber leaves command lines unchanged.
func NewIdentityReader(scrubber *Scrubber, users *Users) *IdentityReader {
	reader := newReader("/proc", 0, scrubber, users)
	reader.budget = 0
	reader.seed = maphash.MakeSeed()
	return &IdentityReader{reader}
}

// Read returns the identity of a process without its parent, or an error if the process has exited. The command line is
// cut to at most limit bytes. It is empty if the kernel blocks the read.
func (r *IdentityReader) Read(pid uint32, limit int) (snapshot.Identity, error) {
	p := &cachedProcess{pid: strconv.FormatUint(uint64(pid), 10)}
	text, err := r.reader.readFile(p, &openFile{}, "comm", false)
	if err != nil {
		return snapshot.Identity{}, err
	}
	p.comm = strings.TrimSuffix(string(text), "\n")
	r.reader.lines = NewLineBudget(64 * limit) // of this one
	r.reader.blocking.begin()
	r.reader.identify(p)
	return p.last.Identity, nil
}

// Close releases what the reader uses.
func (r *IdentityReader) Close() { r.reader.Close() }
