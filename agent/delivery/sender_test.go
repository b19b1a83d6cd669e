package delivery

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// scriptStep handles a post. It returns false to accept the batch as usual.
type scriptStep func(w http.ResponseWriter, batch *snapshot.Batch) bool

// scriptedServer is a server that handles posts by a script, and accepts all posts after the end of the script.
type scriptedServer struct {
	mu            sync.Mutex
	script        []scriptStep
	stored        []snapshot.Time
	posts         int
	registrations int
}

func (s *scriptedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/machines" {
		s.mu.Lock()
		s.registrations++
		s.mu.Unlock()
		_, _ = io.WriteString(w, `{"machine_id":"m","polling_interval":5,"enabled":true}`)
		return
	}
	decoder, err := zstd.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer decoder.Close()
	body, _ := io.ReadAll(decoder)
	batch, err := snapshot.DecodeBatch(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts++
	if len(s.script) > 0 {
		step := s.script[0]
		s.script = s.script[1:]
		if step != nil && step(w, batch) {
			return
		}
	}
	for i := range batch.Snapshots {
		s.stored = append(s.stored, batch.Snapshots[i].Timestamp)
	}
	_, _ = io.WriteString(w, acknowledged)
}

const acknowledged = `{"stored":1,"duplicates":0,"config":{"polling_interval":2,"enabled":true},"config_version":2}`

// start starts a server, and returns its address.
func (s *scriptedServer) start(t *testing.T) string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL
}

// fakeRecorder is a Recorder that only stores its config and the request for a full snapshot.
type fakeRecorder struct {
	config   snapshot.Config
	needFull bool
}

func (r *fakeRecorder) Config() snapshot.Config          { return r.config }
func (r *fakeRecorder) Configure(config snapshot.Config) { r.config = config }
func (r *fakeRecorder) RequestFull()                     { r.needFull = true }

// senderSettings are what tests of a sender vary.
type senderSettings struct {
	server, stateDir string
	token, key       string
	logger           *slog.Logger
}

