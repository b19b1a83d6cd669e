//go:build unix

package strictpath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func mkdir(t *testing.T, mode fs.FileMode, names ...string) string {
	t.Helper()
	dir := filepath.Join(names...)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	chmod(t, dir, mode)
	return dir
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, mode)
}

func TestMkdirAllChecksEachDirectory(t *testing.T) {
	root := t.TempDir()
	open := mkdir(t, 0o777, root, "open")
	sticky := mkdir(t, 0o777|fs.ModeSticky, root, "sticky")
	private := mkdir(t, 0o700, root, "private")
	inOpen := mkdir(t, 0o700, open, "inside")
	link(t, "open/inside", filepath.Join(root, "relative"))
	link(t, private, filepath.Join(root, "absolute"))
	link(t, "loop", filepath.Join(root, "loop"))
	write(t, filepath.Join(root, "file"), "", 0o600)
	for path, problem := range map[string]string{
		private:                           "",
		private + "/new/and/newer":        "",
		root + "/absolute/linked":         "",
		sticky + "/new":                   "",
		sticky + "/../private/./up":       "",
		sticky:                            "others can write",
		open:                              "others can write",
		inOpen:                            "others can write",
		open + "/new":                     "others can write",
		root + "/relative":                "others can write",
		open + "/../private":              "", // filepath.Abs removes the directory that is not used
		root + "/loop":                    "too many symbolic links",
		root + "/file":                    "not a directory",
		root + "/file/below":              "not a directory",
		root + "/relative/../../private":  "", // as above
		root + "/absolute/../open/inside": "others can write",
	} {
		err := MkdirAll(path, 0o700)
		if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v, want %q", strings.TrimPrefix(path, root), err, problem)
		}
		if problem == "others can write" && !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v is not ErrUnsafe", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(open, "new")); err == nil {
		t.Error("a directory was created in one that is not safe")
	}
	info, err := os.Stat(filepath.Join(private, "new/and/newer"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the new directory: %v, %v", info, err)
	}
	if err := Check(filepath.Join(private, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory: %v", err)
	}
}

// Files of users that are not trusted are refused. The test trusts nobody but the owners of the parents, so it needs no
// second user.
func TestOtherOwnersAreRefused(t *testing.T) {
	dir := mkdir(t, 0o700, t.TempDir(), "state")
	write(t, filepath.Join(dir, "token"), "secret", 0o600)
	info, err := os.Lstat(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	strangers := trusted{54321}
	for what, err := range map[string]error{
		"walk":  strangers.walk(dir, 0, false),
		"dir":   strangers.checkDir(dir, true),
		"file":  strangers.checkFile(filepath.Join(dir, "token"), info),
		"owner": strangers.checkOwner(dir, info),
	} {
		if !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "belongs to user") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := (trusted{0, os.Geteuid(), Owner("/")}).walk(dir, 0, false); err != nil {
		t.Error(err)
	}
}

func TestFilesThatAreNotSafe(t *testing.T) {
	root := t.TempDir()
	for name, test := range map[string]struct {
		make    func(path string)
		problem string
	}{
		"regular":        {func(path string) { write(t, path, "text", 0o600) }, ""},
		"readable":       {func(path string) { write(t, path, "text", 0o644) }, ""},
		"writable":       {func(path string) { write(t, path, "text", 0o666) }, "others can write"},
		"link":           {func(path string) { link(t, "/etc/passwd", path) }, "symbolic link"},
		"dangling":       {func(path string) { link(t, root+"/created", path) }, "symbolic link"},
		"pipe":           {func(path string) { _ = syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		"open directory": {func(path string) { mkdir(t, 0o777, path) }, "others can write"},
	} {
		dir := mkdir(t, 0o700, root, name)
		path := filepath.Join(dir, "entry")
		test.make(path)
		_, readErr := ReadFile(path)
		_, createErr := Open(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		errs := map[string]error{"CheckTree": CheckTree(dir), "ReadFile": readErr}
		if name != "open directory" && name != "pipe" { // neither can be opened for writing
			errs["Open"] = createErr
		}
		for what, err := range errs {
			if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s of %s: %v, want %q", what, name, err, test.problem)
			}
		}
		if createErr == nil && test.problem != "" {
			t.Errorf("%s was opened for writing", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "created")); err == nil {
		t.Error("a file was created through a symbolic link")
	}
}

func TestReadFileHasALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for size, want := range map[int]bool{maxFile: true, maxFile + 1: false} {
		write(t, path, strings.Repeat("a", size), 0o600)
		if text, err := ReadFile(path); (err == nil) != want || want && len(text) != size {
			t.Errorf("%d bytes: %d, %v", size, len(text), err)
		}
	}
}

func TestKeyReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	groupOfRoot := ""
	if os.Geteuid() != 0 {
		groupOfRoot = "its group"
	}
	for mode, want := range map[fs.FileMode]string{
		0o600: "", 0o400: "", 0o700: "",
		0o640: groupOfRoot, 0o660: "its group", 0o644: "other users", 0o602: "other users",
	} {
		write(t, path, "key", mode)
		if got, _ := KeyReaders(path); got != want {
			t.Errorf("mode %o: %q, want %q", mode, got, want)
		}
	}
	if got, _ := KeyReaders(path + ".missing"); got != "" {
		t.Errorf("a missing file: %q", got)
	}
}
