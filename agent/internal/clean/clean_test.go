package clean_test

import (
	"math"
	"testing"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		given string
		limit int
		want  string
	}{
		{"plain", 255, "plain"},
		{"a\x00b", 255, "a b"},
		{"a\xffb", 255, `a\xffb`},
		{"caf\xe9 \x80\x00x", 255, `caf\xe9 \x80 x`},
		{"a\ufffdb", 255, "a\ufffdb"}, // valid, though a decoder returns it for invalid bytes
		{"ää", 3, "ä"},                // the cut never leaves half a character
		{"ää\x00", 3, "ä"},
		{"a\xff", 4, "a"}, // or half an escape
		{"a\xff", 5, `a\xff`},
		{"", 5, ""},
	} {
		if got := clean.Text(test.given, test.limit); got != test.want {
			t.Errorf("Text(%q, %d) = %q, want %q", test.given, test.limit, got, test.want)
		}
	}
}

func TestSize(t *testing.T) {
	if got := clean.Size(snapshot.MaxSafeInteger); got == nil || *got != snapshot.MaxSafeInteger {
		t.Errorf("Size(MaxSafeInteger) = %v", got)
	}
	total, free := uint64(1<<30), uint64(2<<30)
	if got := clean.Size(total - free); got != nil {
		t.Errorf("Size of less than nothing = %d", *got)
	}
}

func TestCounter(t *testing.T) {
	if got := clean.Counter(7); got != 7 {
		t.Errorf("Counter(7) = %d", got)
	}
	if got := clean.Counter(math.MaxUint64); got != snapshot.MaxSafeInteger {
		t.Errorf("Counter(MaxUint64) = %d", got)
	}
}
