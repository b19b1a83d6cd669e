package exits

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// execWatcher reads the identity of each process that calls exec, for the processes that exit before the next sample.
// The kernel's proc connector sends an event for each exec.
type execWatcher struct {
	socket     *os.File
	identities *procfs.IdentityReader
	stopped    sync.WaitGroup

	mu     sync.Mutex
	recent map[uint32]snapshot.Identity // by process; bounded by maxRecent and maxRecentText
	text   int                          // upper bound of the bytes of command lines in recent
	// second and execs bound how many identities are read in a second.
	second int64
	execs  int
}

const (
	// maxRecent bounds the processes whose identity is stored.
	maxRecent = 4000
	// maxRecentText bounds their command lines, in bytes.
	maxRecentText = 1 << 20
	// maxExecs bounds the identities that are read in a second. Processes beyond it have a name and no command line.
	maxExecs = 500

	// These are from linux/cn_proc.h and linux/connector.h.
	connectorProc   = 1
	procListen      = 1
	procIgnore      = 2
	procEventExec   = 2
	procEventOffset = unix.SizeofNlMsghdr + 20 // after struct cn_msg
	execGroupOffset = procEventOffset + 16 + 4
	procEventBytes  = procEventOffset + 24
)

func watchExecs(scrubber *procfs.Scrubber) (*execWatcher, error) {
	const kind = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("open the proc connector: %w", err)
	}
	if err := subscribeToExecs(fd); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	w := &execWatcher{
		socket:     os.NewFile(uintptr(fd), "proc connector"),
		identities: procfs.NewIdentityReader(scrubber),
		recent:     make(map[uint32]snapshot.Identity),
	}
	w.stopped.Go(w.run)
	return w, nil
}

// subscribeToExecs subscribes to the kernel's events. A filter drops all but execs, so that no other event wakes the
// agent.
func subscribeToExecs(fd int) error {
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: procEventOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: bigEndian(procEventExec), SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	code := make([]unix.SockFilter, len(filter))
	for i, one := range filter {
		code[i] = unix.SockFilter{Code: one.Op, Jt: one.Jt, Jf: one.Jf, K: one.K}
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc}); err != nil {
		return fmt.Errorf("bind the proc connector: %w", err)
	}
	return sendToConnector(fd, procListen)
}

// bigEndian returns a native number as a filter sees it: filters load numbers in network byte order.
func bigEndian(n uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, n))
}

// sendToConnector turns the events on (procListen) or off (procIgnore).
func sendToConnector(fd int, operation uint32) error {
	b := make([]byte, procEventOffset+4)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_DONE)
	message := b[unix.SizeofNlMsghdr:]
	binary.NativeEndian.PutUint32(message, connectorProc)     // idx
	binary.NativeEndian.PutUint32(message[4:], connectorProc) // val
	binary.NativeEndian.PutUint16(message[16:], 4)            // length of the operation
	binary.NativeEndian.PutUint32(message[20:], operation)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to the proc connector: %w", err)
	}
	return nil
}

func (w *execWatcher) run() {
	buffer := make([]byte, 4096)
	for {
		n, err := w.socket.Read(buffer)
		if errors.Is(err, unix.ENOBUFS) {
			continue // some events are lost; those processes have no command line
		}
		if err != nil {
			return
		}
		if group, ok := parseExec(buffer[:n]); ok {
			w.record(group, time.Now())
		}
	}
}

// parseExec parses an event and returns the process that has called exec.
func parseExec(b []byte) (group uint32, ok bool) {
	if len(b) < procEventBytes || binary.NativeEndian.Uint32(b[procEventOffset:]) != procEventExec {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b[execGroupOffset:]), true
}

// record reads and stores the identity of a process, unless it has exited or maxExecs is reached.
func (w *execWatcher) record(group uint32, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if second := now.Unix(); second != w.second {
		w.second, w.execs = second, 0
	}
	if w.execs++; w.execs > maxExecs {
		return
	}
	id, err := w.identities.Read(group)
	if err != nil {
		return
	}
	w.text += len(id.CommandLine)
	if len(w.recent) >= maxRecent || w.text > maxRecentText {
		// Most of these processes are still running, so the process list has them.
		clear(w.recent)
		w.text = len(id.CommandLine)
	}
	w.recent[group] = id
}

// take returns and removes the identity of a process that has exited.
func (w *execWatcher) take(group uint32) (snapshot.Identity, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, ok := w.recent[group]
	delete(w.recent, group)
	return id, ok
}

func (w *execWatcher) close() {
	if raw, err := w.socket.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = sendToConnector(int(fd), procIgnore) })
	}
	_ = w.socket.Close()
	w.stopped.Wait()
}
