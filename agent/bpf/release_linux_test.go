package bpf

import "testing"

// If the programs cannot be loaded, the error says that the kernel is too old.
func TestOldKernels(t *testing.T) {
	for release, want := range map[string]bool{
		"3.10.0-1160.el7.x86_64": true, "4.18.0-553.el8.x86_64": true, "5.4.0-216-generic": true, "5.7.19": true,
		"5.8.0-63-generic": false, "5.10.0-32-amd64": false, "6.1.0": false, "10.0": false, "": false, "x": false,
	} {
		if isOlder(release, 5, 8) != want {
			t.Errorf("%q is too old: %t", release, !want)
		}
	}
}
