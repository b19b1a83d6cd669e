//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/internal/bearer"
)

// machineID is the agent's id of this machine.
const machineID = "truth"

// machine is this machine as the product records it.
type machine struct {
	server *product.Server
	agent  *exec.Cmd
	client *http.Client
	reader string // how the agent reads processes: bpf or proc

	mu   sync.Mutex
	list []stored  // without processes
	read time.Time // when the list was read
}

// startMachine starts a server and an agent, and waits until snapshots are stored at the interval.
func startMachine(ctx context.Context, s settings, dir string) (_ *machine, err error) {
	data, state := filepath.Join(dir, "data"), filepath.Join(dir, "state")
	if err := os.Mkdir(data, 0o755); err != nil {
		return nil, err
	}
	m := &machine{}
	if m.server, err = product.StartServer(ctx, s.server, data, s.log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.stop())
		}
	}()
	token, err := m.server.AdminToken(ctx)
	if err != nil {
		return nil, err
	}
	m.client = &http.Client{Transport: bearer.Transport{Token: token}}
	key, err := m.server.EnrolmentKey(ctx)
	if err != nil {
		return nil, err
	}
	agent := exec.Command(
		s.agent, "--server", m.server.URL, "--state-dir", state, "--machine-id", machineID, "--reader", s.reader,
	)
	agent.Env = append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+key)
	agent.Stderr = s.log
	agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches only the benchmark
	if err := agent.Start(); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	m.agent = agent
	if _, err := m.after(ctx, time.Now().Add(-time.Hour), 1); err != nil {
		return nil, err
	}
	if err := m.setInterval(ctx, s.interval); err != nil {
		return nil, err
	}
	for {
		list, err := m.after(ctx, time.Now(), 1)
		if err != nil {
			return nil, err
		}
		if list[0].interval() < 3*s.interval/2 {
			return m, m.findReader(ctx, s.log)
		}
	}
}

// findReader finds out how the agent reads processes.
func (m *machine) findReader(ctx context.Context, log io.Writer) error {
	var view struct {
		Reader string `json:"process_reader"`
		Reason string `json:"process_reader_reason"`
	}
	if err := m.request(ctx, http.MethodGet, "", nil, nil, &view); err != nil {
		return err
	}
	m.reader = view.Reader
	_, _ = fmt.Fprintln(log, "processes are read with", view.Reader, view.Reason)
	return nil
}

// stop stops the agent and the server.
func (m *machine) stop() error {
	if m.agent != nil {
		_ = m.agent.Process.Signal(syscall.SIGTERM)
		_ = m.agent.Wait()
	}
	return m.server.Stop()
}

func (m *machine) setInterval(ctx context.Context, interval time.Duration) error {
	text, err := json.Marshal(map[string]float64{"polling_interval": interval.Seconds()})
	if err != nil {
		return err
	}
	return m.request(ctx, http.MethodPatch, "", nil, text, nil)
}

// stored is a snapshot that the API returns.
type stored struct {
	Timestamp  time.Time `json:"timestamp"`
	IntervalMS int64     `json:"interval_ms"`
	Machine    struct {
		UsedRAM int64 `json:"used_ram"`
	} `json:"machine_snapshot"`
	Processes []storedProcess `json:"processes"`
}

type storedProcess struct {
	PID         int    `json:"pid"`
	Name        string `json:"name"`
	CommandLine string `json:"command_line"`
	User        string `json:"user"`
	Memory      int64  `json:"memory_usage"`
}

func (s *stored) interval() time.Duration { return time.Duration(s.IntervalMS) * time.Millisecond }

// process returns a process of the snapshot; all its values are zero if it is not there.
func (s *stored) process(pid int) storedProcess {
	for _, p := range s.Processes {
		if p.PID == pid {
			return p
		}
	}
	return storedProcess{}
}

// after waits until n snapshots later than a time are stored, and returns the first n of them, without processes.
func (m *machine) after(ctx context.Context, at time.Time, n int) ([]stored, error) {
	at = at.Truncate(time.Millisecond) // as timestamps are
	for {
		list, err := m.all(ctx)
		if err != nil {
			return nil, err
		}
		later, _ := slices.BinarySearchFunc(list, at, func(s stored, at time.Time) int {
			return cmp.Or(s.Timestamp.Compare(at), -1)
		})
		if len(list)-later >= n {
			return list[later : later+n], nil
		}
		if err := product.Pause(ctx, pollEvery); err != nil {
			return nil, err
		}
	}
}

// pollEvery is the time between two requests for new snapshots.
const pollEvery = 200 * time.Millisecond

