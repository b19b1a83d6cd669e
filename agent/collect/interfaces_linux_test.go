package collect

import (
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/snapshot"
)

// fakeNetwork writes files like those of sysfs and procfs: a line has the name of an interface, its links and its type.
func fakeNetwork(t *testing.T, interfaces string, routes, routes6 string) (names []string, sysfs, procfs string) {
	t.Helper()
	sysfs, procfs = t.TempDir(), t.TempDir()
	for line := range strings.Lines(interfaces) {
		fields := strings.Fields(line)
		name := fields[0]
		names = append(names, name)
		if err := os.Mkdir(filepath.Join(sysfs, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, link := range fields[1:] {
			link, target, _ := strings.Cut(link, "=")
			if link == "type" {
				if err := os.WriteFile(filepath.Join(sysfs, name, link), []byte(target+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.Symlink("../"+target, filepath.Join(sysfs, name, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range map[string]string{"route": routes, "ipv6_route": routes6} {
		if err := os.WriteFile(filepath.Join(procfs, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names, sysfs, procfs
}

// The totals are those of physical interfaces or, if there is none, of the default routes. Without these, too, they are
// those of the interfaces that do not carry the traffic of others.
func TestInterfacesInTheTotals(t *testing.T) {
	const header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	const via = "\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	const zero = "00000000000000000000000000000000"
	for name, test := range map[string]struct {
		interfaces, routes, routes6 string
		want                        string
	}{
		"bridge and veth": {"lo\neth0 device=x master=br0\nbr0\nveth1 master=br0\n", header + "br0" + via, "", "eth0"},
		"bond and VLAN": {
			"lo\nbond0\neth0 device=x master=bond0\neth1 device=y master=bond0\nbond0.7\n", header + "bond0" + via, "",
			"eth0 eth1",
		},
		"a card and its virtual function": {"lo\neth0 device=x\neth1 device=y master=eth0\n", "", "", "eth0"},
		"a container":                     {"lo\neth0\neth1\n", header + "eth0" + via, "", "eth0"},
		"a container with IPv6 only": {"lo\neth0\neth1\n", header,
			zero + " 00 " + zero + " 00 fe80" + zero[8:] + "0001 00000400 00000001 00000000 00000003     eth1\n" +
				zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo\n", "eth1"},
		"a container in a network without a way out": {
			"lo type=772\neth0 type=1\ndocker0 type=1 bridge=x\nveth1 type=1 master=docker0\n" +
				"eth0.7 type=1 lower_eth0=eth0\ntap0 type=1 tun_flags=x\nwg0 type=65534\nifb0 type=1\nbr[1] bridge=x\n",
			header, "",
			"eth0",
		},
		"a container without a network": {"lo\n", header, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := make(map[string]bool)
			names, sysfs, procfs := fakeNetwork(t, test.interfaces, test.routes, test.routes6)
			for _, name := range names {
				want[name] = false
			}
			for _, name := range strings.Fields(test.want) {
				want[name] = true
			}
			if got := selectInterfaces(names, sysfs, procfs); !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// Traffic through a bridge and a veth pair is not in the totals: it does not leave the machine.
func TestTrafficThroughABridge(t *testing.T) {
	if !agenttest.InNamespaces(t, syscall.CLONE_NEWNET|syscall.CLONE_NEWNS) {
		return
	}
	run := func(command string) {
		t.Helper()
		if out, err := exec.Command("sh", "-ec", command).CombinedOutput(); err != nil {
			t.Skipf("%v: %s", err, out)
		}
	}
	inner := exec.Command("cat") // it holds the namespace of the other end
	inner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	stdin, err := inner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inner.Wait() }()
	defer stdin.Close()
	t.Setenv("INNER", itoa(inner.Process.Pid))
	run(`mount -t sysfs sysfs /sys
		ip link add br0 type bridge
		ip link add veth0 type veth peer name veth1 netns $INNER
		ip link set veth0 master br0
		ip address add 10.77.0.1/24 dev br0
		ip link set br0 up; ip link set veth0 up; ip link set lo up
		nsenter -t $INNER -n sh -ec 'ip address add 10.77.0.2/24 dev veth1; ip link set veth1 up; ip link set lo up'`)
	var r interfaceReader
	read := func() (all, total int64) {
		counted := int64(0)
		for _, i := range r.read(t.Context(), true) {
			if i.InTotal == nil {
				t.Fatalf("it is unknown whether %s is in the totals", i.Name)
			}
			if i.SentBytes != nil && i.Name != "lo" {
				counted += *i.SentBytes
				if *i.InTotal {
					total += *i.SentBytes
				}
			}
		}
		return counted, total
	}
	read()
	listener, err := net.Listen("tcp", "10.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	const size = 4 << 20
	client := exec.Command("nsenter", "-t", itoa(inner.Process.Pid), "-n", "bash", "-c",
		"cat < /dev/tcp/10.77.0.1/"+port+" | wc -c")
	var out strings.Builder
	client.Stdout = &out
	if err := client.Start(); err != nil {
		t.Skip(err)
	}
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(connection, strings.NewReader(strings.Repeat("x", size))); err != nil {
		t.Fatal(err)
	}
	_ = connection.Close()
	if err := client.Wait(); err != nil || strings.TrimSpace(out.String()) != itoa(size) {
		t.Fatalf("%v, %s bytes arrived", err, out.String())
	}
	all, total := read()
	if all < 2*size || total != 0 {
		t.Errorf("%d bytes through all interfaces, %d in the totals; want at least %d and 0", all, total, 2*size)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// Every interface is listed, also those that are not in the totals.
func TestInterfacesAreListed(t *testing.T) {
	var r interfaceReader
	list := r.read(t.Context(), true)
	names := make(map[string]snapshot.Interface)
	for _, i := range list {
		names[i.Name] = i
	}
	if lo, found := names["lo"]; !found || lo.InTotal == nil || *lo.InTotal {
		t.Errorf("%+v", names)
	}
}
