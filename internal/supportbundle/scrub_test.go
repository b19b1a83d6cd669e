package supportbundle

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/doctor"
)

func scrubberFor(withNames bool) *scrubber {
	return newScrubber(Config{
		Hidden: config.Hidden{
			Secrets: []string{"hunter22/ä\"", "a1b2", ""},
			Names: []string{
				"db.example.org",
				"/home/alice",
				"snapwatch",
				"vm",
				"",
				"192.0.2.7:8420",
				"127.0.0.1:8420",
			},
		},
		Doctor:    doctor.Config{DatabaseURL: "postgres://bob:from%20url@primary/inventory"},
		WithNames: withNames,
	})
}

func TestScrubText(t *testing.T) {
	t.Parallel()
	swt := "swt_" + strings.Repeat("A-b_", 10) + "xyz"
	for text, want := range map[string]string{
		"value hunter22/ä\" end":                       "value (secret) end",
		"query hunter22%2F%C3%A4%22 end":               "query (secret) end",
		"password is 'from url'.":                      "password is '(secret)'.",
		"a1b2 and a1b2c3":                              "(secret) and a1b2c3", // a short one is no part of a word
		"token " + swt + ".":                           "token (secret).",
		"$argon2id$v=19$m=65536,t=1$c2FsdA$aGFzaA end": "(secret) end",
		"postgres://x:pass@host/y":                     "postgres://x:(secret)host/y",
		"host=x password=abc user=y":                   "host=x password=(secret) user=y",
		"Authorization: Bearer abcdefgh1234":           "Authorization: Bearer (secret)",
		"-----BEGIN EC PRIVATE KEY-----\nMIG\n-----END EC PRIVATE KEY-----\n": "(secret)\n",
		"dial DB.example.org:5432":                    "dial (name):5432",
		"/home/alice/x.pem by bob in inventory":       "(name)/x.pem by (name) in (name)",
		"vm, lvm and snapwatch":                       "(name), lvm and snapwatch",
		"from 192.0.2.7:8420, [2001:db8::1]:80.":      "from (name), [(name)]:80.",
		"10.1.2.3: refused":                           "(name): refused",
		"on 127.0.0.1:8420, [::1]:1, 0.0.0.0:80":      "on 127.0.0.1:8420, [::1]:1, 0.0.0.0:80",
		"at 12:34:56, 2026-11-27T22:06:04Z, go1.26.8": "at 12:34:56, 2026-11-27T22:06:04Z, go1.26.8",
	} {
		if got := scrubberFor(false).text(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if got, want := scrubberFor(true).text("a1b2 of bob on 10.1.2.3"), "(secret) of bob on 10.1.2.3"; got != want {
		t.Errorf("with names: %q, want %q", got, want)
	}
}

// A profile keeps its lengths, because they are a part of the format.
func TestScrubCompressed(t *testing.T) {
	t.Parallel()
	var in bytes.Buffer
	writer := gzip.NewWriter(&in)
	_, _ = io.WriteString(writer, "\x0a\x1a/home/alice/bin/snapwatch\x00hunter22/ä\"\x00")
	_ = writer.Close()
	out, err := scrubberFor(false).compressed(in.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if want := "\x0a\x1axxxxxxxxxxx/bin/snapwatch\x00xxxxxxxxxxxx\x00"; err != nil || string(text) != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
	if _, err := scrubberFor(false).compressed([]byte("text")); err == nil {
		t.Error("what is not compressed is accepted")
	}
}

func TestFilterLog(t *testing.T) {
	t.Parallel()
	const text = `2026-11-27 22:06:03.961 UTC [1] LOG:  database system is ready to accept connections
2026-11-27 22:06:04.961 UTC [2] ERROR:  duplicate key value violates unique constraint "machines_name"
2026-11-27 22:06:04.961 UTC [2] DETAIL:  Key (name)=(hunter22) already exists.
2026-11-27 22:06:04.961 UTC [2] STATEMENT:  INSERT INTO machines VALUES ('hunter22')
	, ('hunter22')
2026-11-27 22:06:05.961 UTC [2] ERROR:  invalid input syntax for type integer: "hunter22
2026-11-27 22:06:05.962 UTC [2] LOG:  duration: 12.1 ms  execute stmtcache_1: SELECT hunter22
2026-11-27 22:06:05.963 UTC [2] LOG:  statement: SELECT hunter22
2026-11-27 22:06:05.964 UTC [2] ERROR:  canceling statement due to statement timeout
2026-11-27 22:06:06.961 UTC [1] PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device
hunter22@inventory 2026-11-27 LOG:  a line with another prefix
`
	const want = `2026-11-27 22:06:03.961 UTC [1] LOG:  database system is ready to accept connections
2026-11-27 22:06:04.961 UTC [2] ERROR:  duplicate key value violates unique constraint "(hidden)"
2026-11-27 22:06:05.961 UTC [2] ERROR:  invalid input syntax for type integer: "(hidden)"
2026-11-27 22:06:05.962 UTC [2] LOG:  duration: 12.1 ms  execute: (hidden)
2026-11-27 22:06:05.963 UTC [2] LOG:  statement: (hidden)
2026-11-27 22:06:05.964 UTC [2] ERROR:  canceling statement due to statement timeout
2026-11-27 22:06:06.961 UTC [1] PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device
(4 lines with statements and details are left out)
`
	if got := string(filterLog([]byte(text))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
