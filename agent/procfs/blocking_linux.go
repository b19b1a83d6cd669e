package procfs

import (
	"errors"
	"syscall"
	"time"
)

const (
	// lineWait is how long a sample waits for the first command line that cannot be read. It takes microseconds if
	// the kernel does not block it.
	lineWait = 500 * time.Millisecond
	// nextLineWait is the same for each further one in the same sample.
	nextLineWait = 20 * time.Millisecond
	// maxBlockedReads bounds the reads that block, because each keeps a thread.
	maxBlockedReads = 64
)

// errBlocked means that the kernel blocks the read of a file.
var errBlocked = errors.New("the kernel blocks this read")

// blockingFiles reads files of processes that can block in the kernel. A read of cmdline waits for the lock of the
// process's memory, which a process holds while it waits for a file system whose server does not answer.
//
// A goroutine of its own does the reads. One that blocks is replaced. It ends when the kernel returns. The zero value
// is not ready to use, and blockingFiles are for one goroutine at a time.
type blockingFiles struct {
	wait    time.Duration // for the next read
	timer   *time.Timer
	current *fileReader // nil for none
	blocked []*fileReader
}

// fileReader is a goroutine that reads files.
type fileReader struct {
	paths    chan string
	results  chan fileResult // it has room for one
	buffer   []byte
	returned bool // the read that blocked has returned
}

type fileResult struct {
	text []byte
	err  error
}

func newBlockingFiles() *blockingFiles {
	timer := time.NewTimer(lineWait)
	timer.Stop()
	return &blockingFiles{wait: lineWait, timer: timer}
}

// begin finds out which reads have returned. Call it before each sample.
func (b *blockingFiles) begin() {
	b.wait = lineWait
	still := b.blocked[:0]
	for _, r := range b.blocked {
		select {
		case <-r.results:
			r.returned = true
		default:
			still = append(still, r)
		}
	}
	clear(b.blocked[len(still):])
	b.blocked = still
}

// full reports whether so many reads block that no other is started.
func (b *blockingFiles) full() bool { return len(b.blocked) >= maxBlockedReads }

// read reads a file, up to bufferSize. The text is valid until the next read. If the read blocks, the error is
// errBlocked, and late is the goroutine that is still reading; it is nil if there are too many of these already.
func (b *blockingFiles) read(path string) (text []byte, late *fileReader, err error) {
	if b.full() {
		return nil, nil, errBlocked
	}
	r := b.current
	if r == nil {
		r = &fileReader{paths: make(chan string), results: make(chan fileResult, 1), buffer: make([]byte, bufferSize)}
		b.current = r
		go r.run()
	}
	r.paths <- path
	b.timer.Reset(b.wait)
	select {
	case result := <-r.results:
		b.timer.Stop()
		return result.text, nil, result.err
	case <-b.timer.C:
	}
	b.close()
	b.wait = nextLineWait
	b.blocked = append(b.blocked, r)
	return nil, r, errBlocked
}

// close ends the goroutine when it has nothing more to read.
func (b *blockingFiles) close() {
	if b.current != nil {
		close(b.current.paths)
		b.current = nil
	}
}

func (r *fileReader) run() {
	for path := range r.paths {
		text, err := readPath(path, r.buffer)
		r.results <- fileResult{text, err}
	}
}

// isBlocked reports whether a read is not known to have returned. It is false for nil.
func (r *fileReader) isBlocked() bool { return r != nil && !r.returned }

// readPath reads a file, up to the size of the buffer.
func readPath(path string, buffer []byte) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }()
	return readInto(fd, buffer)
}
