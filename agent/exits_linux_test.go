package agent

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/snapshot"
)

// A real process that comes and goes between two samples is recorded, with what it spent;
// one that was there before tells what it spent last.
func TestProcessesThatPassAreRecorded(t *testing.T) {
	s, err := newSampler(t.TempDir(), nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	sample := func() *sample {
		taken, err := s.sample(t.Context(), time.Now(), wantedBy(snapshot.Config{}), false)
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	burn := "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
	before := exec.Command("sh", "-c", "read x; "+burn)
	in, err := before.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Start(); err != nil {
		t.Fatal(err)
	}
	sample()
	if s.exits == nil {
		// The kernel tells those alone who may be told: others say so, and count.
		if _, err := watchExits(nil); os.Geteuid() == 0 || !errors.Is(err, unix.EPERM) {
			t.Fatalf("as user %d: %v", os.Geteuid(), err)
		}
		return
	}
	passed := exec.Command("sh", "-c", burn)
	if err := passed.Run(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := before.Wait(); err != nil {
		t.Fatal(err)
	}
	taken := sample()
	find := func(pid int) *snapshot.Process {
		for i := range taken.ended {
			if taken.ended[i].PID == int32(pid) {
				return &taken.ended[i]
			}
		}
		t.Fatalf("%d is not among the %d that ended", pid, len(taken.ended))
		return nil
	}
	for name, one := range map[string]*snapshot.Process{"passed": find(passed.Process.Pid), "before": find(before.Process.Pid)} {
		if one.Name != "sh" || one.PPID != int32(os.Getpid()) || one.State != snapshot.StateEnded || one.CPUMS == nil ||
			*one.CPUMS < 10 ||
			*one.CPUMS > 5000 ||
			one.User == "" {
			t.Errorf("%s: %+v, CPU %v", name, *one, one.CPUMS)
		}
		if ago := time.Since(one.StartedAt.Std()); ago < 0 || ago > time.Minute {
			t.Errorf("%s: it began %s ago", name, ago)
		}
	}
	if one := find(before.Process.Pid); !strings.Contains(one.CommandLine, "read x") {
		t.Errorf("its command line is %q", one.CommandLine)
	}
	if one := find(passed.Process.Pid); !strings.Contains(one.CommandLine, "-lt 100000") {
		t.Errorf("the command line of one that passed is %q", one.CommandLine)
	}
	if one := find(passed.Process.Pid); one.MemoryUsage == nil || *one.MemoryUsage < 100<<10 {
		t.Errorf("its peak of memory is %v", one.MemoryUsage)
	}
	if again := sample(); len(again.ended) > 0 && again.ended[0].PID == int32(passed.Process.Pid) {
		t.Error("it ended twice")
	}
}

// Where the kernel does not tell, what nobody saw is counted.
func TestUnseenProcessesAreCounted(t *testing.T) {
	s, err := newSampler(t.TempDir(), nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	s.watch = nil
	defer s.close()
	if forks() == unknown {
		t.Fatal("the machine does not tell how many processes begin")
	}
	if taken, err := s.sample(t.Context(), time.Now(), wanted{}, true); err != nil ||
		taken.machine.UnseenProcesses != nil {
		t.Fatal(taken, err)
	}
	for range 20 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := s.sample(t.Context(), time.Now(), wanted{}, false)
	if err != nil || taken.machine.UnseenProcesses == nil || *taken.machine.UnseenProcesses < 20 {
		t.Fatal(taken.machine.UnseenProcesses, err)
	}
}

// exitDatagram is what the kernel sends of a thread that has ended.
func exitDatagram(change func(stats []byte)) []byte {
	stats := make([]byte, 400)
	binary.NativeEndian.PutUint16(stats[atVersion:], 16)
	copy(stats[atComm:], "cc1")
	binary.NativeEndian.PutUint32(stats[atPID:], 4712)
	binary.NativeEndian.PutUint32(stats[atGroup:], 4711)
	binary.NativeEndian.PutUint64(stats[atUserTime:], 30_000)
	stats[atFlags] = wholeGroup
	if change != nil {
		change(stats)
	}
	attribute := func(kind uint16, value []byte) []byte {
		b := make([]byte, 4, 4+len(value))
		binary.NativeEndian.PutUint16(b, uint16(4+len(value)))
		binary.NativeEndian.PutUint16(b[2:], kind)
		return append(b, value...)
	}
	body := append(make([]byte, 4), attribute(4, append(attribute(1, []byte{0, 0, 0, 0}), attribute(3, stats)...))...)
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b, uint32(16+len(body)))
	binary.NativeEndian.PutUint16(b[4:], 25)
	return append(b, body...)
}

func TestParseExits(t *testing.T) {
	for name, test := range map[string]struct {
		change func([]byte)
		n      int
		ok     bool
	}{
		"usual":                   {nil, 1, true},
		"an old kernel":           {func(b []byte) { b[atVersion] = 11 }, 0, false},
		"a kernel with a mistake": {func(b []byte) { b[atVersion] = 15 }, 0, false},
	} {
		n := 0
		err := parseExits(exitDatagram(test.change), 25, func(r exitRecord) {
			n++
			if r.pid != 4712 || r.group != 4711 || r.comm != "cc1" || !r.whole || r.cpu != 30*time.Millisecond {
				t.Errorf("%s: %+v", name, r)
			}
		})
		if n != test.n || (err == nil) != test.ok {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
}

func FuzzParseExits(f *testing.F) {
	f.Add(exitDatagram(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		_ = parseExits(datagram, 25, func(r exitRecord) {
			if r.elapsed < 0 || r.cpu < 0 || r.peakMemory < 0 || len(r.comm) > 32 {
				t.Errorf("%+v", r)
			}
		})
	})
}

// Several threads end before their process does; what does not fit is counted.
func TestEndingsAreBounded(t *testing.T) {
	w := &exitWatcher{since: time.Now().Add(-time.Hour), groups: make(map[uint32]*threadSum), users: make(userNames)}
	now := time.Now()
	w.ended(exitRecord{pid: 2, group: 1, cpu: 20 * time.Millisecond}, now)
	w.ended(exitRecord{pid: 1, group: 1, cpu: 10 * time.Millisecond, whole: true, elapsed: time.Minute}, now)
	if len(w.endings) != 1 || w.endings[0].cpuMS != 30 || !w.endings[0].whole || len(w.groups) != 0 {
		t.Errorf("%+v", w.endings)
	}
	for i := range uint32(maxEndings + 9) {
		w.ended(exitRecord{pid: i, group: i, whole: true}, now)
	}
	if len(w.endings) != maxEndings || w.missed != 10 {
		t.Errorf("%d endings, %d missed", len(w.endings), w.missed)
	}
	w.endings, w.text, w.missed = nil, maxEndingText, 0
	if w.ended(exitRecord{pid: 1, group: 1, whole: true}, now); len(w.endings) != 0 || w.missed != 1 {
		t.Errorf("%d endings, %d missed, with all the room for texts taken", len(w.endings), w.missed)
	}
	for i := range uint32(maxGroups + 1) {
		w.ended(exitRecord{pid: i + 1, group: i}, now)
	}
	if len(w.groups) != maxGroups || !w.lossy {
		t.Errorf("%d groups, lossy %t", len(w.groups), w.lossy)
	}
}

// A snapshot tells of those with the most CPU time, and counts the rest.
func TestPassedAreBounded(t *testing.T) {
	var list []ending
	for i := range int64(maxPassed + 7) {
		list = append(
			list,
			ending{
				pid:      int32(i + 10),
				started:  snapshot.Time(i + 1),
				identity: snapshot.Identity{Name: "x"},
				cpuMS:    i,
				whole:    true,
			},
		)
	}
	s := &sampler{exits: fixedExits{list}, totals: map[snapshot.ProcessKey]*totals{}}
	var out sample
	missed, counted := s.ended(&out, wanted{}, false)
	if len(out.ended) != maxPassed || missed != 7 || !counted || *out.ended[0].CPUMS != maxPassed+6 {
		t.Errorf("%d told, %d missed, %t", len(out.ended), missed, counted)
	}
}

type fixedExits struct{ list []ending }

func (f fixedExits) take(time.Time) ([]ending, int64, bool) { return f.list, 0, true }
func (f fixedExits) close()                                 {}

func TestParseExec(t *testing.T) {
	message := make([]byte, procEventBytes)
	binary.NativeEndian.PutUint32(message[atProcEvent:], procEventExec)
	binary.NativeEndian.PutUint32(message[atExecGroup:], 4711)
	if group, ok := parseExec(message); !ok || group != 4711 {
		t.Error(group, ok)
	}
	if _, ok := parseExec(message[:procEventBytes-1]); ok {
		t.Error("a torn message is read")
	}
	message[atProcEvent] = 1 // a fork
	if _, ok := parseExec(message); ok {
		t.Error("a fork is taken for an exec")
	}
}

// What is remembered has a bound, and so has what is read in a second.
func TestExecsAreBounded(t *testing.T) {
	own := uint32(os.Getpid())
	w := &execWatcher{reader: newProcReader("/proc", 0, nil), begun: make(map[uint32]snapshot.Identity)}
	now := time.Now()
	for range maxExecs {
		w.look(own, now)
	}
	if id, ok := w.take(own); !ok || id.CommandLine == "" || id.Name == "" || id.User == "" {
		t.Errorf("%+v", id)
	}
	if w.look(own, now); len(w.begun) != 0 {
		t.Error("one more is looked into in the same second")
	}
	for i := range uint32(maxBegun) {
		w.begun[1<<30+i] = snapshot.Identity{}
	}
	if w.look(own, now.Add(time.Second)); len(w.begun) != 1 {
		t.Errorf("%d are remembered", len(w.begun))
	}
	w.begun[1], w.text = snapshot.Identity{}, maxBegunText
	if w.look(own, now.Add(2*time.Second)); len(w.begun) != 1 {
		t.Errorf("%d are remembered beyond the bound of bytes", len(w.begun))
	}
}

func TestCgroupOf(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/nginx.service\n": "/system.slice/nginx.service",
		"0::/\n":                           "",
		"9:name=systemd:/\n4:memory:/docker/abc\n1:cpu:/docker/abc\n0::/\n":        "/docker/abc",
		"4:memory:/user.slice\n9:name=systemd:/user.slice/session-1.scope\n0::/\n": "/user.slice/session-1.scope",
		"": "", "torn": "", "0::relative\n": "", "0::/a:b\n": "/a:b",
	} {
		if got := cgroupOf([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
