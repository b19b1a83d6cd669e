package procfs

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// HiddenProcesses returns the mount option of /proc that hides other users' processes from the agent, such as
// hidepid=invisible. It returns "" if they are visible, because there is no such option or because of the agent's group
// or capability. See proc(5).
func HiddenProcesses() string {
	var proc unix.Stat_t
	if err := unix.Stat("/proc", &proc); err != nil {
		return ""
	}
	device := fmt.Sprintf("%d:%d", unix.Major(proc.Dev), unix.Minor(proc.Dev))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	hidepid, gid := parseHidepid(string(mounts), device)
	if hidepid == "" || HasCapabilities(unix.CAP_SYS_PTRACE) {
		return ""
	}
	groups, _ := os.Getgroups()
	isMember := os.Getegid() == gid || slices.Contains(groups, gid)
	if isMember && hidepid != "4" && hidepid != "ptraceable" { // that value makes no exception for the group
		return ""
	}
	return "hidepid=" + hidepid
}

// parseHidepid returns the values of hidepid and gid of the mount of /proc in the content of mountinfo. device is its
// device. hidepid is empty if it hides nothing. The default of gid is that of root, which is not listed. Linux before
// 5.8 shows numbers, later versions words.
func parseHidepid(mounts, device string) (hidepid string, gid int) {
	for line := range strings.Lines(mounts) {
		mount, fileSystem, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(mount), strings.Fields(fileSystem)
		if len(fields) < 5 || fields[2] != device || fields[4] != "/proc" || len(rest) < 3 || rest[0] != "proc" {
			continue
		}
		hidepid, gid = "", 0
		for option := range strings.SplitSeq(rest[2], ",") {
			name, value, _ := strings.Cut(option, "=")
			switch name {
			case "hidepid":
				hidepid = value
			case "gid":
				gid, _ = strconv.Atoi(value)
			}
		}
	}
	if hidepid == "0" || hidepid == "off" {
		hidepid = ""
	}
	return hidepid, gid
}

// HasCapabilities reports whether this process has all of the given capabilities.
func HasCapabilities(capabilities ...int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return !slices.ContainsFunc(capabilities, func(c int) bool { return data[c/32].Effective&(1<<(c%32)) == 0 })
}
