package writer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// rowSource produces rows for COPY in PostgreSQL's binary format, one at a time,
// so that they are encoded while the database takes those before.
type rowSource interface {
	// next appends a row to buffer; more is false when there was none left.
	next(buffer []byte) (result []byte, more bool)
}

// copyRows streams a source into a table. Encoding by hand spares what pgx's own
// CopyFrom spends on boxing every value (a third of the writer's time) and its
// question for the columns' types.
func copyRows(ctx context.Context, tx pgx.Tx, table, columns string, source rowSource) error {
	_, err := tx.Conn().
		PgConn().
		CopyFrom(ctx, &copyReader{source: source, buffer: append(make([]byte, 0, 64<<10), copyHeader...)},
			"COPY "+table+" ("+columns+") FROM STDIN (FORMAT binary)")
	if err != nil {
		return fmt.Errorf("copy %s: %w", table, err)
	}
	return nil
}

// copyHeader is the signature, no flags, no extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// copyReader is a rowSource as a stream of bytes.
type copyReader struct {
	source  rowSource
	buffer  []byte // encoded, and from at on not read yet
	at      int
	drained bool
}

// Read implements io.Reader.
func (r *copyReader) Read(p []byte) (int, error) {
	for len(r.buffer)-r.at < len(p) && !r.drained {
		if r.at > 0 {
			r.buffer = append(r.buffer[:0], r.buffer[r.at:]...)
			r.at = 0
		}
		var more bool
		if r.buffer, more = r.source.next(r.buffer); !more {
			r.buffer = append(r.buffer, 0xff, 0xff) // the trailer: a row of -1 columns
			r.drained = true
		}
	}
	if r.at == len(r.buffer) {
		return 0, io.EOF
	}
	n := copy(p, r.buffer[r.at:])
	r.at += n
	return n, nil
}

func putRow(b []byte, columns int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(columns)) }

func putNull(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff) }

func putInt8(b []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v))
}

func putInt4(b []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(v))
}

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0, 0, 0, 1, 1)
	}
	return append(b, 0, 0, 0, 1, 0)
}

func putText(b []byte, v string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

// postgresEpoch is 2000-01-01, from which PostgreSQL counts microseconds, in
// milliseconds since 1970.
const postgresEpoch = 946_684_800_000

func putTime(b []byte, t snapshot.Time) []byte { return putInt8(b, (int64(t)-postgresEpoch)*1000) }

func putInt8Or(b []byte, v *int64) []byte {
	if v == nil {
		return putNull(b)
	}
	return putInt8(b, *v)
}

func putInt4Or(b []byte, v *int32) []byte {
	if v == nil {
		return putNull(b)
	}
	return putInt4(b, *v)
}
