package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/internal/testlog"
)

// BenchmarkAgent measures the CPU time of everything that the agent does for a sample, per process: it reads, encodes,
// writes to disk and posts. One snapshot in twelve is full.
func BenchmarkAgent(b *testing.B) {
	processes := agenttest.StartProcesses(b, 500, 50)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		const config = `"polling_interval":0.5,"enabled":true`
		_, _ = io.WriteString(w, `{"stored":1,`+config+`,"config":{`+config+`},"config_version":1}`)
	}))
	defer web.Close()
	cfg := Config{
		Server:    web.URL,
		StateDir:  b.TempDir(),
		MachineID: "m",
		Token:     "token",
		FullEvery: 6 * time.Second,
	}
	a, err := New(b.Context(), cfg, testlog.Logger())
	if err != nil {
		b.Fatal(err)
	}
	defer a.close()
	agenttest.CPUPerProcess(b, processes, 500*time.Millisecond, func() {
		if _, err := a.recorder.record(b.Context(), 500*time.Millisecond); err != nil {
			b.Fatal(err)
		}
		a.sender.Flush(b.Context())
	})
}
