package procfs

import "testing"

func TestParseHidepid(t *testing.T) {
	const proc = "22 27 0:21 / /proc rw,relatime - proc proc "
	for name, test := range map[string]struct {
		mounts, hidepid string
		gid             int
	}{
		"no option":            {proc + "rw\n", "", 0},
		"off":                  {proc + "rw,hidepid=off\n", "", 0},
		"0":                    {proc + "rw,hidepid=0\n", "", 0},
		"before Linux 5.8":     {proc + "rw,gid=26,hidepid=2\n", "2", 26},
		"invisible":            {proc + "rw,gid=26,hidepid=invisible\n", "invisible", 26},
		"no access":            {proc + "rw,hidepid=noaccess", "noaccess", 0},
		"shared mount":         {"22 27 0:21 / /proc rw shared:12 master:1 - proc proc rw,hidepid=4\n", "4", 0},
		"another mount":        {proc + "rw\n30 27 0:30 / /chroot/proc rw - proc proc rw,hidepid=2\n", "", 0},
		"a hidden mount":       {"9 27 0:9 / /proc rw - proc proc rw,hidepid=2\n" + proc + "rw\n", "", 0},
		"mounted below itself": {proc + "rw,hidepid=2\n31 22 0:21 /sys /proc/sys ro - proc proc rw\n", "2", 0},
		"incomplete":           {"22 27 0:21 / /proc rw - proc\n22\n", "", 0},
	} {
		if hidepid, gid := parseHidepid(test.mounts, "0:21"); hidepid != test.hidepid || gid != test.gid {
			t.Errorf("%s: hidepid is %q and gid is %d, want %q and %d", name, hidepid, gid, test.hidepid, test.gid)
		}
	}
}
