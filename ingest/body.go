package ingest

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Codes of problems that are used more than once.
const (
	codeEncoding   = "unsupported_encoding"
	codeTooLarge   = "body_too_large"
	codeClientGone = "client_gone"
)

const (
	// initialBuffer is the size of a body's first buffer, in bytes.
	initialBuffer = 64 << 10
	// maxZstdWindow is the largest window of a zstd stream that is decoded, in bytes.
	maxZstdWindow = 8 << 20
)

// bodyReader reads and decompresses request bodies. All bodies in memory together are at most budget bytes.
type bodyReader struct {
	budget  int64
	held    atomic.Int64 // bytes reserved by bodies
	metrics *metrics
	gzips   sync.Pool // of *gzip.Reader
	zstds   sync.Pool // of *zstd.Decoder
}

func newBodyReader(budget int64, m *metrics) *bodyReader {
	return &bodyReader{budget: budget, metrics: m}
}

// body is a decompressed request body. Call release when it is no longer needed.
type body struct {
	bytes    []byte
	reserved int64 // bytes of the reader's budget
	reader   *bodyReader
}

// reserve takes n bytes from the budget. It returns a problem if the budget is exhausted.
func (b *body) reserve(n int64) error {
	if held := b.reader.held.Add(n); held > b.reader.budget {
		b.reader.held.Add(-n)
		return problem.New(
			http.StatusServiceUnavailable, "busy",
			"The server has no memory left for request bodies. Send the post again later.",
		)
	}
	b.reserved += n
	return nil
}

// free returns n bytes to the budget.
func (b *body) free(n int64) {
	b.reader.held.Add(-n)
	b.reserved -= n
}

// release returns all reserved bytes to the budget.
func (b *body) release() {
	b.reader.metrics.bodyBytesHeld.Set(float64(b.reader.held.Add(-b.reserved)))
	b.reserved = 0
}

// read checks the headers of a request and reads its body. Errors are problems of the request.
func (r *bodyReader) read(w http.ResponseWriter, request *http.Request) (*body, error) {
	media, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, problem.New(
			http.StatusUnsupportedMediaType, "unsupported_media_type", "The Content-Type must be application/json.",
		)
	}
	if request.ContentLength > snapshot.MaxBodyBytes {
		return nil, bodyTooLarge()
	}
	limited := http.MaxBytesReader(w, request.Body, snapshot.MaxBodyBytes)
	switch encoding := request.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return r.readAll(limited)
	case "gzip":
		return r.readGzip(limited)
	case "zstd":
		return r.readZstd(limited)
	default:
		return nil, problem.New(
			http.StatusUnsupportedMediaType, codeEncoding, "The Content-Encoding must be gzip, zstd or absent.",
		)
	}
}

func (r *bodyReader) readGzip(compressed io.Reader) (*body, error) {
	reader, _ := r.gzips.Get().(*gzip.Reader)
	if reader == nil {
		reader = new(gzip.Reader)
	}
	defer r.gzips.Put(reader)
	if err := reader.Reset(compressed); err != nil {
		return nil, readProblem(err)
	}
	return r.readAll(reader)
}

func (r *bodyReader) readZstd(compressed io.Reader) (*body, error) {
	reader, _ := r.zstds.Get().(*zstd.Decoder)
	if reader == nil {
		var err error
		reader, err = zstd.NewReader(
			nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow),
			zstd.WithDecoderMaxMemory(snapshot.MaxDecompressedBytes+1),
		)
		if err != nil {
			return nil, fmt.Errorf("create a zstd decoder: %w", err)
		}
	}
	defer r.zstds.Put(reader)
	if err := reader.Reset(compressed); err != nil {
		return nil, readProblem(err)
	}
	return r.readAll(reader)
}

// readAll reads all of a decompressed body into memory. It reserves memory before it allocates it.
func (r *bodyReader) readAll(reader io.Reader) (*body, error) {
	b := &body{reader: r}
	if err := b.reserve(initialBuffer); err != nil {
		return nil, err
	}
	buffer := make([]byte, 0, initialBuffer)
	for {
		if len(buffer) == cap(buffer) {
			// The buffer may have one byte more than the limit, so that a larger body is detected.
			// While the data is copied, both buffers are reserved.
			size := min(2*cap(buffer), snapshot.MaxDecompressedBytes+1)
			if err := b.reserve(int64(size)); err != nil {
				b.release()
				return nil, err
			}
			larger := append(make([]byte, 0, size), buffer...)
			b.free(int64(cap(buffer)))
			buffer = larger
		}
		n, err := reader.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if len(buffer) > snapshot.MaxDecompressedBytes {
			b.release()
			return nil, decompressedTooLarge()
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.release()
			return nil, readProblem(err)
		}
	}
	b.bytes = buffer
	r.metrics.bodyBytes.Add(float64(len(buffer)))
	r.metrics.bodyBytesHeld.Set(float64(r.held.Load()))
	return b, nil
}

// readProblem converts an error of reading or decompressing a body to a problem.
func readProblem(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bodyTooLarge()
	}
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return decompressedTooLarge()
	}
	return problem.New(
		http.StatusBadRequest, "unreadable_body",
		"The body is incomplete or does not match its Content-Encoding.",
	)
}

func bodyTooLarge() *problem.Problem { return tooLarge("The body", snapshot.MaxBodyBytes) }

func decompressedTooLarge() *problem.Problem {
	return tooLarge("The decompressed body", snapshot.MaxDecompressedBytes)
}

func tooLarge(what string, limit int64) *problem.Problem {
	p := problem.New(
		http.StatusRequestEntityTooLarge, codeTooLarge,
		fmt.Sprintf("%s is larger than %d bytes. Split the batch.", what, limit),
	)
	p.Limit = limit
	return p
}
