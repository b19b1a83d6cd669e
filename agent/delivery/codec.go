package delivery

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Codec compresses the snapshots on disk and the posts. It is safe for concurrent use. An agent has one, because the
// tables of an encoder are a large part of its memory.
type Codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// compressionWindow is the distance within which repetitions are found, in bytes: the size of a full snapshot of some
// hundred processes.
const compressionWindow = 256 << 10

// NewCodec returns a codec for zstd.
func NewCodec() (*Codec, error) {
	encoder, err := zstd.NewWriter(
		nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(compressionWindow), zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		return nil, fmt.Errorf("create a zstd encoder: %w", err)
	}
	decoder, err := zstd.NewReader(
		nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(snapshot.MaxDecompressedBytes),
	)
	if err != nil {
		return nil, fmt.Errorf("create a zstd decoder: %w", err)
	}
	return &Codec{encoder, decoder}, nil
}

// Compress returns text compressed.
func (c *Codec) Compress(text []byte) []byte { return c.encoder.EncodeAll(text, nil) }

// Decompress reverses Compress.
func (c *Codec) Decompress(compressed []byte) ([]byte, error) {
	text, err := c.decoder.DecodeAll(compressed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return text, nil
}
