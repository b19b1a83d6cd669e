package statefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
)

func TestWriteReplacesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "token")
	for _, text := range []string{"first\n", "second\n"} {
		if err := statefile.Write(path, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("the file holds %q, want %q (%v)", got, text, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, want 0600 (%v)", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, want only the file (%v)", entries, err)
	}
}

func TestWriteFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Write(filepath.Join(file, "below"), "text"); err == nil {
		t.Error("no error where the directory is a file")
	}
}
