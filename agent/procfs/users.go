package procfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// lookupTimeout bounds one run of getent.
	lookupTimeout = 5 * time.Second
	// namedUserAge is how long a name from getent is used before getent is asked again.
	namedUserAge = 24 * time.Hour
	// unnamedUserAge is the same for an id without a name. It doubles with each answer, up to maxUnnamedUserAge.
	unnamedUserAge, maxUnnamedUserAge = time.Minute, time.Hour
	// maxUsers bounds the ids whose names are stored, and maxLookups those that wait for getent.
	maxUsers, maxLookups = 50_000, 1000
	// maxPasswdFile bounds the size of /etc/passwd, in bytes.
	maxPasswdFile = 16 << 20
	// noSuchKey is the exit status of getent(1) for a user that does not exist.
	noSuchKey = 2
)

// Users finds the names of users. It reads /etc/passwd again whenever the file changes. For users of other sources,
// such as LDAP, it runs getent, one id at a time and without waiting for the result. It is safe for concurrent use.
type Users struct {
	file string
	// lookup returns the name of a user, or "" if the id has none. It returns an error if that is not known.
	lookup func(uid uint32) (string, error)
	now    func() time.Time

	mu       sync.Mutex
	local    map[uint32]string // of the file
	modified os.FileInfo       // of the file when it was read; nil if it could not be read
	others   map[uint32]*otherUser
	waiting  []uint32
	idle     chan struct{} // closed while no lookup runs
	version  uint64
}

// otherUser is a user that is not in /etc/passwd.
type otherUser struct {
	name    string // empty if unknown
	waiting bool   // for getent
	expires time.Time
	age     time.Duration // how long the last answer is valid
}

// NewUsers returns the users of this machine.
func NewUsers() *Users { return newUsers("/etc/passwd", getent(lookupTimeout)) }

func newUsers(file string, lookup func(uint32) (string, error)) *Users {
	u := &Users{file: file, lookup: lookup, now: time.Now, others: make(map[uint32]*otherUser)}
	u.idle = make(chan struct{})
	close(u.idle)
	u.Refresh()
	return u
}

// Name returns the name of a user, or the id if its name is unknown.
func (u *Users) Name(uid uint32) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if name, ok := u.local[uid]; ok {
		return name
	}
	user := u.others[uid]
	if user == nil {
		if len(u.others) >= maxUsers {
			return number(uid)
		}
		user = &otherUser{}
		u.others[uid] = user
	}
	if !user.waiting && u.now().After(user.expires) && len(u.waiting) < maxLookups {
		user.waiting = true
		u.waiting = append(u.waiting, uid)
		u.startLookups()
	}
	if user.name == "" {
		return number(uid)
	}
	return user.name
}

func number(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) }

// Version returns a number that changes when names change.
func (u *Users) Version() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.version
}

// Refresh reads /etc/passwd if it has changed.
func (u *Users) Refresh() {
	info, err := os.Stat(u.file)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil || info.Size() > maxPasswdFile {
		return // keep the last names
	}
	m := u.modified
	if m != nil && os.SameFile(m, info) && m.Size() == info.Size() && m.ModTime().Equal(info.ModTime()) {
		return
	}
	text, err := os.ReadFile(u.file)
	if err != nil {
		return
	}
	u.local, u.modified = parsePasswd(text), info
	u.version++
}

// parsePasswd returns the names in the format of passwd(5) by id. If an id has several, it returns the first one.
func parsePasswd(text []byte) map[uint32]string {
	names := make(map[uint32]string)
	for line := range bytes.Lines(text) {
		fields := bytes.SplitN(line, []byte{':'}, 4)
		if len(fields) < 4 || len(fields[0]) == 0 || bytes.ContainsAny(fields[0][:1], "+-#") {
			continue
		}
		uid, err := strconv.ParseUint(string(fields[2]), 10, 32)
		if err != nil {
			continue
		}
		if _, known := names[uint32(uid)]; !known {
			names[uint32(uid)] = clean.Text(string(fields[0]), snapshot.MaxTextBytes)
		}
	}
	return names
}

// startLookups starts to look up the users that wait, unless it is already happening.
func (u *Users) startLookups() {
	select {
	case <-u.idle:
		u.idle = make(chan struct{})
		go u.lookUp(u.idle)
	default:
	}
}

// lookUp looks up the users that wait, one after the other. A process that cannot be ended, because it waits in the
// kernel, therefore blocks other lookups and nothing else.
func (u *Users) lookUp(idle chan struct{}) {
	for {
		u.mu.Lock()
		if len(u.waiting) == 0 {
			close(idle)
			u.mu.Unlock()
			return
		}
		uid := u.waiting[0]
		u.waiting = u.waiting[1:]
		u.mu.Unlock()
		name, err := u.lookup(uid)
		u.mu.Lock()
		u.store(uid, name, err)
		u.mu.Unlock()
	}
}

// store stores the answer to a lookup. After an error, the last known name stays.
func (u *Users) store(uid uint32, name string, err error) {
	user := u.others[uid]
	user.waiting = false
	if err == nil && user.name != name {
		user.name, user.age = name, 0
		u.version++
	}
	if err == nil && name != "" {
		user.age = namedUserAge
	} else {
		user.age = min(max(2*user.age, unnamedUserAge), maxUnnamedUserAge)
	}
	user.expires = u.now().Add(user.age)
}

// Settle waits until no lookup runs, or until the time is over.
func (u *Users) Settle(atMost time.Duration) {
	u.mu.Lock()
	idle := u.idle
	u.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(atMost):
	}
}

// getent returns a function that asks the system's name services for the name of a user. This program is static and
// cannot load them itself.
func getent(timeout time.Duration) func(uid uint32) (string, error) {
	return func(uid uint32) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		command := exec.CommandContext(ctx, "getent", "passwd", number(uid))
		command.Env = []string{"LC_ALL=C"} // the agent's environment may have secrets
		command.WaitDelay = time.Second
		out, err := command.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == noSuchKey {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("look up user %d: %w", uid, err)
		}
		return parsePasswd(out)[uid], nil
	}
}
