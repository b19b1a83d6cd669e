package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A support bundle that could not be written leaves no file.
func TestWriteNewFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "bundle")
	failure := errors.New("the disk is full")
	if err := writeNewFile(name, func(w io.Writer) error {
		_, err := w.Write([]byte("a part"))
		return errors.Join(err, failure)
	}); !errors.Is(err, failure) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	write := func(w io.Writer) error {
		_, err := w.Write([]byte("all"))
		return err
	}
	if err := writeNewFile(name, write); err != nil {
		t.Error(err)
	}
	if err := writeNewFile(name, write); !errors.Is(err, os.ErrExist) {
		t.Errorf("an existing file: %v", err)
	}
}
