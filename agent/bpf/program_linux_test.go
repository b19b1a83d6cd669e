package bpf

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The compiled programs are those of the source. With clang, they are compiled again and compared.
func TestObjectIsOfTheSource(t *testing.T) {
	checksums, err := os.ReadFile("program/checksums")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(checksums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		content, err := os.ReadFile(filepath.Join("program", name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s has changed since the programs were compiled; run go generate ./agent/bpf", name)
		}
	}
	version, err := exec.Command("clang-14", "--version").Output()
	if err != nil {
		t.Skip("clang 14, which Debian 12 has, is not installed: the programs are not compiled again")
	}
	t.Logf("compiled again with %s", version)
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("program")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", filepath.Join(folder, "compile.sh")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	again, err := os.ReadFile(filepath.Join(folder, "checksums"))
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(checksums) {
		t.Errorf("the programs compiled again have the checksums\n%s, want\n%s", again, checksums)
	}
}
