//go:build unix

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/strictpath"
	"github.com/snapwatch/snapwatch/internal/testlog"
)

// An agent does not start with a state directory that other users can change, and follows no symbolic link in it.
func TestUnsafeStateIsRefused(t *testing.T) {
	t.Parallel()
	link := func(name string) func(state, outside string) error {
		return func(state, outside string) error {
			path := filepath.Join(state, name)
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(outside, path))
		}
	}
	mode := func(name string, mode os.FileMode) func(state, outside string) error {
		return func(state, _ string) error { return os.Chmod(filepath.Join(state, name), mode) }
	}
	for name, test := range map[string]struct {
		prepare func(state, outside string) error
		problem string
	}{
		"token":          {link("token"), "symbolic link"},
		"machine id":     {link("machine-id"), "symbolic link"},
		"config":         {link("config"), "symbolic link"},
		"lock":           {link("lock"), "symbolic link"},
		"dropped":        {link("dropped"), "symbolic link"},
		"segment":        {link("spool/00000000000000000001.seg"), "symbolic link"},
		"spool":          {link("spool"), "symbolic link"},
		"quarantine":     {link("refused"), "symbolic link"},
		"open directory": {mode(".", 0o777), "others can write"},
		"sticky":         {mode(".", 0o777|os.ModeSticky), "others can write"},
		"open parent":    {mode("..", 0o777), "others can write"},
		"open file": {func(state, _ string) error {
			path := filepath.Join(state, "machine-id")
			return errors.Join(os.WriteFile(path, []byte("m"), 0o600), os.Chmod(path, 0o666))
		}, "others can write"},
		"sticky parent": {mode("..", 0o777|os.ModeSticky), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, outside := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "outside")
			if err := errors.Join(os.Mkdir(state, 0o700), os.WriteFile(outside, []byte("outside"), 0o600)); err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(state, outside); err != nil {
				t.Fatal(err)
			}
			cfg := Config{Server: "http://127.0.0.1:1", StateDir: state, Reader: ReaderProc}
			a, err := New(t.Context(), cfg, testlog.Logger())
			if err == nil {
				a.close()
			}
			if (err == nil) != (test.problem == "") || errors.Is(err, strictpath.ErrUnsafe) != (test.problem != "") ||
				err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%v, want %q", err, test.problem)
			}
			if finding := checkStateDir(state); finding.OK != (test.problem == "") {
				t.Errorf("the doctor says: %+v", finding)
			}
			if text, err := os.ReadFile(outside); err != nil || string(text) != "outside" {
				t.Errorf("the file outside was changed: %q, %v", text, err)
			}
		})
	}
}

// Commands that an administrator runs do not show or send what a link in the agent's directory points to.
func TestDoctorDoesNotFollowLinks(t *testing.T) {
	t.Parallel()
	state, outside := t.TempDir(), filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"machine-id", "token", "dropped"} {
		if err := os.Symlink(outside, filepath.Join(state, name)); err != nil {
			t.Fatal(err)
		}
	}
	if text := strings.Join(Inspect(state), " "); strings.Contains(text, "secret") {
		t.Errorf("the status shows the file outside: %s", text)
	}
	if finding, _ := checkToken(t.Context(), Config{StateDir: state}); finding.OK ||
		!strings.Contains(finding.Detail, "symbolic link") {
		t.Errorf("the token: %+v", finding)
	}
}
