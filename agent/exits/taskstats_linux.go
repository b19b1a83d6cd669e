package exits

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// exitRecord is the kernel's record of a thread that has exited: the fields of struct taskstats whose places have not
// changed since version 12 (Linux 5.19).
type exitRecord struct {
	pid, group, parent, uid uint32
	comm                    string
	last                    bool // it was the last thread: the process has exited
	// waitStatus is the exit status of the thread, as a number of wait(2). See threadEnds for the one of the process.
	waitStatus uint32
	killed     bool // by a signal, or because the process ended or called exec
	// lastByItself is true if a process whose threads all end by themselves has the status of the last one. Otherwise
	// it has the one of the main thread.
	lastByItself bool
	program      program       // that ran; zero if unknown
	elapsed      time.Duration // since the start of the process
	// ran is the CPU time of the thread until the last tick or switch of its CPU. alive is the time since it started,
	// and waited how much of that it waited for a CPU.
	ran, alive, waited    time.Duration
	sleeps                int64 // how often it gave up its CPU
	peakMemory            int64
	readBytes, writeBytes int64
}

// These are offsets in struct taskstats of linux/taskstats.h.
const (
	versionOffset    = 0
	exitCodeOffset   = 4
	flagsOffset      = 8
	waitedOffset     = 24 // nanoseconds
	ranOffset        = 72 // nanoseconds
	commOffset       = 80
	uidOffset        = 120
	pidOffset        = 128
	ppidOffset       = 132
	aliveOffset      = 144 // microseconds
	peakMemoryOffset = 200 // KiB
	readBytesOffset  = 248
	writeBytesOffset = 256
	sleepsOffset     = 272
	groupOffset      = 368
	elapsedOffset    = 376 // microseconds since the start of the process
	deviceOffset     = 384
	inodeOffset      = 392
	endOffset        = 400

	// These are AXSIG and AGROUP of linux/acct.h.
	killedThread = 0x10
	lastThread   = 0x20
	// minVersion is the first version with the process of a thread.
	minVersion = 12
	// brokenVersion moved the fields by mistake, in Linux 6.14 and 6.15.
	brokenVersion = 15
	// lastByItselfVersion is that of Linux 6.0.
	lastByItselfVersion = 13
)

// receiveBuffer is the size of the kernel's buffer for exit records, in bytes. The kernel allocates twice as much.
const receiveBuffer = 16 << 20

var errFormat = errors.New("this kernel's exit records have an unsupported format")

// parseTaskstats parses struct taskstats.
func parseTaskstats(b []byte) (exitRecord, error) {
	if len(b) < endOffset {
		return exitRecord{}, errFormat
	}
	version := binary.NativeEndian.Uint16(b[versionOffset:])
	if version < minVersion || version == brokenVersion {
		return exitRecord{}, fmt.Errorf("%w: version %d; 12 (Linux 5.19) and newer are supported, except 15",
			errFormat, version)
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	u64 := func(at int) int64 { return int64(min(binary.NativeEndian.Uint64(b[at:]), math.MaxInt64>>20)) }
	return exitRecord{
		pid:          u32(pidOffset),
		group:        u32(groupOffset),
		parent:       u32(ppidOffset),
		uid:          u32(uidOffset),
		comm:         unix.ByteSliceToString(b[commOffset : commOffset+32]),
		last:         b[flagsOffset]&lastThread != 0,
		waitStatus:   u32(exitCodeOffset),
		killed:       b[flagsOffset]&killedThread != 0,
		lastByItself: version >= lastByItselfVersion,
		program: program{
			device: binary.NativeEndian.Uint64(b[deviceOffset:]), inode: binary.NativeEndian.Uint64(b[inodeOffset:]),
		},
		elapsed:    time.Duration(u64(elapsedOffset)) * time.Microsecond,
		ran:        time.Duration(u64(ranOffset)),
		alive:      time.Duration(u64(aliveOffset)) * time.Microsecond,
		waited:     time.Duration(u64(waitedOffset)),
		sleeps:     u64(sleepsOffset),
		peakMemory: u64(peakMemoryOffset) << 10,
		readBytes:  u64(readBytesOffset),
		writeBytes: u64(writeBytesOffset),
	}, nil
}

// attributes calls each with the type (without flags) and the value of each netlink attribute. It stops at the first
// attribute that is not complete.
func attributes(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}

// netlinkMessages calls each with the type and the body of each message of a datagram.
func netlinkMessages(b []byte, each func(kind uint16, body []byte)) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size])
		b = b[min(len(b), (size+3)&^3):]
	}
}

