//go:build linux

package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// memory returns the memory of a process in MiB: now, and the peak since resetPeak.
func memory(t *testing.T, pid int) (now, peak int) {
	t.Helper()
	text := read(t, fmt.Sprintf("/proc/%d/status", pid))
	value := func(field string) int {
		_, rest, _ := strings.Cut(text, field+":")
		kib, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return kib >> 10
	}
	return value("VmRSS"), value("VmHWM")
}

func resetPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// bomb compresses n bytes of a JSON text that does not end.
func bomb(t *testing.T, n int64, encoding string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	if encoding == "gzip" {
		w, err = gzip.NewWriterLevel(&b, gzip.BestSpeed)
	} else {
		w, err = zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedFastest))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, `{"machine_id":"`); err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("a"), 1<<20)
	for ; n > 0; n -= int64(len(block)) {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// endless is a body of spaces that does not end.
type endless struct{}

var spaces = bytes.Repeat([]byte(" "), 32<<10)

// Read fills p.
func (endless) Read(p []byte) (int, error) { return copy(p, spaces), nil }

// attacker sends hostile requests to a server, with the token of an agent.
type attacker struct {
	server *process
	token  string
	now    string // the time of its snapshots
}

// post sends a body to the endpoint for snapshots. The status is 0 if the server closed the connection
// before it had read the body.
func (a *attacker) post(t *testing.T, body io.Reader, length int64, header ...string) (int, problem.Problem) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.server.url+"/api/v1/snapshots", body)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = length
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+a.token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	var found problem.Problem
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, found
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 400 {
		if err := json.Unmarshal(text, &found); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	return response.StatusCode, found
}

// batch returns the body of a post with one snapshot.
func batch(snapshot string) string { return `{"machine_id":"m","snapshots":[` + snapshot + `]}` }

// snapshot returns a body with one snapshot with further fields.
func (a *attacker) snapshot(fields string) string {
	return batch(`{"timestamp":"` + a.now + `",` + fields + `}`)
}

// process returns a body with one snapshot with one process with further fields.
func (a *attacker) process(fields string) string {
	return a.snapshot(`"processes":[{"pid":1,"ppid":0,"name":"a"` + fields + `}]`)
}

func (a *attacker) wantStored(t *testing.T) {
	t.Helper()
	if status, found := a.post(t, strings.NewReader(a.process("")), -1); status != http.StatusCreated {
		t.Fatalf("a valid snapshot: %d %+v", status, found)
	}
}

// Hostile requests and broken agents get a clear refusal or a closed connection, and the server's memory
// stays bounded.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	// Without a limit, garbage adds up for as long as other programs keep the garbage collector from running.
	p := startWithEnv(t, []string{"GOMEMLIMIT=448MiB"}, "serve", dataDir(t), "127.0.0.1:0")
	token, err := shell(t, p.dir, "", "token", "add", "hostile", "--role", "agent", "--machine-id", "m")
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{server: p, token: token, now: time.Now().UTC().Format(time.RFC3339)}
	a.wantStored(t)
	before, _ := memory(t, p.cmd.Process.Pid)
	resetPeak(t, p.cmd.Process.Pid)
	a.sendBadBodies(t)
	a.sendMillionProcesses(t)
	a.sendBombs(t)
	a.sendEndlessBodies(t)
	a.sendBadRequests(t)
	p.holdIdleSockets(t)
	after, peak := memory(t, p.cmd.Process.Pid)
	t.Logf("memory: %d MiB before, %d MiB at most, %d MiB after", before, peak, after)
	// Bodies and their decoded form take 192 MiB at a time (--body-bytes). GOMEMLIMIT does not include the
	// program itself.
	if peak > 448+64 {
		t.Errorf("memory rose from %d to %d MiB", before, peak)
	}
	a.wantStored(t)
}

// refusal is the expected response to a bad body.
type refusal struct {
	status      int
	code, field string
}

