package bpf

import (
	"os"
	"path/filepath"
	"testing"
)

func TestIsConfidential(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lockdown")
	if isConfidential(file) {
		t.Error("without a file, the kernel's data is confidential")
	}
	for modes, want := range map[string]bool{
		"[none] integrity confidentiality\n": false,
		"none [integrity] confidentiality\n": false,
		"none integrity [confidentiality]\n": true,
	} {
		if err := os.WriteFile(file, []byte(modes), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := isConfidential(file); got != want {
			t.Errorf("%q: %t, want %t", modes, got, want)
		}
	}
}
