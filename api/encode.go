package api

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
)

// writeJSON encodes a value. In addition to the control characters below U+0020, which JSON escapes, it escapes those
// from U+007F on: process names may contain them, and terminals that display a response would execute them.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(escapeControls(text))
	return err
}

// streamJSON encodes a value as writeJSON does, but writes it in small pieces, so that a large one is not in memory as
// a whole. After an error, a part may have been written.
func streamJSON(w io.Writer, v any) error {
	return json.MarshalWrite(&controlEscaper{w: w}, v)
}

// controlEscaper is a writer of JSON that applies escapeControls.
type controlEscaper struct {
	w     io.Writer
	split bool // the last write ended within a character, after 0xc2
}

// Write implements io.Writer. JSON does not end with 0xc2, so no flush is needed.
func (e *controlEscaper) Write(p []byte) (int, error) {
	text := p
	if e.split {
		text = append([]byte{0xc2}, p...)
	}
	if e.split = len(text) > 0 && text[len(text)-1] == 0xc2; e.split {
		text = text[:len(text)-1]
	}
	if _, err := e.w.Write(escapeControls(text)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// escapeControls replaces DEL and the C1 control characters (U+007F to U+009F) in JSON with \u00….
func escapeControls(text []byte) []byte {
	if bytes.IndexByte(text, 0x7f) < 0 && bytes.IndexByte(text, 0xc2) < 0 {
		return text
	}
	escaped := make([]byte, 0, len(text)+64)
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == 0x7f:
			escaped = append(escaped, `\u007f`...)
		case text[i] == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0:
			escaped = fmt.Appendf(escaped, `\u%04x`, text[i+1])
			i++
		default:
			escaped = append(escaped, text[i])
		}
	}
	return escaped
}

// csvCell returns text as a cell of a CSV table. It escapes control characters as \x…, because tables are displayed
// in terminals, and prefixes formulas with an apostrophe, because spreadsheets would execute them.
func csvCell(text string) string {
	text = escapeControlsInText(text)
	if text != "" {
		switch text[0] {
		case '=', '+', '-', '@':
			return "'" + text
		}
	}
	return text
}

func escapeControlsInText(text string) string {
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