func (a *attacker) sendBadBodies(t *testing.T) {
	t.Helper()
	const first = "snapshots[0].processes[0]."
	malformed := func(field string) refusal { return refusal{http.StatusBadRequest, "malformed_json", field} }
	invalid := func(field string) refusal { return refusal{http.StatusUnprocessableEntity, "invalid_field", field} }
	tooMany := refusal{http.StatusRequestEntityTooLarge, "too_many_entries", ""}
	at := func(timestamp string) string { return batch(`{"timestamp":"` + timestamp + `","processes":[]}`) }
	for name, test := range map[string]struct {
		body string
		want refusal
	}{
		"deep": {`{"machine_id":"m","snapshots":` + strings.Repeat("[", 7<<20), invalid("snapshots[0]")},
		"deep, unknown field": {
			`{"x":` + strings.Repeat("[", 7<<20),
			malformed("x" + strings.Repeat("[0]", 66) + "[…"),
		},
		"deep objects": {
			`{"x":` + strings.Repeat(`{"a":`, 100_000),
			malformed("x" + strings.Repeat(".a", 99) + ".…"),
		},
		"not JSON":             {"\x00\x01", malformed("")},
		"truncated":            {a.process("")[:40], malformed("snapshots[0]")},
		"invalid UTF-8":        {a.process(`,"command_line":"` + "\xff\xfe" + `"`), invalid(first + "command_line")},
		"half a surrogate":     {a.process(`,"command_line":"\ud800"`), invalid(first + "command_line")},
		"NUL":                  {a.process(`,"command_line":"\u0000"`), invalid(first + "command_line")},
		"NaN":                  {a.process(`,"cpu_usage":NaN`), malformed(first + "cpu_usage")},
		"a text NaN":           {a.process(`,"cpu_usage":"NaN"`), invalid(first + "cpu_usage")},
		"too large a number":   {a.process(`,"cpu_usage":1e400`), invalid(first + "cpu_usage")},
		"negative":             {a.process(`,"memory_usage":-1`), invalid(first + "memory_usage")},
		"over 64 bits":         {a.process(`,"memory_usage":18446744073709551616`), invalid(first + "memory_usage")},
		"over 53 bits":         {a.process(`,"memory_usage":9007199254740993`), invalid(first + "memory_usage")},
		"a fraction":           {a.process(`,"threads":1.5`), invalid(first + "threads")},
		"negative pid":         {a.snapshot(`"processes":[{"pid":-1,"ppid":0,"name":"a"}]`), invalid(first + "pid")},
		"the same field twice": {`{"machine_id":"m","machine_id":"n","snapshots":[]}`, malformed("machine_id")},
		"year 0":               {at("0000-01-01T00:00:00Z"), invalid("snapshots[0].timestamp")},
		"year 9999": {
			at("9999-12-31T23:59:59Z"),
			refusal{http.StatusUnprocessableEntity, "timestamp_in_future", "snapshots[0].timestamp"},
		},
		"year 10000":      {at("10000-01-01T00:00:00Z"), invalid("snapshots[0].timestamp")},
		"no time":         {at("yesterday"), invalid("snapshots[0].timestamp")},
		"a long name":     {a.process(`,"user":"` + strings.Repeat("u", 256) + `"`), invalid(first + "user")},
		"a long machine":  {`{"machine_id":"` + strings.Repeat("m", 129) + `","snapshots":[]}`, invalid("machine_id")},
		"another machine": {`{"machine_id":"n","snapshots":[]}`, refusal{http.StatusForbidden, "other_machine", ""}},
		"60,000 processes": {
			a.snapshot(`"processes":[` + strings.Repeat(`{"pid":1,"ppid":0,"name":"a"},`, 60_000) + `{}]`),
			invalid("snapshots[0].processes"),
		},
		"many empty objects": {batch(`{"processes":[` + strings.Repeat(`{},`, 2_000_000) + `{}]}`), tooMany},
		"many nulls":         {batch(`{"processes":[` + strings.Repeat(`null,`, 1_500_000) + `null]}`), tooMany},
		"1,001 snapshots": {
			batch(strings.Repeat(`{"timestamp":"`+a.now+`"},`, 1000) + `{"timestamp":"` + a.now + `"}`),
			invalid("snapshots"),
		},
		"many disks": {
			a.snapshot(`"machine_snapshot":{"disks":[` + strings.Repeat(`{"mount":"/"},`, 1000) +
				`{"mount":"/"}]},"processes":[]`),
			invalid("snapshots[0].machine_snapshot.disks"),
		},
	} {
		status, found := a.post(t, strings.NewReader(test.body), -1)
		if got := (refusal{status, found.Code, found.Field}); got != test.want || found.RequestID == "" ||
			found.Detail == "" {
			t.Errorf("%s: %+v %s, want %+v", name, got, found.Detail, test.want)
		}
	}
}

// sendMillionProcesses posts a snapshot as an agent would, compressed.
func (a *attacker) sendMillionProcesses(t *testing.T) {
	t.Helper()
	var body bytes.Buffer
	w, _ := gzip.NewWriterLevel(&body, gzip.BestSpeed)
	_, _ = io.WriteString(w, `{"machine_id":"m","snapshots":[{"timestamp":"`+a.now+`","processes":[`)
	var line []byte
	for i := range int64(1_000_000) {
		line = append(strconv.AppendInt(append(line[:0], `{"pid":`...), i, 10), `,"ppid":0,"name":"p"},`...)
		_, _ = w.Write(line)
	}
	_, _ = io.WriteString(w, `{}]}]}`)
	_ = w.Close()
	status, found := a.post(t, &body, int64(body.Len()), "Content-Encoding", "gzip")
	if status != http.StatusRequestEntityTooLarge || found.Limit == 0 {
		t.Errorf("a million processes: %d %+v", status, found)
	}
}

