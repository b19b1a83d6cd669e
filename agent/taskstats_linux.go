package agent

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

// exitRecord is what the kernel tells of a thread that ended: struct taskstats, of which
// this is the part that has been in its place since version 12 (Linux 5.19).
type exitRecord struct {
	pid, group, parent, uid uint32
	comm                    string
	whole                   bool // with it the whole process has ended
	elapsed                 time.Duration
	cpu                     time.Duration
	peakMemory              int64
	readBytes, writeBytes   int64
}

// Offsets in struct taskstats, of linux/taskstats.h.
const (
	atVersion    = 0
	atFlags      = 8
	atComm       = 80
	atUID        = 120
	atPID        = 128
	atPPID       = 132
	atUserTime   = 152
	atSystemTime = 160
	atPeakMemory = 200 // KiB
	atReadBytes  = 248
	atWriteBytes = 256
	atGroup      = 368
	atElapsed    = 376 // microseconds since the process began
	atGroupEnd   = 384

	// wholeGroup is AGROUP of linux/acct.h.
	wholeGroup = 0x20
	// minTaskstats is the first version that tells of which process a thread was.
	minTaskstats = 12
	// shiftedTaskstats had its fields moved by mistake, in Linux 6.14 and 6.15.
	shiftedTaskstats = 15
)

// receiveBuffer is what the kernel keeps of exit records, in bytes; it takes twice as much.
const receiveBuffer = 4 << 20

var errTaskstats = errors.New("this kernel's exit records are of another form")

// parseTaskstats reads struct taskstats.
func parseTaskstats(b []byte) (exitRecord, error) {
	if len(b) < atGroupEnd {
		return exitRecord{}, errTaskstats
	}
	if version := binary.NativeEndian.Uint16(b[atVersion:]); version < minTaskstats || version == shiftedTaskstats {
		return exitRecord{}, fmt.Errorf("version %d: %w", version, errTaskstats)
	}
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	u64 := func(at int) int64 { return int64(min(binary.NativeEndian.Uint64(b[at:]), math.MaxInt64>>20)) }
	return exitRecord{
		pid:        u32(atPID),
		group:      u32(atGroup),
		parent:     u32(atPPID),
		uid:        u32(atUID),
		comm:       unix.ByteSliceToString(b[atComm : atComm+32]),
		whole:      b[atFlags]&wholeGroup != 0,
		elapsed:    time.Duration(u64(atElapsed)) * time.Microsecond,
		cpu:        time.Duration(u64(atUserTime)+u64(atSystemTime)) * time.Microsecond,
		peakMemory: u64(atPeakMemory) << 10,
		readBytes:  u64(atReadBytes),
		writeBytes: u64(atWriteBytes),
	}, nil
}

// attributes walks netlink attributes, each with its type without flags; it stops at what
// is torn.
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

// netlinkMessages walks the messages of a datagram.
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

// parseExits reads the exit records of a datagram of the family.
func parseExits(datagram []byte, family uint16, each func(exitRecord)) (err error) {
	netlinkMessages(datagram, func(kind uint16, body []byte) {
		if kind != family || len(body) < unix.GENL_HDRLEN {
			return
		}
		attributes(body[unix.GENL_HDRLEN:], func(kind uint16, value []byte) {
			if kind != unix.TASKSTATS_TYPE_AGGR_PID { // that of the group has no times
				return
			}
			attributes(value, func(kind uint16, value []byte) {
				if kind != unix.TASKSTATS_TYPE_STATS {
					return
				}
				record, failed := parseTaskstats(value)
				if failed != nil {
					err = failed
					return
				}
				each(record)
			})
		})
	})
	return err
}

// genericRequest is a message of generic netlink with one attribute.
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

// openTaskstats opens a socket on which the kernel tells of every thread that ends. It
// needs CAP_NET_ADMIN, and to be in the machine's own namespaces of pids and users.
func openTaskstats() (fd int, family uint16, err error) {
	if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC); err != nil {
		return 0, 0, fmt.Errorf("open netlink: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0, fmt.Errorf("bind netlink: %w", err)
	}
	// Many may end at once; FORCE needs the same capability as the records do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return 0, 0, fmt.Errorf("bound the wait for netlink: %w", err)
	}
	answer, err := request(
		fd,
		genericRequest(
			unix.GENL_ID_CTRL, unix.CTRL_CMD_GETFAMILY, unix.CTRL_ATTR_FAMILY_NAME,
			[]byte(unix.TASKSTATS_GENL_NAME+"\x00"),
		),
	)
	if err != nil {
		return 0, 0, fmt.Errorf("look for taskstats: %w", err)
	}
	attributes(answer[min(len(answer), unix.GENL_HDRLEN):], func(kind uint16, value []byte) {
		if kind == unix.CTRL_ATTR_FAMILY_ID && len(value) >= 2 {
			family = binary.NativeEndian.Uint16(value)
		}
	})
	if family == 0 {
		return 0, 0, errors.New("this kernel has no taskstats")
	}
	cpus, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0, 0, fmt.Errorf("look which CPUs there are: %w", err)
	}
	mask := append(bytes.TrimSpace(cpus), 0)
	if _, err := request(fd, genericRequest(family, unix.TASKSTATS_CMD_GET, unix.TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, mask)); err != nil {
		return 0, 0, fmt.Errorf("ask for exit records: %w", err)
	}
	return fd, family, nil
}

// request sends a message and returns the body of the answer, up to the acknowledgement.
func request(fd int, message []byte) (answer []byte, err error) {
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buffer := make([]byte, 16<<10)
	for range 100 { // exit records may come in between
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
				answer = append([]byte(nil), body...)
			}
		})
		if acknowledged {
			return answer, err
		}
	}
	return nil, errors.New("the kernel does not answer")
}
