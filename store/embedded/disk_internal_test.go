package embedded

import "testing"

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
		got := diskOf(test.free, test.total, test.previous)
		if got.Level != test.want || got.Required != test.required {
			t.Errorf("%s: level %d, %d bytes required", test.name, got.Level, got.Required)
		}
		if (got.Describe() == "") != (got.Level == DiskOK) {
			t.Errorf("%s is described as %q", test.name, got.Describe())
		}
	}
}
