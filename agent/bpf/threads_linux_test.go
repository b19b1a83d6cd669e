package bpf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// threadsFolder is set in the environment of the process that TestIOWithoutEventsOfThreads starts.
const threadsFolder = "SNAPWATCH_TEST_THREADS"

// The I/O of a process has that of its threads, also if the events of these come too late or are lost.
func TestIOWithoutEventsOfThreads(t *testing.T) {
	k, err := open(ringBytes)
	if err != nil {
		t.Skipf("BPF cannot be used here: %v", err)
	}
	defer k.Close()
	w := k.WatchExits(nil, procfs.NewUsers())
	k.mu.Lock() // only the test reads events
	defer k.mu.Unlock()
	child := exec.Command("/proc/self/exe", "-test.run=^TestThreadsHelper$")
	child.Env = append(os.Environ(), threadsFolder+"="+t.TempDir())
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	blocks := child.ProcessState.SysUsage().(*syscall.Rusage).Oublock // by all threads
	written := int64(blocks) * 512                                    //nolint:unconvert // has 32 bits on ARM
	if written == 0 {
		t.Skip("the kernel does not count what is written to this file system")
	}
	dropped := 0
	for end := time.Now().Add(30 * time.Second); len(w.pending) == 0; {
		err := k.ring.ReadInto(&k.record)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(end):
			time.Sleep(time.Millisecond)
			continue
		case err != nil:
			t.Fatal(err)
		}
		e, err := decodeEvent(k.record.RawSample)
		switch {
		case err != nil:
			t.Fatal(err)
		case e.tgid != uint32(child.Process.Pid):
		case e.kind == eventFree && e.pid != e.tgid:
			dropped++
		default:
			k.add(e)
			k.endFreed(0)
		}
	}
	if p := w.pending[0]; dropped == 0 || p.WriteBytes != written {
		t.Errorf("without %d events, the process wrote %d bytes, want %d", dropped, p.WriteBytes, written)
	}
}

// TestThreadsHelper writes files in threads that end.
func TestThreadsHelper(t *testing.T) {
	folder := os.Getenv(threadsFolder)
	if folder == "" {
		t.Skip("TestIOWithoutEventsOfThreads starts it")
	}
	var threads sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		threads.Go(func() {
			runtime.LockOSThread() // and never unlocked, so that the thread ends
			if err := os.WriteFile(filepath.Join(folder, name), make([]byte, 100_000), 0o600); err != nil {
				t.Error(err)
			}
		})
	}
	threads.Wait()
}
