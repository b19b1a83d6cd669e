package store

import "testing"

func TestDetectVersions(t *testing.T) {
	for version, want := range map[string]bool{"2.18.0": true, "2.23.0-dev": true, "3.0.1": true, "2.17.2": false,
		"1.99.0": false, "nonsense": false} {
		if recentEnough(version) != want {
			t.Errorf("%s: %v", version, !want)
		}
	}
}
