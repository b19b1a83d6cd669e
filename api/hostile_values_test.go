package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// alwaysTexts and alwaysJSON are values for every place.
var (
	alwaysTexts = []string{"a\x00b", "a\xffb", "..", "9223372036854775807"}
	alwaysJSON  = []string{`"a\u0000"`, "\"a\xffb\"", `"\ud800"`, `null`, `{}`, `9223372036854775807`}
)

// hostileTexts are values of parameters and texts.
var hostileTexts = []string{
	"", " ", "a\x00b", "\x00", "a\xffb", "\xc3\x28", "\xed\xa0\x80", // U+D800 in CESU-8
	".", "..", "../..", "a/b", "/", `\`, `a\`, "%", "%%%", "_", "*", "**a*", "?", "[", "[*", "[^", "[]", "(", "'", `"`,
	`'; DROP TABLE machines; --`, "$1", "{}", "null", "true", "NaN", "Infinity", "-1", "0", "1.5", "1e3", "1e400",
	"0x10", "９", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "99999999999999999999999999",
	"\u202egnp.exe", "\ufeffm", "\ufffe", "é", "e\u0301", "\U0001f4a9", "\u007f\u0085\u2028", "\r\nX-Injected: 1",
	"0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
	"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "294277-01-01T00:00:00Z",
	"-4714-01-01T00:00:00Z", "infinity", "2016-12-31T23:59:60Z", "2026-11-25t10:00:00z", "2026-11-25T10:00:00+24:00",
	"1s", "9999999999999w", "-1h", "code:99999999999", "signal:-1", "code:", "AAAA", "bWFjaGluZXMA", "cHJvY2Vzc2VzAP8",
	"YXVkaXQAOTIyMzM3MjAzNjg1NDc3NTgwOA", "dG9rZW5zAC0x", strings.Repeat("a", 300), strings.Repeat("*", 1000),
	strings.Repeat("[", 1000), strings.Repeat("%", 999), strings.Repeat("ä", 3000),
}

// hostileCursors returns cursors of each list with positions that no server returned.
func hostileCursors() (cursors []string) {
	for _, list := range []string{"audit", "machines", "processes", "snapshots", "tokens", ""} {
		for _, position := range []string{
			"9223372036854775807", "-9223372036854775808", "a\xff", "", "a\x00b", "\x00\x00",
		} {
			cursors = append(cursors, base64.RawURLEncoding.EncodeToString([]byte(list+"\x00"+position)))
		}
	}
	return cursors
}

// hostileQueries are values of parameters that are not encoded correctly.
var hostileQueries = []string{"%", "%zz", "%u0000", "a;b=c", "%00", "%ff", "%ed%a0%80"}

// hostileJSON are values in a body, as JSON or something like it.
var hostileJSON = []string{
	`"\u0000"`, `"a\u0000b"`, "\"a\x00b\"", "\"a\xffb\"", `"\ud800"`, `"\udc00\ud800"`, `"\uD800x"`, `"\u12"`, `"\x"`,
	`null`, `true`, `{}`, `[]`, `[[]]`, `[null]`, `["\u0000"]`, `["a", "\ud800"]`, `[1, "a", {}]`, `{"a": "\u0000"}`,
	`{"\u0000": 1}`, `{"a": 1, "a": 2}`, `NaN`, `Infinity`, `-Infinity`, `1e400`, `-1e400`, `1e-400`, `-0`, `0`, `-1`,
	`1.5`, `01`, `+1`, `0x1`, `1e3`, `32768`, `2147483648`, `9007199254740993`, `9223372036854775808`,
	`18446744073709551616`, `-9223372036854775809`, strings.Repeat("9", 400), `undefined`, `'a'`, ``,
	strings.Repeat("[", 9_000), strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
	strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
	strings.Repeat(`{"a":`, 8_000) + "1" + strings.Repeat("}", 8_000),
	"[" + strings.Repeat("0,", 25_000) + "0]", "[" + strings.Repeat(`"a",`, 12_000) + `"a"]`,
	"[" + strings.Repeat("{},", 15_000) + "{}]", `"` + strings.Repeat("a", 50_000) + `"`,
}

