package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/snapshot"
)

// execWatcher learns the command lines of processes as they begin, for those that are
// gone before the next sample: the kernel's proc connector tells of each exec, and the
// rest is read from /proc while it is there.
type execWatcher struct {
	socket  *os.File
	reader  *procReader // of files alone
	stopped sync.WaitGroup

	mu    sync.Mutex
	begun map[uint32]snapshot.Identity // by process; bounded by maxBegun and maxBegunText
	text  int                          // bytes of command lines in it, at most
	// second and execs bound how many are read in a second.
	second int64
	execs  int
}

const (
	// maxBegun bounds the processes of which a command line is remembered.
	maxBegun = 4000
	// maxBegunText bounds their command lines, in bytes.
	maxBegunText = 1 << 20
	// maxExecs is how many execs in a second are looked into: beyond that, names have to do.
	maxExecs = 500

	// Of linux/cn_proc.h and linux/connector.h.
	connectorProc  = 1
	procListen     = 1
	procIgnore     = 2
	procEventExec  = 2
	atProcEvent    = unix.SizeofNlMsghdr + 20 // after struct cn_msg
	atExecGroup    = atProcEvent + 16 + 4
	procEventBytes = atProcEvent + 24
)

func watchExecs(scrub *scrubber) (*execWatcher, error) {
	fd, err := unix.Socket(
		unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR,
	)
	if err != nil {
		return nil, fmt.Errorf("open the proc connector: %w", err)
	}
	if err := listenToExecs(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	reader := newProcReader("/proc", 0, scrub)
	reader.budget = 0
	w := &execWatcher{
		socket: os.NewFile(uintptr(fd), "proc connector"),
		reader: reader,
		begun:  make(map[uint32]snapshot.Identity),
	}
	w.stopped.Go(w.run)
	return w, nil
}

// listenToExecs joins the kernel's messages; a filter keeps all but execs from waking us.
func listenToExecs(fd int) error {
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: atProcEvent, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: bigEndian(procEventExec), SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return fmt.Errorf("make the filter: %w", err)
	}
	code := make([]unix.SockFilter, len(filter))
	for i, one := range filter {
		code[i] = unix.SockFilter{Code: one.Op, Jt: one.Jt, Jf: one.Jf, K: one.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}); err != nil {
		return fmt.Errorf("set the filter: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc}); err != nil {
		return fmt.Errorf("join the proc connector: %w", err)
	}
	return tellConnector(fd, procListen)
}

// bigEndian is how a filter, which reads as from a network, sees a number of this machine.
func bigEndian(n uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, n))
}

// tellConnector turns the messages on or off.
func tellConnector(fd int, operation uint32) error {
	b := make([]byte, atProcEvent+4)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_DONE)
	message := b[unix.SizeofNlMsghdr:]
	binary.NativeEndian.PutUint32(message, connectorProc)     // idx
	binary.NativeEndian.PutUint32(message[4:], connectorProc) // val
	binary.NativeEndian.PutUint16(message[16:], 4)            // length of what follows
	binary.NativeEndian.PutUint32(message[20:], operation)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the proc connector: %w", err)
	}
	return nil
}

func (w *execWatcher) run() {
	buffer := make([]byte, 4096)
	for {
		n, err := w.socket.Read(buffer)
		if errors.Is(err, unix.ENOBUFS) {
			continue // some are missed: their names have to do
		}
		if err != nil {
			return
		}
		if group, ok := parseExec(buffer[:n]); ok {
			w.look(group, time.Now())
		}
	}
}

// parseExec reads a message of the proc connector: which process has called exec.
func parseExec(b []byte) (group uint32, ok bool) {
	if len(b) < procEventBytes || binary.NativeEndian.Uint32(b[atProcEvent:]) != procEventExec {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b[atExecGroup:]), true
}

// look reads what a process is, if it is still there and not too many others are.
func (w *execWatcher) look(group uint32, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if second := now.Unix(); second != w.second {
		w.second, w.execs = second, 0
	}
	if w.execs++; w.execs > maxExecs {
		return
	}
	p := &procProcess{pid: fmt.Sprint(group)}
	text, err := w.reader.readFile(p, &keptFile{}, "comm", false)
	if err != nil {
		return
	}
	p.comm = strings.TrimSuffix(string(text), "\n")
	w.reader.identify(p)
	if w.text += len(p.raw.CommandLine); len(w.begun) >= maxBegun ||
		w.text > maxBegunText { // most of them run on, and are in the list
		clear(w.begun)
		w.text = len(p.raw.CommandLine)
	}
	w.begun[group] = p.raw.Identity
}

// take returns what is known of a process that has ended.
func (w *execWatcher) take(group uint32) (snapshot.Identity, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, ok := w.begun[group]
	delete(w.begun, group)
	return id, ok
}

func (w *execWatcher) close() {
	if raw, err := w.socket.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = tellConnector(int(fd), procIgnore) })
	}
	_ = w.socket.Close()
	w.stopped.Wait()
}
