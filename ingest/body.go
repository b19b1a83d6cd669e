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

const (
	codeEncoding   = "unsupported_encoding"
	codeTooLarge   = "body_too_large"
	codeClientGone = "client_gone"
	firstBuffer    = 64 << 10
)

// bodyReader reads and decompresses bodies within a budget of bytes that all
// requests share.
type bodyReader struct {
	budget  int64
	held    atomic.Int64
	metrics *metrics
	gzips   sync.Pool // of *gzip.Reader
	zstds   sync.Pool // of *zstd.Decoder
}

func newBodyReader(budget int64, m *metrics) *bodyReader {
	return &bodyReader{budget: budget, metrics: m}
}

// body is a decompressed body; release gives its bytes back to the budget.
type body struct {
	bytes  []byte
	charge int64
	reader *bodyReader
}

func (b *body) release() {
	b.reader.metrics.bodyBytesHeld.Set(float64(b.reader.held.Add(-b.charge)))
	b.charge = 0
}

// shrink gives bytes back that are held no more.
func (b *body) shrink(n int64) {
	b.reader.held.Add(-n)
	b.charge -= n
}

// grow charges n more bytes, or refuses.
func (b *body) grow(n int64) error {
	if held := b.reader.held.Add(n); held > b.reader.budget {
		b.reader.held.Add(-n)
		return problem.New(
			http.StatusServiceUnavailable, "busy",
			"The server is reading as much as it can hold; send the post again later.",
		)
	}
	b.charge += n
	return nil
}

func (r *bodyReader) read(w http.ResponseWriter, request *http.Request) (*body, error) {
	media, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, problem.New(
			http.StatusUnsupportedMediaType, "unsupported_media_type", "The Content-Type must be application/json.",
		)
	}
	if request.ContentLength > snapshot.MaxBodyBytes {
		return nil, tooLarge("the body as sent", snapshot.MaxBodyBytes)
	}
	plain := http.MaxBytesReader(w, request.Body, snapshot.MaxBodyBytes)
	switch encoding := request.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return r.fill(plain)
	case "gzip":
		return r.gzip(plain)
	case "zstd":
		return r.zstd(plain)
	default:
		return nil, problem.New(
			http.StatusUnsupportedMediaType, codeEncoding, "The Content-Encoding must be gzip, zstd or none.",
		)
	}
}

func (r *bodyReader) gzip(plain io.Reader) (*body, error) {
	reader, _ := r.gzips.Get().(*gzip.Reader)
	if reader == nil {
		reader = new(gzip.Reader)
	}
	defer r.gzips.Put(reader)
	if err := reader.Reset(plain); err != nil {
		return nil, readFault(err)
	}
	return r.fill(reader)
}

func (r *bodyReader) zstd(plain io.Reader) (*body, error) {
	reader, _ := r.zstds.Get().(*zstd.Decoder)
	if reader == nil {
		var err error
		reader, err = zstd.NewReader(
			nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20),
			zstd.WithDecoderMaxMemory(snapshot.MaxDecompressedBytes+1),
		)
		if err != nil {
			return nil, fmt.Errorf("make a zstd decoder: %w", err)
		}
	}
	defer r.zstds.Put(reader)
	if err := reader.Reset(plain); err != nil {
		return nil, readFault(err)
	}
	return r.fill(reader)
}

// fill reads all of reader into memory, charging the budget before it grows.
func (r *bodyReader) fill(reader io.Reader) (*body, error) {
	b := &body{reader: r}
	if err := b.grow(firstBuffer); err != nil {
		return nil, err
	}
	buffer := make([]byte, 0, firstBuffer)
	for {
		if len(buffer) == cap(buffer) {
			// One byte more than may be, to see whether it is there. The two buffers are
			// both held while one is copied to the other.
			size := min(2*cap(buffer), snapshot.MaxDecompressedBytes+1)
			if err := b.grow(int64(size)); err != nil {
				b.release()
				return nil, err
			}
			larger := append(make([]byte, 0, size), buffer...)
			b.shrink(int64(cap(buffer)))
			buffer = larger
		}
		n, err := reader.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if len(buffer) > snapshot.MaxDecompressedBytes {
			b.release()
			return nil, tooLarge("the body after decompression", snapshot.MaxDecompressedBytes)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.release()
			return nil, readFault(err)
		}
	}
	b.bytes = buffer
	r.metrics.bodyBytes.Add(float64(len(buffer)))
	r.metrics.bodyBytesHeld.Set(float64(r.held.Load()))
	return b, nil
}

func readFault(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge("the body as sent", snapshot.MaxBodyBytes)
	}
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return tooLarge("the body after decompression", snapshot.MaxDecompressedBytes)
	}
	return problem.New(
		http.StatusBadRequest, "unreadable_body", "The body ends early or is not what its Content-Encoding says.",
	)
}

func tooLarge(what string, limit int64) *problem.Problem {
	p := problem.New(
		http.StatusRequestEntityTooLarge, codeTooLarge,
		fmt.Sprintf("%s is larger than %d bytes; split the batch", what, limit),
	)
	p.Limit = limit
	return p
}
