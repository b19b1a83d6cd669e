package snapshot

import (
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// CPUTime is an amount of CPU time in microseconds. In JSON it is a number of milliseconds with at most three decimals.
type CPUTime int64

// CPUTimeOf returns d truncated to the microsecond.
func CPUTimeOf(d time.Duration) CPUTime { return CPUTime(d.Microseconds()) }

// Duration returns t as a time.Duration. An amount of more than 292 years is the longest Duration.
func (t CPUTime) Duration() time.Duration {
	const limit = math.MaxInt64 / int64(time.Microsecond)
	return time.Duration(min(max(int64(t), -limit), limit)) * time.Microsecond
}

// Milliseconds returns t in milliseconds, with decimals. The shortest decimal form of the result is exact up to
// MaxCPUTime.
func (t CPUTime) Milliseconds() float64 { return float64(t) / 1000 }

// AppendMilliseconds appends t in milliseconds to b, with the decimals that it needs: 7, 2.5 or 0.534.
func (t CPUTime) AppendMilliseconds(b []byte) []byte {
	micros := uint64(t)
	if t < 0 {
		b, micros = append(b, '-'), -micros
	}
	b = strconv.AppendUint(b, micros/1000, 10)
	rest := micros % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// MarshalJSONTo implements json.MarshalerTo. It has a pointer receiver so that the encoder does not copy the value to
// the heap.
func (t *CPUTime) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(t.AppendMilliseconds(enc.AvailableBuffer()))
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom. It accepts any JSON number and rounds it to the microsecond. A
// number outside of the range of int64 becomes the nearest value in it, which Validate refuses.
func (t *CPUTime) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '0':
		*t = parseMilliseconds(value)
	case 'n':
		*t = 0
	default:
		return &json.SemanticError{JSONKind: value.Kind(), GoType: reflect.TypeFor[CPUTime]()}
	}
	return nil
}

// parseMilliseconds returns a JSON number of milliseconds as a CPUTime, rounded half away from zero.
func parseMilliseconds(number []byte) CPUTime {
	const maxWhole, decimals = 15, 3 // digits that an int64 has room for
	digits := number
	if digits[0] == '-' {
		digits = digits[1:]
	}
	micros, point := int64(0), len(digits)
	for i, c := range digits {
		switch {
		case c == '.':
			point = i
		case c < '0' || c > '9' || i == maxWhole && point > i:
			return parseFloatMilliseconds(number)
		case i <= point+decimals:
			micros = micros*10 + int64(c-'0')
		case i == point+decimals+1 && c >= '5':
			micros++
		}
	}
	for read := max(len(digits)-1-point, 0); read < decimals; read++ {
		micros *= 10
	}
	if number[0] == '-' {
		micros = -micros
	}
	return CPUTime(micros)
}

// parseFloatMilliseconds returns a JSON number of milliseconds that has an exponent or is very large.
func parseFloatMilliseconds(number []byte) CPUTime {
	ms, _ := strconv.ParseFloat(string(number), 64) // infinite if it is too large
	micros := math.Round(ms * 1000)
	switch {
	case micros >= math.MaxInt64:
		return math.MaxInt64
	case micros <= math.MinInt64:
		return math.MinInt64
	}
	return CPUTime(micros)
}
