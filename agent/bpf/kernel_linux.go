package bpf

import (
	"bytes"
	_ "embed" // for the object
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// ringBytes is the size of the kernel's buffer for events. A process that starts a program and ends takes 456 bytes
// of it, or more if its arguments are longer than 120 bytes. Each page is mapped twice.
//
// Events are read with each list, and at once when they fill a quarter of it.
const ringBytes = 1 << 20

//go:generate sh program/compile.sh

// object is program/snapwatch.bpf.c, compiled for processors with little-endian numbers.
//
//go:embed program/snapwatch.bpf.o
var object []byte

// Kernel has the programs in the kernel, and what is known about the processes. It is safe for concurrent use.
type Kernel struct {
	collection *ebpf.Collection
	iterator   *link.Iter
	events     []link.Link
	ring       *ringbuf.Reader
	pageSize   int64

	stop    chan struct{}
	wake    int // an eventfd that ends a wait for events
	stopped sync.WaitGroup
	closing sync.Once

	mu     sync.Mutex
	groups map[uint32]*group // by pid
	most   int               // the number of groups when they were most, since the map was made
	// bootTime is when the machine started, by the clocks at the last call of drain.
	bootTime time.Time
	round    uint64       // counts calls of Tasks
	buffer   []byte       // what the iterator wrote
	order    []*group     // the processes in it
	freed    []freedGroup // in the order of their time
	// threadsAtOpen has the threads that were in the list at openedAt, after boot. It is nil some time later.
	threadsAtOpen map[uint32]bool
	openedAt      uint64
	record        ringbuf.Record
	tasks         []procfs.Task
	lost          uint64 // events that the ring buffer had no room for
	err           error  // why events cannot be read any more
	watch         *Watcher
	text          int // bytes of the arguments in groups
	// isEnding reports whether a process is ending and is no zombie yet.
	isEnding func(pid uint32) bool
}

// Open loads the programs into the kernel and attaches them. The error says what is missing.
func Open() (*Kernel, error) { return open(ringBytes) }

// One of these programs reports the end of a process.
const (
	onExit      = "on_exit"
	onEarlyExit = "on_early_exit"
)

// open is Open with a buffer of another size, which is a power of 2 and at least a page.
func open(ringBytes uint32) (*Kernel, error) {
	if isOlder(kernelRelease(), 6, 16) {
		// Some kernels cannot call a program in a function. The peak memory of processes is then unknown.
		if k, err := openWith(onEarlyExit, ringBytes); err == nil {
			return k, nil
		}
	}
	return openWith(onExit, ringBytes)
}

// lockdownFile has the lockdown mode of the kernel in brackets, beside the others.
const lockdownFile = "/sys/kernel/security/lockdown"

// isConfidential reports whether the kernel's data is confidential, also for root.
func isConfidential(file string) bool {
	modes, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(modes), "[confidentiality]")
}

// loadError is an error of the library without its advice to programmers.
type loadError struct{ error }

func (e loadError) Error() string {
	return strings.Replace(e.error.Error(), "(MEMLOCK may be too low, consider rlimit.RemoveMemlock)",
		"(a permission is missing, or the limit of locked memory is too low)", 1)
}

func (e loadError) Unwrap() error { return e.error }

func openWith(exit string, ringBytes uint32) (*Kernel, error) {
	if err := checkNamespace(); err != nil {
		return nil, err
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read the BPF programs: %w", err)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("count the CPUs: %w", err)
	}
	for _, name := range []string{onExit, onEarlyExit} {
		if name != exit {
			delete(spec.Programs, name)
		}
	}
	spec.Maps["events"].MaxEntries = ringBytes
	err = errors.Join(
		spec.Variables["possible_cpus"].Set(uint32(cpus)),
		spec.Variables["wake_bytes"].Set(uint64(ringBytes/4)),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the BPF programs: %w", err)
	}
	_ = rlimit.RemoveMemlock() // before Linux 5.11, the ring buffer counts; if it is too large, loading fails
	collection, err := ebpf.NewCollection(spec)
	switch release := kernelRelease(); {
	case err != nil && isOlder(release, 5, 8): // it may have what is needed, if its distribution has added that
		return nil, fmt.Errorf("this kernel is Linux %s, and the BPF programs need 5.8 or newer: %w", release, err)
	case err != nil && isConfidential(lockdownFile):
		return nil, fmt.Errorf("in the lockdown mode confidentiality, BPF programs cannot read the kernel's data: %w",
			err)
	case err != nil:
		return nil, fmt.Errorf("load the BPF programs: %w", loadError{err})
	}
	k := &Kernel{
		collection: collection,
		pageSize:   int64(os.Getpagesize()),
		stop:       make(chan struct{}),
		wake:       -1,
		groups:     make(map[uint32]*group),
		isEnding:   procfs.IsEnding,
	}
	if err := k.attach(exit); err != nil {
		k.Close()
		return nil, err
	}
	if err := k.start(); err != nil {
		k.Close()
		return nil, err
	}
	k.stopped.Go(k.run)
	debug.FreeOSMemory() // loading takes several megabytes
	return k, nil
}

