package api

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
)

// writeJSON encodes a value. JSON escapes the control characters below space; those
// above, which terminals obey too, are escaped here: names of processes may have any,
// and answers are read in terminals. Outside of texts JSON has none of them.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(escapeControls(text))
	return err
}

// escapeControls writes DEL and the C1 controls (U+007F to U+009F) as \u00….
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

// printable writes control characters as \x…, so that a table can be looked at in a
// terminal.
func escapeControlsForText(text string) string {
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
