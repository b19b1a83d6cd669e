package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Record is one entry.
type Record struct {
	// Number is its place in the queue; Append gives it.
	Number uint64
	// Time and Kind are the caller's.
	Time    int64
	Kind    byte
	Payload []byte
}

const (
	headerBytes = 32
	checkAt     = headerBytes - 4
	// MaxPayload bounds a payload, in bytes: a length beyond it is damage.
	MaxPayload = 64 << 20
)

var (
	magic      = []byte("SWQ1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errDamaged = errors.New("damaged record")
)

func (r *Record) size() int64 { return headerBytes + int64(len(r.Payload)) }

// appendTo writes the record behind b.
func (r *Record) appendTo(b []byte) []byte {
	begin := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Payload)))
	b = binary.LittleEndian.AppendUint64(b, r.Number)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time))
	b = append(b, r.Kind, 0, 0, 0)
	check := crc32.Update(crc32.Checksum(b[begin:], castagnoli), castagnoli, r.Payload)
	b = binary.LittleEndian.AppendUint32(b, check)
	return append(b, r.Payload...)
}

// parse reads the record that b begins with. Its payload is part of b.
func parse(b []byte) (Record, error) {
	if len(b) < headerBytes || !bytes.HasPrefix(b, magic) {
		return Record{}, errDamaged
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > MaxPayload || headerBytes+int(length) > len(b) {
		return Record{}, errDamaged
	}
	payload := b[headerBytes : headerBytes+int(length)]
	if crc32.Update(
		crc32.Checksum(b[:checkAt], castagnoli), castagnoli, payload,
	) != binary.LittleEndian.Uint32(
		b[checkAt:],
	) {
		return Record{}, errDamaged
	}
	return Record{
		Number:  binary.LittleEndian.Uint64(b[8:]),
		Time:    int64(binary.LittleEndian.Uint64(b[16:])),
		Kind:    b[24],
		Payload: payload,
	}, nil
}

// parseAll reads the records of a segment and counts the places where it had to look
// for the next one.
func parseAll(b []byte) (records []Record, damages int) {
	for len(b) > 0 {
		record, err := parse(b)
		if err == nil {
			records = append(records, record)
			b = b[record.size():]
			continue
		}
		damages++
		next := bytes.Index(b[1:], magic)
		if next < 0 {
			break
		}
		for b = b[1+next:]; ; b = b[1+next:] { // a magic in a payload is no record
			if _, err := parse(b); err == nil {
				break
			}
			if next = bytes.Index(b[1:], magic); next < 0 {
				return records, damages
			}
		}
	}
	return records, damages
}
