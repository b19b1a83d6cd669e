package filelock_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/snapwatch/snapwatch/internal/filelock"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := filelock.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Lock(path); !errors.Is(err, filelock.ErrHeld) {
		t.Errorf("a second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := filelock.Lock(path)
	if err != nil {
		t.Fatalf("after the first was freed: %v", err)
	}
	_ = again.Close()
	if _, err := filelock.Lock(filepath.Join(path, "below")); err == nil || errors.Is(err, filelock.ErrHeld) {
		t.Errorf("where no file can be: %v", err)
	}
}
