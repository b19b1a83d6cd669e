package agent

import (
	"os"
	"slices"
	"testing"
)

func TestCleanMappings(t *testing.T) {
	const smaps = `00400000-0093d000 r-xp 00000000 fe:00 1234      /usr/bin/agent
Size:               5364 kB
Rss:                5108 kB
Anonymous:         0 kB
VmFlags: rd ex mr mw me
0093d000-00eb9000 r--p 0053d000 fe:00 1234      /usr/bin/agent
Anonymous:         0 kB
00eb9000-00ec0000 r--p 00ab9000 fe:00 1234      /usr/bin/agent
Anonymous:         8 kB
00ec0000-00f1b000 rw-p 00ab9000 fe:00 1234      /usr/bin/agent
Anonymous:         0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 99      /usr/lib/other.so
Anonymous:         0 kB
7f0000002000-7f0000003000 r--p 00000000 00:00 0
Anonymous:         0 kB
`
	want := []mapping{{0x400000, 0x93d000}, {0x93d000, 0xeb9000}}
	if got := cleanMappings([]byte(smaps), "/usr/bin/agent"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// The program still works after its pages were released.
func TestReleaseProgram(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil || len(cleanMappings(text, path)) == 0 {
		t.Fatalf("no mapping of %s found in\n%.2000s (%v)", path, text, err)
	}
	for range 3 {
		if err := releaseProgram(); err != nil {
			t.Fatal(err)
		}
	}
}