// newTestSender returns a sender for machine m, with a queue on disk, as an agent has one after its start.
func newTestSender(t *testing.T, settings senderSettings) (*Sender, *fakeRecorder) {
	t.Helper()
	if settings.stateDir == "" {
		settings.stateDir = t.TempDir()
	}
	if settings.logger == nil {
		settings.logger = testlog.Logger()
	}
	server, err := url.Parse(settings.server)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewHTTPClient("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	credential, err := LoadCredential(settings.stateDir, settings.token, settings.key)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := sharedCodec()
	if err != nil {
		t.Fatal(err)
	}
	recorder := &fakeRecorder{config: snapshot.DefaultConfig()}
	return NewSender(Config{
		Server:        server,
		Client:        client,
		Machine:       snapshot.Machine{MachineID: "m", Hostname: "host"},
		Queue:         OpenQueue(settings.stateDir, 64<<20, codec, settings.logger),
		Codec:         codec,
		Credential:    credential,
		Recorder:      recorder,
		QuarantineDir: filepath.Join(settings.stateDir, "refused"),
		Logger:        settings.logger,
	}), recorder
}

// entry returns an entry with a minimal snapshot.
func entry(n int, kind snapshot.Kind) Entry {
	text := fmt.Appendf(nil, `{"timestamp":"%s","kind":"%s"}`, snapshot.Time(n), kind)
	return Entry{Timestamp: snapshot.Time(n), Kind: kind, JSON: text}
}

// refuse returns a script step that refuses a batch.
func refuse(status int, body string, header ...string) scriptStep {
	return func(w http.ResponseWriter, _ *snapshot.Batch) bool {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// Each case queues 1 F, 2 c, 3 c, 4 F, 5 c (F is full, c is changes).
func TestSenderVerdicts(t *testing.T) {
	all := []snapshot.Time{1, 2, 3, 4, 5}
	for name, test := range map[string]struct {
		script   []scriptStep
		stored   []snapshot.Time // on the server in the end
		needFull bool
		// quarantined is the content of the one file in quarantine.
		quarantined []snapshot.Time
	}{
		"all accepted": {nil, all, false, nil},
		"server busy": {[]scriptStep{
			refuse(503, `{"code":"queue_full"}`, "Retry-After", "0"), refuse(429, ``),
		}, all, false, nil},
		"server error":   {[]scriptStep{refuse(500, `oops`)}, all, false, nil},
		"unauthorized":   {[]scriptStep{refuse(401, `{}`)}, all, false, nil},
		"body too large": {[]scriptStep{refuse(413, `{}`), refuse(413, `{}`)}, all, false, nil},
		"fourth snapshot invalid": {[]scriptStep{
			refuse(422, `{"snapshot":3}`), nil, refuse(422, `{"snapshot":0}`),
		}, []snapshot.Time{1, 2, 3}, true, []snapshot.Time{4, 5}},
		"first snapshot invalid": {[]scriptStep{
			refuse(422, `{"snapshot":0}`),
		}, []snapshot.Time{4, 5}, true, []snapshot.Time{1, 2, 3}},
		"full snapshot needed": {[]scriptStep{
			refuse(409, `{"code":"full_snapshot_needed","snapshot":0}`),
		}, []snapshot.Time{4, 5}, true, []snapshot.Time{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &scriptedServer{script: test.script}
			dir := t.TempDir()
			s, recorder := newTestSender(t, senderSettings{server: server.start(t), stateDir: dir, token: "token"})
			for i := 1; i <= 5; i++ {
				kind := snapshot.KindChanges
				if i == 1 || i == 4 {
					kind = snapshot.KindFull
				}
				s.queue.Add(entry(i, kind))
			}
			for s.queue.Ready() { // without the pauses of Run
				_, _ = s.step(t.Context())
			}
			server.mu.Lock()
			defer server.mu.Unlock()
			if len(server.script) > 0 {
				t.Errorf("%d steps of the script are left", len(server.script))
			}
			if !slices.Equal(server.stored, test.stored) {
				t.Errorf("the server has %d, want %d", server.stored, test.stored)
			}
			if recorder.needFull != test.needFull {
				t.Errorf("a full snapshot is requested: %v", recorder.needFull)
			}
			if got := quarantined(t, dir); !slices.Equal(got, test.quarantined) {
				t.Errorf("%v are in quarantine, want %v", got, test.quarantined)
			}
			if recorder.config.PollingInterval != 2 {
				t.Error("the config in the response was not applied")
			}
		})
	}
}

// Run retries after a pause, returns when its context ends, and sends what is left before it does.
func TestSenderRunRetriesAndFlushes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := &scriptedServer{script: []scriptStep{
		refuse(500, `oops`),
		func(http.ResponseWriter, *snapshot.Batch) bool { cancel(); return false }, // may interrupt the post
	}}
	s, _ := newTestSender(t, senderSettings{server: server.start(t), token: "token"})
	s.queue.Add(entry(1, snapshot.KindFull))
	s.Run(ctx)
	if len(server.stored) == 0 || s.queue.Ready() {
		t.Errorf("the server has %d, and snapshots are left: %t", server.stored, s.queue.Ready())
	}
}

// The sender ignores settings of a newer server, and logs them once.
func TestUnknownSettingsAreIgnored(t *testing.T) {
	t.Parallel()
	const config = `{"polling_interval":2,"enabled":true,"omit":["io","auras"],"brightness":{"of":[1,2]}}`
	server := &scriptedServer{script: slices.Repeat([]scriptStep{func(w http.ResponseWriter, _ *snapshot.Batch) bool {
		_, _ = io.WriteString(w, `{"stored":1,"config":`+config+`,"config_version":2}`)
		return true
	}}, 3)}
	var log strings.Builder
	s, recorder := newTestSender(t, senderSettings{
		server: server.start(t), token: "token", logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 3 {
		if _, err := s.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := recorder.config; got.PollingInterval != 2 || !got.Omits(snapshot.PartProcessIO) {
		t.Errorf("the config is %+v", got)
	}
	if n := strings.Count(log.String(), `settings="[brightness omit auras]"`); n != 1 {
		t.Errorf("the settings were logged %d times:\n%s", n, &log)
	}
}

// quarantined returns the snapshots in quarantine. Each file is a batch that can be posted, with a reason.
func quarantined(t *testing.T, dir string) (list []snapshot.Time) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "refused", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := snapshot.DecodeBatch(text)
		if err != nil || batch.MachineID != "m" || !strings.Contains(string(text), `"refused":"4`) {
			t.Fatalf("%s: %v", text, err)
		}
		for i := range batch.Snapshots {
			list = append(list, batch.Snapshots[i].Timestamp)
		}
	}
	return list
}

// A machine that was deleted on the server registers again with its next post.
func TestDeletedMachineRegistersAgain(t *testing.T) {
	t.Parallel()
	deleted := func(w http.ResponseWriter, _ *snapshot.Batch) bool {
		const config = `{"polling_interval":5,"enabled":true}`
		const rest = `,"config_version":1,"unregistered":true}`
		_, _ = io.WriteString(w, `{"stored":0,"duplicates":0,"config":`+config+rest)
		return true
	}
	server := &scriptedServer{script: []scriptStep{deleted}}
	s, _ := newTestSender(t, senderSettings{server: server.start(t), token: "token"})
	for range 3 {
		if _, err := s.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if server.registrations != 2 || server.posts != 3 {
		t.Errorf("%d registrations and %d posts, want 2 and 3", server.registrations, server.posts)
	}
}
