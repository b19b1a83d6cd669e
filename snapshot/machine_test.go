package snapshot_test

import (
	"slices"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// A host name can change while an agent runs, so it is only part of the key if there is no run id.
func TestSourceKey(t *testing.T) {
	a := snapshot.Source{RunID: "r", BootID: "b", Hostname: "one"}
	renamed := snapshot.Source{RunID: "r", BootID: "b", Hostname: "two"}
	if a.Key() == "" || a.Key() != renamed.Key() {
		t.Errorf("%q after a change of the host name, before it %q", renamed.Key(), a.Key())
	}
	keys := map[string]bool{}
	for _, source := range []snapshot.Source{
		{}, {RunID: "r"}, {RunID: "s"}, {BootID: "b"}, {BootID: "c"}, {Hostname: "b"}, {BootID: "b", Hostname: "one"},
	} {
		keys[source.Key()] = true
	}
	if len(keys) != 7 || (snapshot.Source{}).Key() != "" {
		t.Errorf("7 sources have the keys %v", keys)
	}
}

func TestSourceNames(t *testing.T) {
	for name, test := range map[string]struct {
		sources []snapshot.Source
		want    []string
	}{
		"two hosts": {
			[]snapshot.Source{
				{RunID: "1", BootID: "a", Hostname: "web-1"}, {RunID: "2", BootID: "b", Hostname: "web-2"},
			},
			[]string{"web-1", "web-2"},
		},
		"one host name": {
			[]snapshot.Source{
				{RunID: "1", BootID: "0123456789", Hostname: "web"}, {RunID: "2", BootID: "b", Hostname: "web"},
			},
			[]string{"web (boot 01234567)", "web (boot b)"},
		},
		"one host": {
			[]snapshot.Source{
				{RunID: "1", BootID: "a", Hostname: "web"}, {RunID: "2", BootID: "a", Hostname: "web"},
				{RunID: "3", BootID: "b", Hostname: "db"},
			},
			[]string{"web (boot a) (run 1)", "web (boot a) (run 2)", "db"},
		},
		"unknown": {
			[]snapshot.Source{{RunID: "1"}, {BootID: "b"}, {RunID: "2", Hostname: "web"}},
			[]string{"? (run 1)", "? (boot b)", "web"},
		},
	} {
		if got := snapshot.SourceNames(test.sources); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
