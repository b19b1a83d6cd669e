package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Record is one entry of a spool.
type Record struct {
	// Number is its sequence number.
	Number uint64
	// Time and Kind are set by the caller; the spool does not use them.
	Time    int64
	Kind    byte
	Payload []byte
}

const (
	headerBytes = 32
	// checksumOffset is the place of the checksum in the header.
	checksumOffset = headerBytes - 4
	// MaxPayload bounds a payload, in bytes. A longer one in a file is damage.
	MaxPayload = 64 << 20
)

var (
	magic      = []byte("SWQ1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errDamaged = errors.New("damaged record")
)

func (r *Record) size() int64 { return headerBytes + int64(len(r.Payload)) }

// appendTo appends the encoded record to b.
func (r *Record) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload)))
	b = binary.LittleEndian.AppendUint64(b, r.Number)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time))
	b = append(b, r.Kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, checksum(b[start:], r.Payload))
	return append(b, r.Payload...)
}

// checksum returns the checksum of a record, given its header up to the checksum.
func checksum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, payload)
}

// parse parses the record at the start of b. The payload is a part of b.
func parse(b []byte) (Record, error) {
	if len(b) < headerBytes || !bytes.HasPrefix(b, magic) {
		return Record{}, errDamaged
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > MaxPayload || headerBytes+int(length) > len(b) {
		return Record{}, errDamaged
	}
	payload := b[headerBytes : headerBytes+int(length)]
	if checksum(b[:checksumOffset], payload) != binary.LittleEndian.Uint32(b[checksumOffset:]) {
		return Record{}, errDamaged
	}
	return Record{
		Number:  binary.LittleEndian.Uint64(b[8:]),
		Time:    int64(binary.LittleEndian.Uint64(b[16:])),
		Kind:    b[24],
		Payload: payload,
	}, nil
}

// parseAll parses the records of a segment. It skips damage, and returns the number of places where it did so.
func parseAll(b []byte) (records []Record, corruptRegions int) {
	for len(b) > 0 {
		record, err := parse(b)
		if err == nil {
			records = append(records, record)
			b = b[record.size():]
			continue
		}
		corruptRegions++
		next := bytes.Index(b[1:], magic)
		if next < 0 {
			break
		}
		for b = b[1+next:]; ; b = b[1+next:] { // the magic may occur in a payload
			if _, err := parse(b); err == nil {
				break
			}
			if next = bytes.Index(b[1:], magic); next < 0 {
				return records, corruptRegions
			}
		}
	}
	return records, corruptRegions
}
