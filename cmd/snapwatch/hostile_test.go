//go:build linux

package main_test

import (
	"bytes"
	"compress/gzip"
	"context"
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
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// memory reads what a process takes, in MiB: now, and at its most since resetPeak.
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

// zeros is n bytes of a JSON text that never ends, compressed.
func zeros(t *testing.T, n int64, encoding string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	if encoding == "gzip" {
		w = gzip.NewWriter(&b)
	} else {
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
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

// What strangers and broken agents send ends in a clear refusal or a closed
// connection, and the server's memory stays flat.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", storetest.Dir(t), "127.0.0.1:0")
	agent, err := shell(t, p.dir, "", "token", "add", "hostile", "--role", "agent", "--machine-id", "m")
	if err != nil {
		t.Fatal(err)
	}
	post := func(body io.Reader, length int64, header ...string) (int, problem.Problem) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/snapshots", body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+agent)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		var found problem.Problem
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil { // it closed the connection while we were sending
			return 0, found
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode >= 400 {
			decodeInto(t, text, &found)
		}
		return response.StatusCode, found
	}
	one := func(snapshot string) string {
		return `{"machine_id":"m","snapshots":[` + snapshot + `]}`
	}
	now := time.Now().UTC().Format(time.RFC3339)
	process := func(fields string) string {
		return one(`{"timestamp":"` + now + `","processes":[{"pid":1,"ppid":0,"name":"a"` + fields + `}]}`)
	}
	if status, found := post(strings.NewReader(process("")), -1); status != http.StatusCreated {
		t.Fatalf("a good one: %d %+v", status, found)
	}
	before, _ := memory(t, p.cmd.Process.Pid)
	resetPeak(t, p.cmd.Process.Pid)

	type refusal struct {
		status      int
		code, field string
	}
	for name, test := range map[string]struct {
		body string
		want refusal
	}{
		"deep":                 {`{"machine_id":"m","snapshots":` + strings.Repeat("[", 7<<20), refusal{422, "invalid_field", "snapshots[0]"}},
		"deep, and unknown":    {`{"x":` + strings.Repeat("[", 7<<20), refusal{400, "malformed_json", "x" + strings.Repeat("[0]", 66) + "[…"}},
		"deep in a field":      {`{"machine_id":"m","x":` + strings.Repeat(`{"a":`, 100_000), refusal{400, "malformed_json", "x" + strings.Repeat(".a", 99) + ".…"}},
		"not JSON":             {"\x00\x01", refusal{400, "malformed_json", ""}},
		"cut short":            {process("")[:40], refusal{400, "malformed_json", "snapshots[0]"}},
		"invalid UTF-8":        {process(`,"command_line":"` + "\xff\xfe" + `"`), refusal{400, "malformed_json", "snapshots[0].processes[0].command_line"}},
		"half a surrogate":     {process(`,"command_line":"\ud800"`), refusal{400, "malformed_json", "snapshots[0].processes[0].command_line"}},
		"NUL":                  {process(`,"command_line":"\u0000"`), refusal{422, "invalid_field", "snapshots[0].processes[0].command_line"}},
		"NaN":                  {process(`,"cpu_usage":NaN`), refusal{400, "malformed_json", "snapshots[0].processes[0].cpu_usage"}},
		"a text NaN":           {process(`,"cpu_usage":"NaN"`), refusal{422, "invalid_field", "snapshots[0].processes[0].cpu_usage"}},
		"too large a number":   {process(`,"cpu_usage":1e400`), refusal{422, "invalid_field", "snapshots[0].processes[0].cpu_usage"}},
		"negative":             {process(`,"memory_usage":-1`), refusal{422, "invalid_field", "snapshots[0].processes[0].memory_usage"}},
		"past 64 bits":         {process(`,"memory_usage":18446744073709551616`), refusal{422, "invalid_field", "snapshots[0].processes[0].memory_usage"}},
		"past 53 bits":         {process(`,"memory_usage":9007199254740993`), refusal{422, "invalid_field", "snapshots[0].processes[0].memory_usage"}},
		"a fraction":           {process(`,"threads":1.5`), refusal{422, "invalid_field", "snapshots[0].processes[0].threads"}},
		"negative pid":         {one(`{"timestamp":"` + now + `","processes":[{"pid":-1,"ppid":0,"name":"a"}]}`), refusal{422, "invalid_field", "snapshots[0].processes[0].pid"}},
		"the same field twice": {`{"machine_id":"m","machine_id":"n","snapshots":[]}`, refusal{400, "malformed_json", "machine_id"}},
		"year 0":               {one(`{"timestamp":"0000-01-01T00:00:00Z","processes":[]}`), refusal{422, "invalid_field", "snapshots[0].timestamp"}},
		"year 9999":            {one(`{"timestamp":"9999-12-31T23:59:59Z","processes":[]}`), refusal{422, "timestamp_in_future", "snapshots[0].timestamp"}},
		"year 10000":           {one(`{"timestamp":"10000-01-01T00:00:00Z","processes":[]}`), refusal{422, "invalid_field", "snapshots[0].timestamp"}},
		"no time":              {one(`{"timestamp":"yesterday","processes":[]}`), refusal{422, "invalid_field", "snapshots[0].timestamp"}},
		"a long name":          {process(`,"user":"` + strings.Repeat("u", 256) + `"`), refusal{422, "invalid_field", "snapshots[0].processes[0].user"}},
		"a long machine":       {`{"machine_id":"` + strings.Repeat("m", 129) + `","snapshots":[]}`, refusal{422, "invalid_field", "machine_id"}},
		"another machine":      {`{"machine_id":"n","snapshots":[]}`, refusal{403, "other_machine", ""}},
		"sixty thousand":       {one(`{"timestamp":"` + now + `","processes":[` + strings.Repeat(`{"pid":1,"ppid":0,"name":"a"},`, 60_000) + `{}]}`), refusal{422, "invalid_field", "snapshots[0].processes"}},
		"empty objects":        {one(`{"processes":[` + strings.Repeat(`{},`, 2_000_000) + `{}]}`), refusal{413, "too_many_entries", ""}},
		"nothing, a lot of it": {one(`{"processes":[` + strings.Repeat(`null,`, 1_500_000) + `null]}`), refusal{413, "too_many_entries", ""}},
		"a thousand and one":   {`{"machine_id":"m","snapshots":[` + strings.Repeat(`{"timestamp":"`+now+`"},`, 1000) + `{"timestamp":"` + now + `"}]}`, refusal{422, "invalid_field", "snapshots"}},
		"many disks":           {one(`{"timestamp":"` + now + `","machine_snapshot":{"disks":[` + strings.Repeat(`{"mount":"/"},`, 1000) + `{"mount":"/"}]},"processes":[]}`), refusal{422, "invalid_field", "snapshots[0].machine_snapshot.disks"}},
	} {
		status, found := post(strings.NewReader(test.body), -1)
		if got := (refusal{status, found.Code, found.Field}); got != test.want || found.RequestID == "" ||
			found.Detail == "" {
			t.Errorf("%s: %+v %s, want %+v", name, got, found.Detail, test.want)
		}
	}

	// A million processes, as an agent would send them.
	var million bytes.Buffer
	w := gzip.NewWriter(&million)
	_, _ = io.WriteString(w, `{"machine_id":"m","snapshots":[{"timestamp":"`+now+`","processes":[`)
	for i := range 1_000_000 {
		_, _ = fmt.Fprintf(w, `{"pid":%d,"ppid":0,"name":"p"},`, i)
	}
	_, _ = io.WriteString(w, `{}]}]}`)
	_ = w.Close()
	if status, found := post(&million, int64(million.Len()), "Content-Encoding", "gzip"); status != http.StatusRequestEntityTooLarge ||
		found.Limit == 0 {
		t.Errorf("a million processes: %d %+v", status, found)
	}
	// Bombs, and many at the same time.
	var wg sync.WaitGroup
	for encoding, size := range map[string]int64{"gzip": 256 << 20, "zstd": 512 << 20} {
		bomb := zeros(t, size, encoding)
		for range 4 {
			wg.Go(func() {
				if status, found := post(bytes.NewReader(bomb), int64(len(bomb)), "Content-Encoding", encoding); status != http.StatusRequestEntityTooLarge &&
					status != http.StatusServiceUnavailable {
					t.Errorf("a bomb of %s, %d bytes for %d: %d %+v", encoding, len(bomb), size, status, found)
				}
			})
		}
	}
	wg.Wait()
	// Two gigabytes: refused by what the header says, and else once the limit is passed.
	if status, found := post(io.LimitReader(endless{}, 2<<30), 2<<30); status != http.StatusRequestEntityTooLarge &&
		status != 0 ||
		status != 0 && found.Limit == 0 {
		t.Errorf("2 GB that are announced: %d %+v", status, found)
	}
	if status, _ := post(io.LimitReader(endless{}, 2<<30), -1); status != http.StatusRequestEntityTooLarge &&
		status != 0 {
		t.Errorf("2 GB that are not announced: %d", status)
	}
	for name, test := range map[string]struct {
		method, path, body string
		header             http.Header
		want               int
	}{
		"a large header":     {"GET", "/api/v1/machines", "", http.Header{"X-Large": {strings.Repeat("x", 64<<10)}}, http.StatusRequestHeaderFieldsTooLarge},
		"a large small body": {"POST", "/api/v1/auth/login", `{"name":"` + strings.Repeat("x", 100_000) + `"}`, nil, http.StatusRequestEntityTooLarge},
		"a deep small body":  {"POST", "/api/v1/auth/login", strings.Repeat("[", 60_000), nil, http.StatusBadRequest},
		"a query of year 0":  {"GET", "/api/v1/machines/m/at?time=0000-01-01T00:00:00Z", "", nil, http.StatusUnprocessableEntity},
		"a made up cursor":   {"GET", "/api/v1/machines?cursor=AAAA", "", nil, http.StatusUnprocessableEntity},
	} {
		request, err := http.NewRequestWithContext(
			t.Context(), test.method, p.url+test.path, strings.NewReader(test.body),
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
	p.idle(t)
	after, peak := memory(t, p.cmd.Process.Pid)
	t.Logf("memory: %d MiB before, %d at most, %d after", before, peak, after)
	// Bodies and what they decode to take 192 MiB at a time (--body-bytes), and as much
	// again until the garbage is collected; the rest is the server.
	if peak > 2*192+128 {
		t.Errorf("memory rose from %d to %d MiB", before, peak)
	}
	if status, found := post(strings.NewReader(process("")), -1); status != http.StatusCreated {
		t.Errorf("afterwards a good one: %d %+v", status, found)
	}
}

// endless is a body that never ends.
type endless struct{}

// Read fills p.
func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// idle opens ten thousand sockets that say nothing, or begin and do not go on. Those
// beyond a client's bound are closed at once, the others within the time that a header
// may take; others get in all the while.
func (p *process) idle(t *testing.T) {
	t.Helper()
	address := strings.TrimPrefix(p.url, "http://")
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}
	before, _ := memory(t, p.cmd.Process.Pid)
	open := make([]net.Conn, 0, 10_000)
	for i := range 10_000 {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err != nil { // refused
			continue
		}
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "GET /api/v1/machines HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		}
		open = append(open, conn)
	}
	began := time.Now()
	if status, _ := fetch(t, p.url+"/healthz"); status != http.StatusOK {
		t.Errorf("others do not get in: %d", status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
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
		"10,000 idle sockets: closed within %s, memory %d MiB, then %d", time.Since(began).Round(time.Second), before,
		now,
	)
	if now > before+64 {
		t.Errorf("idle sockets cost %d MiB", now-before)
	}
}

func decodeInto(t *testing.T, text []byte, into *problem.Problem) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