// parseExits calls each with each exit record of a datagram of the given generic netlink family.
func parseExits(datagram []byte, family uint16, each func(exitRecord)) (err error) {
	netlinkMessages(datagram, func(kind uint16, body []byte) {
		if kind != family {
			return
		}
		if parseErr := parseMessage(body, each); parseErr != nil {
			err = parseErr
		}
	})
	return err
}

// parseMessage calls each with each record in the body of a message of taskstats.
func parseMessage(body []byte, each func(exitRecord)) (err error) {
	attributes(body[min(len(body), unix.GENL_HDRLEN):], func(kind uint16, value []byte) {
		if kind != unix.TASKSTATS_TYPE_AGGR_PID { // the one for the group has no times
			return
		}
		attributes(value, func(kind uint16, value []byte) {
			if kind != unix.TASKSTATS_TYPE_STATS {
				return
			}
			record, parseErr := parseTaskstats(value)
			if parseErr != nil {
				err = parseErr
				return
			}
			each(record)
		})
	})
	return err
}

// genericRequest returns a message of generic netlink with one attribute.
func genericRequest(family uint16, command uint8, attribute uint16, value []byte) []byte {
	size := unix.SizeofNlMsghdr + unix.GENL_HDRLEN + unix.SizeofNlAttr + len(value)
	b := make([]byte, (size+3)&^3)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], family)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b[unix.SizeofNlMsghdr], b[unix.SizeofNlMsghdr+1] = command, 1
	attr := b[unix.SizeofNlMsghdr+unix.GENL_HDRLEN:]
	binary.NativeEndian.PutUint16(attr, uint16(unix.SizeofNlAttr+len(value)))
	binary.NativeEndian.PutUint16(attr[2:], attribute)
	copy(attr[unix.SizeofNlAttr:], value)
	return b
}

// openTaskstats opens a socket on which the kernel sends a record for every thread that exits. It needs CAP_NET_ADMIN,
// and the initial namespaces of pids and users.
func openTaskstats() (fd int, family uint16, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return -1, 0, fmt.Errorf("open a netlink socket: %w", err)
	}
	family, err = subscribeToExits(fd)
	if err != nil {
		_ = unix.Close(fd)
		return -1, 0, err
	}
	return fd, family, nil
}

// subscribeToExits subscribes a netlink socket to exit records, and returns the family of their messages.
func subscribeToExits(fd int) (family uint16, err error) {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("bind the netlink socket: %w", err)
	}
	// Many threads may exit at once. FORCE needs the capability that the records need too.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return 0, fmt.Errorf("set the netlink timeout: %w", err)
	}
	familyName := []byte(unix.TASKSTATS_GENL_NAME + "\x00")
	response, err := request(fd, genericRequest(
		unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, unix.CTRL_ATTR_FAMILY_NAME, familyName,
	))
	if err != nil {
		return 0, fmt.Errorf("find taskstats: %w", err)
	}
	attributes(response[min(len(response), unix.GENL_HDRLEN):], func(kind uint16, value []byte) {
		if kind == unix.CTRL_ATTR_FAMILY_ID && len(value) >= 2 {
			family = binary.NativeEndian.Uint16(value)
		}
	})
	if family == 0 {
		return 0, errors.New("this kernel has no taskstats")
	}
	// The record of this process shows whether the format is known.
	self := binary.NativeEndian.AppendUint32(nil, uint32(os.Getpid()))
	record, err := request(fd, genericRequest(
		family, unix.TASKSTATS_CMD_GET, unix.TASKSTATS_CMD_ATTR_PID, self,
	))
	if err != nil {
		return 0, fmt.Errorf("read the record of this process: %w", err)
	}
	if err := parseMessage(record, func(exitRecord) {}); err != nil {
		return 0, err
	}
	cpus, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0, fmt.Errorf("read the list of CPUs: %w", err)
	}
	mask := append(bytes.TrimSpace(cpus), 0)
	register := genericRequest(family, unix.TASKSTATS_CMD_GET, unix.TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, mask)
	if _, err := request(fd, register); err != nil {
		return 0, fmt.Errorf("register for exit records: %w", err)
	}
	return family, nil
}

// request sends a message and returns the body of the response that precedes the acknowledgement.
func request(fd int, message []byte) (response []byte, err error) {
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buffer := make([]byte, 16<<10)
	for range 100 { // exit records may arrive first
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		acknowledged := false
		netlinkMessages(buffer[:n], func(kind uint16, body []byte) {
			switch {
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				acknowledged = true
				if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
					err = unix.Errno(-code)
				}
			case !acknowledged:
				response = append([]byte(nil), body...)
			}
		})
		if acknowledged {
			return response, err
		}
	}
	return nil, errors.New("the kernel did not acknowledge the request")
}
