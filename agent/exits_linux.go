package agent

import (
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/snapshot"
)

// drainEvery is how often exit records are fetched: the kernel keeps some three thousand
// (each takes 2.3 KB of receiveBuffer).
const drainEvery = time.Second

// maxGroups bounds the processes of which ended threads are remembered.
const maxGroups = 10_000

// exitWatcher collects what the kernel tells of threads that end, which is how atop sees
// processes between two of its samples.
type exitWatcher struct {
	fd      int
	family  uint16
	since   time.Time
	stop    chan struct{}
	stopped sync.WaitGroup
	execs   *execWatcher // nil where there is none

	mu      sync.Mutex
	groups  map[uint32]*threadSum // by process: its threads that have ended
	endings []ending
	text    int // bytes of their command lines
	missed  int64
	lossy   bool // the kernel could not tell of some
	users   userNames
	buffer  []byte
}

// threadSum is what threads of a process used that have ended.
type threadSum struct {
	cpu                   time.Duration
	readBytes, writeBytes int64
	peakMemory            int64
	threads               int
}

// watchExits begins to watch. It fails where the agent may not, or the kernel cannot.
func watchExits(scrub *scrubber) (exitSource, error) {
	fd, family, err := openTaskstats()
	if err != nil {
		return nil, err
	}
	w := &exitWatcher{
		fd:     fd,
		family: family,
		since:  time.Now(),
		stop:   make(chan struct{}),
		groups: make(map[uint32]*threadSum),
		users:  make(userNames),
		buffer: make([]byte, 64<<10),
	}
	if w.execs, err = watchExecs(scrub); err != nil { // names have to do
		w.execs = nil
	}
	w.stopped.Go(w.run)
	return w, nil
}

func (w *exitWatcher) run() {
	ticker := time.NewTicker(drainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case now := <-ticker.C:
			w.mu.Lock()
			w.drain(now)
			w.mu.Unlock()
		}
	}
}

func (w *exitWatcher) close() {
	close(w.stop)
	w.stopped.Wait()
	_ = unix.Close(w.fd)
	if w.execs != nil {
		w.execs.close()
	}
}

func (w *exitWatcher) take(now time.Time) (endings []ending, missed int64, complete bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain(now)
	endings, missed, complete = w.endings, w.missed, !w.lossy
	w.endings, w.text, w.missed, w.lossy = nil, 0, 0, false
	return endings, missed, complete
}

// drain fetches what the kernel has.
func (w *exitWatcher) drain(now time.Time) {
	for {
		n, _, err := unix.Recvfrom(w.fd, w.buffer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS): // it has dropped some, and goes on
			w.lossy = true
			continue
		case err != nil || n == 0:
			return
		}
		if err := parseExits(w.buffer[:n], w.family, func(r exitRecord) { w.ended(r, now) }); err != nil {
			w.lossy = true
		}
	}
}

// ended adds a thread to its process and, with the last, ends that.
func (w *exitWatcher) ended(r exitRecord, now time.Time) {
	sum := w.groups[r.group]
	if sum == nil {
		sum = &threadSum{}
		if !r.whole {
			if len(w.groups) >= maxGroups {
				w.lossy = true
				return
			}
			w.groups[r.group] = sum
		}
	}
	sum.cpu += r.cpu
	sum.readBytes += r.readBytes
	sum.writeBytes += r.writeBytes
	sum.peakMemory = max(sum.peakMemory, r.peakMemory)
	sum.threads++
	if !r.whole {
		return
	}
	delete(w.groups, r.group)
	if len(w.endings) >= maxEndings || w.text >= maxEndingText {
		w.missed++
		return
	}
	started := now.Add(-r.elapsed)
	id := snapshot.Identity{Name: clean(r.comm, snapshot.MaxTextBytes), User: w.users.name(r.uid)}
	if w.execs != nil {
		if known, ok := w.execs.take(r.group); ok && strings.HasPrefix(known.Name, id.Name) {
			id = known
		}
	}
	id.PPID = int32(r.parent)
	w.text += len(id.CommandLine)
	w.endings = append(w.endings, ending{pid: int32(r.group), identity: id, started: snapshot.TimeOf(started),
		cpuMS: sum.cpu.Milliseconds(), peakMemory: sum.peakMemory, readBytes: sum.readBytes, writeBytes: sum.writeBytes,
		whole: sum.threads == 1 || started.After(w.since)})
}
