package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestControlCharacters checks that control characters in process names are escaped in JSON and CSV.
func TestControlCharacters(t *testing.T) {
	t.Parallel()
	const name = "a\x1b[31mb\x7fc\u009b2Jd\u0085é£\u00a0\r\n\t\"\\<img src=x>"
	var b bytes.Buffer
	if err := writeJSON(&b, map[string]string{"name": name}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(b.String(), unicode.IsControl) {
		t.Errorf("raw control characters in %q", b.String())
	}
	text := []byte(`"` + name[:20] + `é£\u0085` + "\u009b" + `"`)
	for size := 1; size < 4; size++ { // also of characters that are split between writes
		var streamed bytes.Buffer
		w := &controlEscaper{w: &streamed}
		for piece := range slices.Chunk(text, size) {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := streamed.String(), string(escapeControls(text)); got != want {
			t.Errorf("in pieces of %d bytes: %q, want %q", size, got, want)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["name"] != name {
		t.Errorf("%q became %q (%v)", name, back["name"], err)
	}
	if got := csvCell(name); strings.ContainsFunc(got, unicode.IsControl) || !strings.Contains(got, "é£") {
		t.Errorf("a cell has %q", got)
	}
	for text, want := range map[string]string{
		"=1+1":     "'=1+1",
		"@SUM(A1)": "'@SUM(A1)",
		"-1":       "'-1",
		"+1":       "'+1",
		"\t=1":     `\x09=1`,
		"\r=1":     `\x0d=1`,
		"plain":    "plain",
		"":         "",
	} {
		if got := csvCell(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if plain := []byte(`{"a":"é"}`); &escapeControls(plain[:5])[0] != &plain[0] {
		t.Error("plain text is copied")
	}
}
