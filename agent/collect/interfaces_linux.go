package collect

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// interfacesInTotal reports which interfaces are part of the machine's totals: those with a device, such as a network
// card. Bridges, bonds, tunnels and the ends of containers carry the same traffic once more. If there is no device, as
// in a container, they are the interfaces of the default routes. If there is none in the main table either, as in a
// network without a way out, they are those that do not carry the traffic of other interfaces.
func interfacesInTotal(names []string) map[string]bool {
	return selectInterfaces(names, "/sys/class/net", "/proc/net")
}

func selectInterfaces(names []string, sysfs, procfs string) map[string]bool {
	physical := make(map[string]bool, len(names))
	for _, name := range names {
		_, err := os.Lstat(filepath.Join(sysfs, name, "device"))
		physical[name] = err == nil
	}
	inTotal, found := make(map[string]bool, len(names)), false
	for _, name := range names {
		// A virtual card and the real one below it, as on Azure, count the same traffic.
		master, err := os.Readlink(filepath.Join(sysfs, name, "master"))
		inTotal[name] = physical[name] && (err != nil || !physical[filepath.Base(master)])
		found = found || inTotal[name]
	}
	if found {
		return inTotal
	}
	for _, name := range defaultRoutes(procfs) {
		if _, listed := inTotal[name]; listed && name != "lo" {
			inTotal[name], found = true, true
		}
	}
	if found {
		return inTotal
	}
	for _, name := range names {
		inTotal[name] = name != "lo" && !carriesOthers(filepath.Join(sysfs, name))
	}
	return inTotal
}

// carriesOthers reports whether the traffic of an interface is also that of others: it is a bridge, a port of one, a
// bond, a VLAN or a tunnel.
func carriesOthers(dir string) bool {
	const ethernet = "1" // ARPHRD_ETHER, which tunnels of IP packets are not
	if kind, err := os.ReadFile(filepath.Join(dir, "type")); err == nil && string(bytes.TrimSpace(kind)) != ethernet {
		return true
	}
	entries, _ := os.ReadDir(dir)
	return strings.HasPrefix(filepath.Base(dir), "ifb") || slices.ContainsFunc(entries, func(entry os.DirEntry) bool {
		switch name := entry.Name(); name {
		case "bridge", "master", "bonding", "tun_flags":
			return true
		default:
			return strings.HasPrefix(name, "lower_")
		}
	})
}

// defaultRoutes returns the interfaces of the default routes.
func defaultRoutes(procfs string) []string {
	const (
		up     = 0x1   // RTF_UP
		reject = 0x200 // RTF_REJECT
	)
	isUsed := func(flags []byte) bool {
		n, err := strconv.ParseUint(string(flags), 16, 64)
		return err == nil && n&up != 0 && n&reject == 0
	}
	var names []string
	text, _ := os.ReadFile(filepath.Join(procfs, "route"))
	for line := range bytes.Lines(text) {
		// Iface Destination Gateway Flags RefCnt Use Metric Mask …
		f := bytes.Fields(line)
		if len(f) > 7 && string(f[1]) == "00000000" && string(f[7]) == "00000000" && isUsed(f[3]) {
			names = append(names, string(f[0]))
		}
	}
	text, _ = os.ReadFile(filepath.Join(procfs, "ipv6_route"))
	for line := range bytes.Lines(text) {
		// destination, prefix length, source, prefix length, next hop, metric, references, use, flags, interface
		f := bytes.Fields(line)
		if len(f) > 9 && string(f[1]) == "00" && string(f[3]) == "00" && isUsed(f[8]) {
			names = append(names, string(f[9]))
		}
	}
	return names
}
