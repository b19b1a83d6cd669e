package procfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// testUsers returns users of a file with root and nobody.
func testUsers(t testing.TB) *Users {
	t.Helper()
	return newUsers(passwdFile(t, ""), func(uint32) (string, error) { return "", nil })
}

// passwdFile writes a file like /etc/passwd, and returns its path.
func passwdFile(t testing.TB, more string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "passwd")
	const text = "# comment:x:7:\n+::::::\nroot:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n" +
		"toor:x:0:0::/:/bin/sh\n"
	if err := os.WriteFile(file, []byte(text+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// expectNames checks the names of users, given pairs of an id and its name.
func expectNames(t *testing.T, u *Users, want map[uint32]string) {
	t.Helper()
	for uid, name := range want {
		if got := u.Name(uid); got != name {
			t.Errorf("user %d has the name %q, want %q", uid, got, name)
		}
	}
}

// A user that is only known to a name service, such as LDAP, gets its name. One that is added later gets it too, and
// the name stays if the service then fails.
func TestUsersOfNameServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const alice, later, broken = 70_001, 70_002, 70_003
		answers, calls := map[uint32]string{alice: "alice"}, map[uint32]int{}
		var failure error
		u := newUsers(passwdFile(t, ""), func(uid uint32) (string, error) {
			calls[uid]++
			if uid == broken {
				return "", errors.New("timeout")
			}
			return answers[uid], failure
		})
		expectNames(t, u, map[uint32]string{0: "root", 65534: "nobody", 7: "7"})
		expectNames(t, u, map[uint32]string{alice: "70001", later: "70002", broken: "70003"})
		before := u.Version()
		synctest.Wait()
		expectNames(t, u, map[uint32]string{0: "root", alice: "alice", later: "70002", broken: "70003"})
		if u.Version() == before {
			t.Error("the version is the same with a new name")
		}
		if calls[0] != 0 || calls[alice] != 1 || calls[later] != 1 || calls[broken] != 1 {
			t.Errorf("the name service was asked %v times", calls)
		}
		answers[later] = "later"
		time.Sleep(unnamedUserAge + time.Second)
		for range 5 {
			expectNames(t, u, map[uint32]string{alice: "alice", broken: "70003"})
			_ = u.Name(later)
			synctest.Wait()
		}
		expectNames(t, u, map[uint32]string{later: "later"})
		if calls[alice] != 1 || calls[later] != 2 || calls[broken] != 2 {
			t.Errorf("after a minute, the name service was asked %v times", calls)
		}
		failure = errors.New("the server is down")
		time.Sleep(namedUserAge)
		for range 2 {
			expectNames(t, u, map[uint32]string{alice: "alice", later: "later"})
			synctest.Wait()
		}
		if calls[alice] != 2 {
			t.Errorf("the name service was asked %d times in a day for a known user, want twice", calls[alice])
		}
		// Failures are less and less often repeated.
		calls[broken] = 0
		for range 24 * 60 {
			_ = u.Name(broken)
			time.Sleep(time.Minute)
		}
		if calls[broken] < 24 || calls[broken] > 32 {
			t.Errorf("the name service was asked %d times in a day for one that fails", calls[broken])
		}
	})
}

// A lookup that does not return delays neither the caller nor the names in the file. The lookups that wait are bounded.
func TestHungLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		calls := 0
		u := newUsers(passwdFile(t, ""), func(uint32) (string, error) {
			calls++
			<-release
			return "late", nil
		})
		for uid := range uint32(2 * maxLookups) {
			_ = u.Name(100_000 + uid)
		}
		synctest.Wait()
		expectNames(t, u, map[uint32]string{100_000: "100000", 0: "root"})
		if calls != 1 || len(u.waiting) > maxLookups {
			t.Errorf("%d lookups run, and %d wait", calls, len(u.waiting))
		}
		u.Settle(time.Second) // returns
		close(release)
		synctest.Wait()
		expectNames(t, u, map[uint32]string{100_000: "late", 100_000 + maxLookups/2: "late"})
	})
}

// The file is read again when it has changed.
func TestChangedPasswdFile(t *testing.T) {
	file := passwdFile(t, "")
	u := newUsers(file, func(uint32) (string, error) { return "", nil })
	expectNames(t, u, map[uint32]string{0: "root", 1000: "1000"})
	if err := os.Rename(passwdFile(t, "bob:x:1000:1000::/:/bin/sh\n"), file); err != nil {
		t.Fatal(err)
	}
	u.Refresh()
	expectNames(t, u, map[uint32]string{0: "root", 1000: "bob"})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	u.Refresh()
	expectNames(t, u, map[uint32]string{1000: "bob"})
}

func TestParsePasswd(t *testing.T) {
	const text = "a:x:1:1::/:/bin/sh\nb:x:1:1::/:\n-c:x:2:2::/:\n:x:3:3::/:\nd:x\ne:x:x:5::/:\n" +
		"f:x:4294967295:6::/:\ng:x:4294967296:6::/:\n"
	names := parsePasswd([]byte(text))
	if len(names) != 2 || names[1] != "a" || names[1<<32-1] != "f" {
		t.Errorf("the names are %v", names)
	}
}

// The program getent is run without the agent's environment, and is ended if it takes too long.
func TestGetent(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no getent")
	}
	dir := t.TempDir()
	const script = `#!/bin/sh
if [ "$1" != passwd ] || [ -n "$SNAPWATCH_TOKEN" ]; then exit 1; fi
case $2 in
	70001) echo 'alice:*:70001:70001:Alice:/home/alice:/bin/sh' ;;
	70002) exit 2 ;;
	70003) kill -STOP $$ ;;
	*) exit 3 ;;
esac
`
	if err := os.WriteFile(filepath.Join(dir, "getent"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("SNAPWATCH_TOKEN", "secret")
	lookup := getent(time.Hour)
	if name, err := lookup(70_001); name != "alice" || err != nil {
		t.Errorf("a user has the name %q (%v)", name, err)
	}
	if name, err := lookup(70_002); name != "" || err != nil {
		t.Errorf("an unknown user has the name %q (%v)", name, err)
	}
	if name, err := lookup(70_004); err == nil {
		t.Errorf("after a failure, the name is %q", name)
	}
	if name, err := getent(50 * time.Millisecond)(70_003); err == nil {
		t.Errorf("after a timeout, the name is %q", name)
	}
	t.Setenv("PATH", t.TempDir())
	if name, err := lookup(70_001); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("without getent, the name is %q (%v)", name, err)
	}
	if out, err := exec.Command("/usr/bin/getent", "passwd", "0").Output(); err == nil {
		t.Setenv("PATH", "/usr/bin")
		want, _, _ := strings.Cut(string(out), ":")
		if name, err := lookup(0); name != want || err != nil {
			t.Errorf("user 0 has the name %q, want %q (%v)", name, want, err)
		}
	}
}