// sendBombs posts small bodies that decompress to hundreds of megabytes, several at a time.
func (a *attacker) sendBombs(t *testing.T) {
	t.Helper()
	var posts sync.WaitGroup
	for encoding, size := range map[string]int64{"gzip": 256 << 20, "zstd": 512 << 20} {
		body := bomb(t, size, encoding)
		for range 4 {
			posts.Go(func() {
				status, found := a.post(t, bytes.NewReader(body), int64(len(body)), "Content-Encoding", encoding)
				if status != http.StatusRequestEntityTooLarge && status != http.StatusServiceUnavailable {
					t.Errorf("%d bytes of %s for %d: %d %+v", len(body), encoding, size, status, found)
				}
			})
		}
	}
	posts.Wait()
}

// sendEndlessBodies posts two gigabytes. With a Content-Length they are refused before they are read, and
// without one as soon as the limit is exceeded.
func (a *attacker) sendEndlessBodies(t *testing.T) {
	t.Helper()
	const size = 2 << 30
	if status, found := a.post(t, io.LimitReader(endless{}, size), size); status != 0 &&
		(status != http.StatusRequestEntityTooLarge || found.Limit == 0) {
		t.Errorf("2 GB with a Content-Length: %d %+v", status, found)
	}
	if status, _ := a.post(t, io.LimitReader(endless{}, size), -1); status != 0 &&
		status != http.StatusRequestEntityTooLarge {
		t.Errorf("2 GB without a Content-Length: %d", status)
	}
}

// sendBadRequests sends requests to other endpoints, as an administrator.
func (a *attacker) sendBadRequests(t *testing.T) {
	t.Helper()
	large := http.Header{"X-Large": {strings.Repeat("x", 64<<10)}}
	longName := `{"name":"` + strings.Repeat("x", 100_000) + `"}`
	for name, test := range map[string]struct {
		method, path, body string
		header             http.Header
		want               int
	}{
		"a large header":     {"GET", "/machines", "", large, http.StatusRequestHeaderFieldsTooLarge},
		"a large small body": {"POST", "/auth/login", longName, nil, http.StatusRequestEntityTooLarge},
		"a deep small body":  {"POST", "/auth/login", strings.Repeat("[", 60_000), nil, http.StatusBadRequest},
		"a query of year 0": {
			"GET", "/machines/m/at?time=0000-01-01T00:00:00Z", "", nil, http.StatusUnprocessableEntity,
		},
		"a made-up cursor": {"GET", "/machines?cursor=AAAA", "", nil, http.StatusUnprocessableEntity},
	} {
		request, err := http.NewRequestWithContext(
			t.Context(), test.method, a.server.url+"/api/v1"+test.path, strings.NewReader(test.body),
		)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = test.header.Clone()
		if request.Header == nil {
			request.Header = http.Header{}
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
}

// holdIdleSockets opens ten thousand sockets that send nothing or only the beginning of a request. The
// server closes those above the limit of one client at once, and the others when the time for a header
// is over. Meanwhile it serves other clients.
func (p *process) holdIdleSockets(t *testing.T) {
	t.Helper()
	address := strings.TrimPrefix(p.url, "http://")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}
	before, _ := memory(t, p.cmd.Process.Pid)
	open := make([]net.Conn, 0, 10_000)
	for i := range 10_000 {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if errors.Is(err, syscall.ECONNRESET) { // above the limit
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "GET /api/v1/machines HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		}
		open = append(open, conn)
	}
	began := time.Now()
	if status, _ := fetch(t, p.url+"/healthz"); status != http.StatusOK {
		t.Errorf("another client is refused: %d", status)
	}
	ctx, cancel := testwait.Context(t)
	defer cancel()
	deadline, _ := ctx.Deadline()
	for _, conn := range open {
		_ = conn.SetReadDeadline(deadline)
		_, err := io.Copy(io.Discard, conn)
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Fatal("an idle socket stays open")
		}
		_ = conn.Close()
	}
	now, _ := memory(t, p.cmd.Process.Pid)
	t.Logf(
		"10,000 idle sockets: closed within %s, memory %d MiB, then %d MiB", time.Since(began).Round(time.Second),
		before, now,
	)
	if now > before+64 {
		t.Errorf("idle sockets cost %d MiB", now-before)
	}
}