// kernelRelease returns the version of the kernel, such as "6.1.0-50-amd64".
func kernelRelease() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	return unix.ByteSliceToString(name.Release[:])
}

// isOlder reports whether a kernel is older than a version.
func isOlder(release string, major, minor int) bool {
	var itsMajor, itsMinor int
	n, _ := fmt.Sscanf(release, "%d.%d", &itsMajor, &itsMinor)
	return n == 2 && (itsMajor < major || itsMajor == major && itsMinor < minor)
}

// CanPass reports whether Open can succeed later after it has returned an error. Without the capabilities or the parts
// of the kernel that it needs, it cannot.
func CanPass(err error) bool {
	for _, lack := range []error{unix.ENOMEM, unix.EAGAIN, unix.EBUSY, unix.EINTR, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, lack) {
			return true
		}
	}
	// Before Linux 5.11, that is also the error if the user has no locked memory left, or an agent that has just ended
	// still has it.
	return errors.Is(err, unix.EPERM) && procfs.HasCapabilities(unix.CAP_BPF, unix.CAP_PERFMON)
}

// start makes the first list. From here on, every process that ends is known.
func (k *Kernel) start() error {
	k.openedAt = uint64(procfs.SinceBoot())
	if _, err := k.Tasks(); err != nil {
		return err
	}
	k.threadsAtOpen = make(map[uint32]bool)
	var r processRecord
	for b := k.buffer; len(b) > 0; {
		b, _ = decodeRecord(b, &r)
		k.threadsAtOpen[r.pid] = true
	}
	return k.checkNames()
}

// checkNames returns an error if the programs cannot read the kernel's memory: without that, all names are empty.
func (k *Kernel) checkNames() error {
	for i := range k.tasks {
		if k.tasks[i].Comm != "" {
			return nil
		}
	}
	return errors.New("the BPF programs cannot read the names of processes")
}

// checkNamespace returns an error if the agent sees only a part of the machine's processes, or another time since boot.
// The programs would report all of them, with other pids and other starts than /proc.
func checkNamespace() error {
	for _, namespace := range []struct{ kind, initial string }{ // PROC_…_INIT_INO of linux/proc_ns.h
		{"pid", "pid:[4026531836]"},
		{"time", "time:[4026531834]"},
	} {
		own, err := os.Readlink("/proc/self/ns/" + namespace.kind)
		switch {
		case errors.Is(err, os.ErrNotExist): // this kernel has none
		case err != nil:
			return fmt.Errorf("read the %s namespace: %w", namespace.kind, err)
		case own != namespace.initial:
			return fmt.Errorf("the agent is in a %s namespace of its own", namespace.kind)
		}
	}
	return nil
}

// attach attaches the programs, the events first.
func (k *Kernel) attach(exit string) (err error) {
	if k.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("create an eventfd: %w", err)
	}
	if k.ring, err = ringbuf.NewReader(k.collection.Maps["events"]); err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	k.ring.SetDeadline(time.Unix(0, 1)) // reads never wait
	k.iterator, err = link.AttachIter(link.IterOptions{Program: k.collection.Programs["tasks"]})
	if err != nil {
		return fmt.Errorf("attach the BPF iterator: %w", err)
	}
	if err := k.iterate(); err != nil { // it sets variables that the other programs read
		return err
	}
	for _, name := range []string{"on_free", exit, "on_exec", "on_fork"} {
		attached, err := link.AttachTracing(link.TracingOptions{Program: k.collection.Programs[name]})
		if err != nil {
			return fmt.Errorf("attach the BPF program %s: %w", name, err)
		}
		k.events = append(k.events, attached)
	}
	return nil
}

var errClosed = errors.New("the BPF programs have been removed")

// Close removes the programs from the kernel. It may be called more than once.
func (k *Kernel) Close() { k.closing.Do(k.close) }

func (k *Kernel) close() {
	close(k.stop)
	if k.wake >= 0 {
		_, _ = unix.Write(k.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	k.stopped.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = errClosed
	}
	for _, attached := range k.events {
		_ = attached.Close()
	}
	if k.iterator != nil {
		_ = k.iterator.Close()
	}
	if k.ring != nil {
		_ = k.ring.Close()
	}
	if k.wake >= 0 {
		_ = unix.Close(k.wake)
	}
	k.collection.Close()
}

// run reads events until the Kernel is closed.
func (k *Kernel) run() {
	waited := []unix.PollFd{
		{Fd: int32(k.collection.Maps["events"].FD()), Events: unix.POLLIN},
		{Fd: int32(k.wake), Events: unix.POLLIN},
	}
	for {
		_, _ = unix.Poll(waited, -1)
		select {
		case <-k.stop:
			return
		default:
		}
		k.mu.Lock()
		k.drain()
		failed := k.err != nil
		k.mu.Unlock()
		if failed { // nobody would read the events, and the wait would end at once
			return
		}
	}
}
