package writer

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
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
