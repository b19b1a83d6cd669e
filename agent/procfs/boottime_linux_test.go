package procfs

import "testing"

// The boot time is the same until the next boot, even if the kernel corrects btime.
func TestBootTimeIsStable(t *testing.T) {
	state := t.TempDir()
	boot := func(id, btime string) int64 {
		t.Helper()
		root := fakeProc(t, map[string]string{
			"stat":                      "cpu 1\nbtime " + btime + "\nprocesses 5\n",
			"sys/kernel/random/boot_id": id + "\n",
		})
		ms, err := bootTime(root, state)
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	if a, b := boot("one", "1000"), boot("one", "1001"); a != 1_000_000 || b != a {
		t.Errorf("within a boot: %d, then %d", a, b)
	}
	if c := boot("two", "2000"); c != 2_000_000 {
		t.Errorf("after a reboot: %d", c)
	}
}
