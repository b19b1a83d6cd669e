package delivery

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// The newest files stay when a bound is exceeded.
func TestQuarantineIsBounded(t *testing.T) {
	s := &quarantine{dir: filepath.Join(t.TempDir(), "refused"), files: 3, maxBytes: 1000}
	put := func(i, size int) error {
		_, err := s.put("m", "422", []Entry{{Timestamp: snapshot.Time(i * 1000), JSON: noiseJSON(i, size)}})
		return err
	}
	names := func() (list []string) {
		entries, err := os.ReadDir(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			list = append(list, entry.Name()[15:19])
		}
		return list
	}
	for i := range 5 {
		if err := put(i, 100); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(); !slices.Equal(got, []string{"02.0", "03.0", "04.0"}) {
		t.Errorf("after five files: %q", got)
	}
	if err := put(5, 850); err != nil {
		t.Fatal(err)
	}
	if got := names(); !slices.Equal(got, []string{"05.0"}) {
		t.Errorf("after a large file: %q", got)
	}
	if err := put(6, 1000); err == nil {
		t.Error("a run larger than the quarantine is accepted")
	}
	if got := names(); !slices.Equal(got, []string{"05.0"}) {
		t.Errorf("after a file that is too large: %q", got)
	}
}
