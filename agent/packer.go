package agent

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/snapshot"
)

// packer compresses what goes to the disk and over the wire. It is safe for concurrent
// use, and an agent has one: an encoder's tables are much of what it takes.
type packer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// packWindow is how far back repetitions are found, in bytes: a full snapshot of some
// hundred processes.
const packWindow = 256 << 10

func newPacker() (*packer, error) {
	encoder, err := zstd.NewWriter(
		nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true),
	)
	if err != nil {
		return nil, fmt.Errorf("make a zstd encoder: %w", err)
	}
	decoder, err := zstd.NewReader(
		nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(snapshot.MaxDecompressedBytes),
	)
	if err != nil {
		return nil, fmt.Errorf("make a zstd decoder: %w", err)
	}
	return &packer{encoder, decoder}, nil
}

func (p *packer) pack(text []byte) []byte { return p.encoder.EncodeAll(text, nil) }

func (p *packer) unpack(packed []byte) ([]byte, error) {
	text, err := p.decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return text, nil
}