// hostileBodies are whole bodies.
var hostileBodies = []string{
	"", " ", "null", "[]", `""`, "1", "{", "}", "{}{}", "{} x", "\ufeff{}", "\x00", "\xff", `{"":1}`, `{"a":1}`,
	"{\"\xff\":1}", `{"\u0000":1}`, `{"\ud800":1}`, `{"a":1,"a":2}`,
	strings.Repeat("{", 9_000), strings.Repeat(`{"a":`, 12_000),
	strings.Repeat("[", 60_000), strings.Repeat(" ", 100_000) + "{}", "--x\r\nContent-Disposition: form-data\r\n\r\n",
}

// schema is the part of a JSON schema that the document uses.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a name or a list of names
	Enum       []any             `json:"enum"`
	Minimum    *float64          `json:"minimum"`
	Maximum    *float64          `json:"maximum"`
	MinLength  *int              `json:"minLength"`
	MaxLength  *int              `json:"maxLength"`
	MinItems   *int              `json:"minItems"`
	MaxItems   *int              `json:"maxItems"`
	Pattern    string            `json:"pattern"`
	Format     string            `json:"format"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
}

// allows reports whether the schema has a type.
func (s *schema) allows(name string) bool {
	list, isList := s.Type.([]any)
	return s.Type == nil || s.Type == name || isList && slices.Contains(list, any(name))
}

// refuses reports whether a value certainly violates the schema. value is what encoding/json decodes, with json.Number.
func (s *schema) refuses(value any) bool {
	switch value := value.(type) {
	case nil:
		return false // null is like an absent member for optional ones
	case bool:
		return !s.allows("boolean")
	case json.Number:
		number, _ := value.Float64()
		isInteger := s.allows("integer") && !s.allows("number")
		return !s.allows("integer") && !s.allows("number") || isInteger && number != math.Trunc(number) ||
			s.Minimum != nil && number < *s.Minimum || s.Maximum != nil && number > *s.Maximum || math.IsInf(number, 0)
	case string:
		if value == "" && s.MinLength == nil {
			return false // like an absent member
		}
		length := utf8.RuneCountInString(value)
		return !s.allows("string") || s.Enum != nil && !slices.Contains(s.Enum, any(value)) ||
			s.MinLength != nil && length < *s.MinLength || s.MaxLength != nil && length > *s.MaxLength ||
			s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(value)
	case []any:
		return !s.allows("array") || s.MinItems != nil && len(value) < *s.MinItems ||
			s.MaxItems != nil && len(value) > *s.MaxItems ||
			s.Items != nil && slices.ContainsFunc(value, s.Items.refuses)
	case map[string]any:
		return !s.allows("object")
	}
	return false
}

// refusesJSON is refuses for a value in a body. Text that is not JSON is refused too.
func (s *schema) refusesJSON(text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		return true
	}
	return s.refuses(value)
}

// refusesParameter is refuses for the text of a parameter. An empty text is an absent parameter.
func (s *schema) refusesParameter(text string) bool {
	if text == "" {
		return false
	}
	if s.allows("string") || s.allows("array") && s.Items.allows("string") {
		value := any(text)
		if !s.allows("string") {
			value = []any{text}
		}
		return s.refuses(value)
	}
	if _, err := strconv.ParseBool(text); err == nil && s.allows("boolean") {
		return false // 0 and 1 are accepted too
	}
	return s.refusesJSON(text)
}

// isUnstorable reports whether text has characters that cannot be stored.
func isUnstorable(text string) bool { return !utf8.ValidString(text) || strings.Contains(text, "\x00") }

// isUnstorableJSON reports whether text is JSON with characters that cannot be stored in a value.
func isUnstorableJSON(text string) bool {
	return json.Valid(bytes.ToValidUTF8([]byte(text), nil)) &&
		(!utf8.ValidString(text) || strings.Contains(strings.ToLower(text), `\ud800`) ||
			strings.Contains(text, `\u0000`))
}

// escaped returns the path segment of a value. Dots are escaped too, because clients remove . and .. from paths.
func escaped(value string) string {
	return strings.ReplaceAll(url.PathEscape(value), ".", "%2e")
}
