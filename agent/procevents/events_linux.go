package procevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Kind is what happened to a process. The values are those of enum proc_cn_event in linux/cn_proc.h.
type Kind uint32

// The kinds of events that can be received.
const (
	Fork Kind = 0x1
	Exec Kind = 0x2
	// UID is sent when the real, effective, saved or file system user id changes.
	UID Kind = 0x4
	// Comm is sent when the name of the main thread is set. Exec also sets the name, without this event.
	Comm Kind = 0x200
)

// Event is one event of a process.
type Event struct {
	Kind Kind
	// PID is the process. It is the new process in a Fork.
	PID int32
	// Time is when the event was sent, by CLOCK_MONOTONIC.
	Time time.Duration
	// UID is the effective user id in an event of the kind UID.
	UID uint32
}

// Buffer receives events of some kinds that wait in the kernel until they are read. An event does not wake the program.
// It leaves out events of threads other than the main thread of a process. It is for one goroutine at a time.
type Buffer struct {
	fd      int
	message []byte
}

// Stream receives events of some kinds as they happen. Otherwise, it is like Buffer. Close may be called at any time.
type Stream struct {
	file    *os.File
	message []byte
}

// These are from linux/cn_proc.h and linux/connector.h.
const (
	connectorProc = 1
	listen        = 1
	ignore        = 2

	// eventOffset is where struct proc_event is in a message: after struct nlmsghdr and struct cn_msg.
	eventOffset = unix.SizeofNlMsghdr + 20
	timeOffset  = eventOffset + 8
	// dataOffset is where the part of an event begins that depends on its kind. It begins with the thread and the
	// process, except in a fork: there, it begins with the parent's.
	dataOffset = eventOffset + 16
	uidOffset  = dataOffset + 12
	eventBytes = eventOffset + 40

	// maxMessage is more than the size of a message.
	maxMessage = 1024
)

// namespaces maps the files of the initial namespaces in /proc/self/ns to their targets, which are constants of the
// kernel; see include/linux/proc_ns.h. In other namespaces the kernel ignores a subscription without an error.
var namespaces = map[string]string{"pid": "pid:[4026531836]", "user": "user:[4026531837]"}

// InInitialPIDNamespace reports whether this process sees the pids of the whole machine, as a container does not.
func InInitialPIDNamespace() bool { return inInitial("pid") }

func inInitial(namespace string) bool {
	own, err := os.Readlink("/proc/self/ns/" + namespace)
	return err == nil && own == namespaces[namespace]
}

// Open subscribes to events that are read from time to time. The kernel buffers about size bytes of them: one takes 768
// bytes.
func Open(size int, kinds ...Kind) (*Buffer, error) {
	fd, err := open(size, kinds)
	if err != nil {
		return nil, err
	}
	return &Buffer{fd, make([]byte, maxMessage)}, nil
}

// Listen subscribes to events that are read at once. The kernel buffers about size bytes of them.
func Listen(size int, kinds ...Kind) (*Stream, error) {
	fd, err := open(size, kinds)
	if err != nil {
		return nil, err
	}
	return &Stream{os.NewFile(uintptr(fd), "proc connector"), make([]byte, maxMessage)}, nil
}

func open(size int, kinds []Kind) (fd int, err error) {
	if !inInitial("pid") || !inInitial("user") {
		return -1, errors.New("the kernel sends no process events to containers")
	}
	const flags = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err = unix.Socket(unix.AF_NETLINK, flags, unix.NETLINK_CONNECTOR)
	if err != nil {
		return -1, fmt.Errorf("open the proc connector: %w", err)
	}
	if err := subscribe(fd, size, kinds); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// subscribe subscribes to events. A filter in the kernel drops those of other kinds, so that they use no space.
func subscribe(fd, size int, kinds []Kind) error {
	program, err := filter(kinds)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	// FORCE needs CAP_NET_ADMIN. Without it, the size is limited by a setting of the machine.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc}); err != nil {
		return fmt.Errorf("bind the proc connector: %w", err)
	}
	return send(fd, listen)
}

// filter returns a program for the kernel that accepts the events of some kinds about main threads.
func filter(kinds []Kind) (*unix.SockFprog, error) {
	const drop, accept = 0, 1 << 16
	var program []bpf.Instruction
	for _, kind := range kinds {
		thread := uint32(dataOffset)
		if kind == Fork {
			thread += 8 // after the parent
		}
		program = append(program,
			bpf.LoadAbsolute{Off: eventOffset, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: bigEndian(uint32(kind)), SkipFalse: 6},
			bpf.LoadAbsolute{Off: thread, Size: 4},
			bpf.TAX{},
			bpf.LoadAbsolute{Off: thread + 4, Size: 4}, // the process
			bpf.JumpIfX{Cond: bpf.JumpEqual, SkipFalse: 1},
			bpf.RetConstant{Val: accept},
			bpf.RetConstant{Val: drop},
		)
	}
	assembled, err := bpf.Assemble(append(program, bpf.RetConstant{Val: drop}))
	if err != nil {
		return nil, fmt.Errorf("assemble the filter: %w", err)
	}
	code := make([]unix.SockFilter, len(assembled))
	for i, one := range assembled {
		code[i] = unix.SockFilter{Code: one.Op, Jt: one.Jt, Jf: one.Jf, K: one.K}
	}
	return &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}, nil
}

// bigEndian returns a native number as a filter sees it: filters load numbers in network byte order.
func bigEndian(n uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, n))
}

// send turns the events on (listen) or off (ignore).
func send(fd int, operation uint32) error {
	b := make([]byte, eventOffset+4)
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

// Next waits for the next event. It returns an error after Close. If the kernel has dropped events, it continues with
// the next one that is left.
func (s *Stream) Next() (Event, error) {
	for {
		n, err := s.file.Read(s.message)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return Event{}, err
		}
		if event, ok := parse(s.message[:max(n, 0)]); ok {
			return event, nil
		}
	}
}

// Close ends the subscription.
func (s *Stream) Close() {
	if raw, err := s.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = send(int(fd), ignore) })
	}
	_ = s.file.Close()
}

// Drain calls each with every event that waits. lost is true if the kernel has dropped some. Drain ends after a bounded
// number of events, even if more arrive meanwhile.
func (b *Buffer) Drain(each func(Event)) (lost bool) {
	const maxEvents = 100_000
	for range maxEvents {
		n, _, err := unix.Recvfrom(b.fd, b.message, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOBUFS):
			lost = true
		case err != nil:
			return lost
		default:
			if event, ok := parse(b.message[:n]); ok {
				each(event)
			}
		}
	}
	return lost
}

// Close ends the subscription.
func (b *Buffer) Close() {
	_ = send(b.fd, ignore)
	_ = unix.Close(b.fd)
}

// parse parses a message with an event of a known kind.
func parse(b []byte) (e Event, ok bool) {
	if len(b) < eventBytes {
		return Event{}, false
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	e = Event{
		Kind: Kind(u32(eventOffset)),
		PID:  int32(u32(dataOffset + 4)),
		Time: time.Duration(binary.NativeEndian.Uint64(b[timeOffset:])),
	}
	switch e.Kind {
	case Fork:
		e.PID = int32(u32(dataOffset + 12))
	case UID:
		e.UID = u32(uidOffset)
	case Exec, Comm:
	default:
		return Event{}, false
	}
	return e, true
}

// Monotonic returns the time of CLOCK_MONOTONIC, by which events have their time.
func Monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock always exists
	return time.Duration(now.Nano())
}
