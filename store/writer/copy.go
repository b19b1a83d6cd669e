package writer

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
)

// rowSource produces rows in the binary format of COPY, one at a time. So rows are encoded while the
// database processes the previous ones.
type rowSource interface {
	// next appends the next row to buffer. more is false if there is none.
	next(buffer []byte) (result []byte, more bool)
}

// copyRows copies the rows of a source into a table. pgx.CopyFrom would take a third of the writer's
// time, because it converts every value to an interface, and would query the types of the columns.
func copyRows(ctx context.Context, tx pgx.Tx, table, columns string, source rowSource) error {
	reader := &copyReader{source: source, buffer: append(make([]byte, 0, 64<<10), copyHeader...)}
	statement := "COPY " + table + " (" + columns + ") FROM STDIN (FORMAT binary)"
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, reader, statement); err != nil {
		return fmt.Errorf("copy %s: %w", table, err)
	}
	return nil
}

// copyHeader is the signature, without flags and extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// copyReader reads a rowSource as a stream of bytes.
type copyReader struct {
	source  rowSource
	buffer  []byte // encoded rows
	at      int    // start of the part of buffer that is not read yet
	drained bool   // whether the source has no more rows
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
			r.buffer = append(r.buffer, 0xff, 0xff) // the trailer: a row with -1 columns
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
