//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
)

// restartPause is the time between the end of a program and its next start, as RestartSec in the units.
const restartPause = 100 * time.Millisecond

// service is a server that is started again at once when it ends.
type service struct {
	settings
	dir, databaseURL string
	link             *link

	mu       sync.Mutex
	server   *product.Server // nil while none is up
	held     bool            // it is not started again for now
	stopping bool
	stopped  chan struct{}
	up       chan struct{} // closed at the first start
}

func startService(ctx context.Context, s settings, dir, databaseURL string, link *link) *service {
	one := &service{
		settings: s, dir: dir, databaseURL: databaseURL, link: link,
		stopped: make(chan struct{}), up: make(chan struct{}),
	}
	go one.run(ctx)
	return one
}

func (s *service) run(ctx context.Context) {
	defer close(s.stopped)
	for first := true; ctx.Err() == nil; _ = product.Pause(ctx, restartPause) {
		s.mu.Lock()
		stopping, held := s.stopping, s.held
		s.mu.Unlock()
		if stopping {
			return
		}
		if held {
			continue
		}
		server, err := product.StartReplica(ctx, s.program, s.dir, s.databaseURL, s.log,
			"--request-rate", "1000000", "--runtime-dir", s.dir+"/runtime")
		if err != nil {
			s.logf("%v", err)
			continue
		}
		s.mu.Lock()
		s.server = server
		if s.stopping { // stop came during the start
			_ = syscall.Kill(server.PID, syscall.SIGINT)
		}
		s.mu.Unlock()
		s.link.connect(strings.TrimPrefix(server.URL, "http://"))
		if first {
			close(s.up)
			first = false
		}
		_ = server.Wait()
		s.link.connect("")
		s.mu.Lock()
		s.server = nil
		s.mu.Unlock()
	}
}

// wait waits for the first start, and returns the server.
func (s *service) wait(ctx context.Context) (*product.Server, error) {
	select {
	case <-s.up:
	case <-s.stopped:
		return nil, errors.New("the server did not start")
	case <-ctx.Done():
		return nil, errors.New("the server did not start in time")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil, errors.New("the server has ended")
	}
	return s.server, nil
}

// signal sends a signal to the server if it is up.
func (s *service) signal(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		_ = syscall.Kill(s.server.PID, signal)
	}
}

// hold keeps the server from being started again, or not.
func (s *service) hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
}

// stop ends the server in order, and waits for its end.
func (s *service) stop() error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	s.signal(syscall.SIGINT)
	select {
	case <-s.stopped:
		return nil
	case <-time.After(time.Minute):
		s.signal(syscall.SIGKILL)
		return errors.New("the server did not stop")
	}
}

// realAgent is an agent of the product that is started again at once when it ends.
type realAgent struct {
	settings
	arguments, environment []string

	mu       sync.Mutex
	pid      int
	stopping bool
	recorded []string // timestamps of the snapshots that it has recorded
	stopped  chan struct{}
}

const realMachine = "real"

func startRealAgent(ctx context.Context, s settings, url, state, key string) *realAgent {
	a := &realAgent{
		settings: s,
		arguments: []string{
			"--server", url, "--state-dir", state, "--machine-id", realMachine, "--reader", "proc",
			"--log-level", "debug",
		},
		environment: append(os.Environ(), "SNAPWATCH_ENROLMENT_KEY="+key), stopped: make(chan struct{}),
	}
	go a.run(ctx)
	return a
}

func (a *realAgent) run(ctx context.Context) {
	defer close(a.stopped)
	for ; ctx.Err() == nil; _ = product.Pause(ctx, restartPause) {
		cmd := exec.CommandContext(ctx, a.agent, a.arguments...)
		cmd.Env, cmd.Stderr = a.environment, &recordReader{agent: a}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		a.mu.Lock()
		if a.stopping {
			a.mu.Unlock()
			return
		}
		err := cmd.Start()
		if err == nil {
			a.pid = cmd.Process.Pid
		}
		a.mu.Unlock()
		if err != nil {
			a.logf("start the agent: %v", err)
			continue
		}
		_ = cmd.Wait()
		a.mu.Lock()
		a.pid = 0
		a.mu.Unlock()
	}
}

func (a *realAgent) signal(signal syscall.Signal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pid != 0 {
		_ = syscall.Kill(a.pid, signal)
	}
}

func (a *realAgent) stop() {
	a.mu.Lock()
	a.stopping = true
	a.mu.Unlock()
	a.signal(syscall.SIGTERM)
	<-a.stopped
}

func (a *realAgent) instants() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.recorded...)
}

var recordedLine = regexp.MustCompile(`msg=recorded timestamp=(\S+)`)

// recordReader reads an agent's log. It passes on all lines but those about recorded snapshots.
type recordReader struct {
	agent *realAgent
	rest  []byte
}

func (r *recordReader) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, found := bytes.Cut(r.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		r.rest = rest
		if match := recordedLine.FindSubmatch(line); match != nil {
			r.agent.mu.Lock()
			r.agent.recorded = append(r.agent.recorded, string(match[1]))
			r.agent.mu.Unlock()
		} else if !bytes.Contains(line, []byte("level=DEBUG")) {
			_, _ = io.WriteString(r.agent.log, string(line)+"\n")
		}
	}
}
