package schema

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Values in the binary format of COPY: the length in bytes, then the value.

// appendField appends the value that a pointer to a field points to.
func appendField(b []byte, field any) []byte {
	switch v := field.(type) {
	case *time.Time:
		return appendTime(b, snapshot.TimeOf(*v))
	case *int32:
		return appendInt4(b, *v)
	case **int64:
		return appendNullInt8(b, *v)
	case *string:
		return appendText(b, *v)
	case *optionalText:
		return appendText(b, string(*v))
	case *optionalBool:
		return appendBool(b, bool(*v))
	case **bool:
		if *v == nil {
			return appendNull(b)
		}
		return appendBool(b, **v)
	}
	panic(fmt.Sprintf("schema: no encoding of %T", field))
}

func appendRowHeader(b []byte, columns int) []byte {
	return binary.BigEndian.AppendUint16(b, uint16(columns))
}

func appendNull(b []byte) []byte { return append(b, 0xff, 0xff, 0xff, 0xff) }

func appendInt8(b []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v))
}

func appendInt4(b []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(v))
}

func appendInt2(b []byte, v int16) []byte {
	return binary.BigEndian.AppendUint16(append(b, 0, 0, 0, 2), uint16(v))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0, 0, 0, 1, 1)
	}
	return append(b, 0, 0, 0, 1, 0)
}

func appendText(b []byte, v string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

// postgresEpoch is 2000-01-01, from which PostgreSQL counts microseconds, in milliseconds since 1970.
const postgresEpoch = 946_684_800_000

func appendTime(b []byte, t snapshot.Time) []byte {
	return appendInt8(b, (int64(t)-postgresEpoch)*1000)
}

func appendNullInt8(b []byte, v *int64) []byte {
	if v == nil {
		return appendNull(b)
	}
	return appendInt8(b, *v)
}

func appendNullInt4(b []byte, v *int32) []byte {
	if v == nil {
		return appendNull(b)
	}
	return appendInt4(b, *v)
}
