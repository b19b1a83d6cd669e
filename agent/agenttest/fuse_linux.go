package agenttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// FUSE is a file system whose server can be stopped. It has one empty directory.
type FUSE struct {
	fd      int
	running sync.Mutex // held while it is stopped
}

// The protocol of linux/fuse.h, version 7.31.
const (
	fuseGetattr = 3
	fuseStatfs  = 17
	fuseInit    = 26
	fuseHeader  = 40
)

// MountFUSE mounts a file system until the test ends. It has 1000 blocks of 4096 bytes; 250 are used. A fuseblk
// file system has a block device. The calling process must have a mount namespace of its own.
func MountFUSE(t *testing.T, dir, fsType string) *FUSE {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("open /dev/fuse: %v", err)
	}
	f := &FUSE{fd: fd}
	source := "server:/export"
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if fsType == "fuseblk" {
		source, options = loopDevice(t), options+",blksize=4096"
	}
	if err := unix.Mount(source, dir, fsType, 0, options); err != nil {
		_ = unix.Close(fd)
		t.Skipf("mount a file system of type %s: %v", fsType, err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH)
		_ = unix.Close(fd) // this ends all calls that block
	})
	go f.serve()
	return f
}

// Stop stops the server: nothing is answered until Continue is called.
func (f *FUSE) Stop() { f.running.Lock() }

// Continue starts the server again after Stop.
func (f *FUSE) Continue() { f.running.Unlock() }

func (f *FUSE) serve() {
	request := make([]byte, 1<<20)
	for {
		polled := []unix.PollFd{{Fd: int32(f.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		f.running.Lock()
		n, err := unix.Read(f.fd, request)
		if err == nil && n >= fuseHeader {
			if answer := f.answer(binary.NativeEndian.Uint32(request[4:]), request[8:16]); answer != nil {
				_, _ = unix.Write(f.fd, answer)
			}
		}
		f.running.Unlock()
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EBADF) || polled[0].Revents&unix.POLLERR != 0 {
			return
		}
	}
}

// answer returns the answer to a request.
func (f *FUSE) answer(operation uint32, unique []byte) []byte {
	order := binary.NativeEndian
	var body []byte
	failure := unix.Errno(0)
	switch operation {
	case fuseInit: // struct fuse_init_out
		body = make([]byte, 64)
		order.PutUint32(body, 7)
		order.PutUint32(body[4:], 31)
		order.PutUint32(body[20:], 4096) // max_write
	case fuseGetattr: // struct fuse_attr_out
		body = make([]byte, 104)
		order.PutUint64(body[16:], 1) // inode
		order.PutUint32(body[76:], unix.S_IFDIR|0o755)
		order.PutUint32(body[80:], 2) // links
	case fuseStatfs: // struct fuse_statfs_out
		body = make([]byte, 80)
		for i, n := range []uint64{1000, 750, 700, 100, 90} { // blocks, free, available, files, free files
			order.PutUint64(body[8*i:], n)
		}
		for i, n := range []uint32{65536, 255, 4096} { // size of a request, length of names, size of a block
			order.PutUint32(body[40+4*i:], n)
		}
	default:
		failure = unix.ENOSYS
	}
	header := make([]byte, 16)
	order.PutUint32(header, uint32(16+len(body)))
	order.PutUint32(header[4:], uint32(-int32(failure)))
	copy(header[8:], unique)
	return append(header, body...)
}

// loopDevice returns a block device until the test ends.
func loopDevice(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	return device
}
