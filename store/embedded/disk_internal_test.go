package embedded

import (
	"strings"
	"testing"
)

func TestDiskLevels(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, test := range []struct {
		name        string
		free, total uint64
		previous    DiskLevel
		want        DiskLevel
		required    uint64
	}{
		{"half free", 50 * gib, 100 * gib, DiskOK, DiskOK, 2 * gib},
		{"less than twice what is required", 4*gib - 1, 100 * gib, DiskOK, DiskLow, 2 * gib},
		{"exactly what is required", 2 * gib, 100 * gib, DiskLow, DiskLow, 2 * gib},
		{"a byte less", 2*gib - 1, 100 * gib, DiskLow, DiskFull, 2 * gib},
		{"full, then not enough more", 2*gib + gib/2 - 1, 100 * gib, DiskFull, DiskFull, 2 * gib},
		{"full, then a quarter more", 2*gib + gib/2, 100 * gib, DiskFull, DiskLow, 2 * gib},
		{"a small disk", 100 << 20, 512 << 20, DiskOK, DiskLow, 64 << 20},
		{"a disk in between", gib, 20 * gib, DiskOK, DiskLow, gib},
		{"nothing free", 0, 20 * gib, DiskOK, DiskFull, gib},
	} {
		got := diskOf(Disk{Free: test.free, Total: test.total}, Disk{space: test.previous})
		if got.Level != test.want || got.Required != test.required {
			t.Errorf("%s: level %d, %d bytes required", test.name, got.Level, got.Required)
		}
		if (got.Describe() == "") != (got.Level == DiskOK) {
			t.Errorf("%s is described as %q", test.name, got.Describe())
		}
	}
}

func TestInodeLevels(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, test := range []struct {
		name        string
		free, total uint64
		previous    DiskLevel
		want        DiskLevel
	}{
		{"no limit", 0, 0, DiskUnknown, DiskOK},
		{"half free", 50_000, 100_000, DiskOK, DiskOK},
		{"less than twice what is required", 9_999, 100_000, DiskOK, DiskLow},
		{"less than required", 4_999, 100_000, DiskOK, DiskFull},
		{"full, then not enough more", 6_249, 100_000, DiskFull, DiskFull},
		{"full, then a quarter more", 6_250, 100_000, DiskFull, DiskLow},
		{"a large file system", 2 * maxRequiredInodes, 1e9, DiskOK, DiskOK},
		{"a small file system", minRequiredInodes - 1, 2_000, DiskOK, DiskFull},
	} {
		d := Disk{Free: 50 * gib, Total: 100 * gib, Inodes: Inodes{Path: "/d", Free: test.free, Total: test.total}}
		got := diskOf(d, Disk{Inodes: Inodes{Level: test.previous}})
		if got.Level != test.want {
			t.Errorf("%s: level %d", test.name, got.Level)
		}
		if text := got.Describe(); (text == "") != (got.Level == DiskOK) ||
			text != "" && !strings.Contains(text, "inodes left in /d") {
			t.Errorf("%s is described as %q", test.name, text)
		}
	}
}

func TestFullestDisk(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	data := diskOf(Disk{
		Path: "/data", Free: 50 * gib, Total: 100 * gib, Inodes: Inodes{Path: "/data", Free: 1, Total: 1e6},
	}, Disk{})
	wal := diskOf(Disk{
		Path: "/wal", Free: gib / 16, Total: 10 * gib, Inodes: Inodes{Path: "/wal", Free: 1e6, Total: 2e6},
	}, Disk{})
	got := fullest([]Disk{data, wal})
	if got.Path != "/wal" || got.Inodes.Path != "/data" || got.Level != DiskFull ||
		!strings.Contains(got.Describe(), "MiB left in /wal") {
		t.Errorf("%+v: %s", got, got.Describe())
	}
	if got := fullest(nil); got.Level != DiskUnknown {
		t.Errorf("of nothing: %+v", got)
	}
}