// all returns all snapshots without processes, oldest first.
func (m *machine) all(ctx context.Context) ([]stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.read) < pollEvery {
		return m.list, nil
	}
	from := time.Now().Add(-time.Hour)
	if len(m.list) > 0 {
		from = m.list[len(m.list)-1].Timestamp.Add(time.Millisecond)
	}
	if to := time.Now(); from.Before(to) {
		query := url.Values{
			"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}, "limit": {"1000"},
		}
		var page struct {
			Results []stored `json:"results"`
		}
		err := m.request(ctx, http.MethodGet, "/snapshots", query, nil, &page)
		if err != nil && !errors.Is(err, product.ErrNotFound) { // the agent has not registered yet
			return nil, err
		}
		m.list = append(m.list, page.Results...)
	}
	m.read = time.Now()
	return m.list, nil
}

// next waits for the first snapshot later than a time, and returns it with its processes.
func (m *machine) next(ctx context.Context, at time.Time) (*stored, error) {
	list, err := m.after(ctx, at, 1)
	if err != nil {
		return nil, err
	}
	var one stored
	query := url.Values{"time": {list[0].Timestamp.Format(time.RFC3339Nano)}}
	return &one, m.request(ctx, http.MethodGet, "/at", query, nil, &one)
}

// usage is what a process used in a window, as the API returns it. Values that are nil are unknown.
type usage struct {
	PID        int      `json:"pid"`
	Name       string   `json:"name"`
	CPUMS      *float64 `json:"cpu_ms"`
	ReadBytes  *int64   `json:"read_bytes"`
	WriteBytes *int64   `json:"write_bytes"`
}

// cpu returns the CPU time, 0 if it is unknown.
func (u *usage) cpu() time.Duration {
	return time.Duration(valueOrZero(u.CPUMS) * float64(time.Millisecond))
}

// window is the interval of a snapshot, with the usage in it.
type window struct {
	from, to time.Time
	interval time.Duration
	cpu      time.Duration // of all processes
	usage    []usage
	// truncated is whether processes are missing in usage that used CPU time.
	truncated bool
}

// maxUsage is the longest list that the API returns.
const maxUsage = 1000

// windows returns the intervals from the one with the time from to the last snapshot.
func (m *machine) windows(ctx context.Context, from time.Time) ([]window, error) {
	list, err := m.all(ctx)
	if err != nil {
		return nil, err
	}
	var windows []window
	for i := 1; i < len(list); i++ {
		w := window{from: list[i-1].Timestamp, to: list[i].Timestamp, interval: list[i].interval()}
		if w.to.Before(from) {
			continue
		}
		if w.interval == 0 { // unknown
			w.interval = w.to.Sub(w.from)
		}
		if err := m.readUsage(ctx, &w); err != nil {
			return nil, err
		}
		windows = append(windows, w)
	}
	return windows, nil
}

// readUsage sets the usage of a window.
func (m *machine) readUsage(ctx context.Context, w *window) error {
	query := url.Values{
		"from": {w.from.Format(time.RFC3339Nano)}, "to": {w.to.Format(time.RFC3339Nano)},
		"limit": {strconv.Itoa(maxUsage)},
	}
	type list struct {
		Results   []usage `json:"results"`
		Truncated bool    `json:"truncated"`
	}
	var top, names list
	if err := m.request(ctx, http.MethodGet, "/processes", query, nil, &top); err != nil {
		return err
	}
	query.Set("by", "name")
	if err := m.request(ctx, http.MethodGet, "/processes", query, nil, &names); err != nil {
		return err
	}
	// The list is in the order of CPU time, so what is missing after a 0 is idle.
	w.usage, w.truncated = top.Results, top.Truncated && top.Results[len(top.Results)-1].cpu() > 0
	for i := range names.Results {
		w.cpu += names.Results[i].cpu()
	}
	return nil
}

// processCPU returns the CPU time of a process between two times. It returns false if the process is not stored.
func (m *machine) processCPU(
	ctx context.Context, pid int, from, to time.Time,
) (sum time.Duration, stored bool, err error) {
	query := url.Values{
		"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)},
		"pid": {strconv.Itoa(pid)}, "resolution": {"raw"},
	}
	var history struct {
		Points []usage `json:"points"`
	}
	err = m.request(ctx, http.MethodGet, "/processes/history", query, nil, &history)
	if errors.Is(err, product.ErrNotFound) {
		return 0, false, nil
	}
	for i := range history.Points {
		sum += history.Points[i].cpu()
	}
	return sum, len(history.Points) > 0, err
}

// request sends a request about the machine.
func (m *machine) request(
	ctx context.Context, method, path string, query url.Values, body []byte, into any,
) error {
	address := m.server.URL + "/api/v1/machines/" + machineID + path + "?" + query.Encode()
	return product.Call(ctx, m.client, method, address, body, into)
}
