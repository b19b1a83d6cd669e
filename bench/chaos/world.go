//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/snapshot"
)

// world is one or more servers on one database, with their load.
type world struct {
	settings
	postgres    postgres // the private database; unused if databaseURL is set
	databaseURL string
	services    []*service
	links       []*link
	token       string // of an administrator
	client      *http.Client
	fleet       *fleet
	watcher     *watcher
	real        *realAgent // nil if there is none

	running  sync.WaitGroup
	stopLoad context.CancelFunc
	stopAll  context.CancelFunc
}

// startWorld starts a server with a private database in data, a real agent and the simulated ones.
func startWorld(ctx context.Context, s settings, data, state string) (w *world, err error) {
	w = &world{settings: s, postgres: postgres{data}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
			w = nil
		}
	}()
	if err := os.Mkdir(data, 0o755); err != nil {
		return w, err
	}
	through, err := newLink(ctx)
	if err != nil {
		return w, err
	}
	w.links = []*link{through}
	w.services = []*service{startService(ctx, s, data, "", through)}
	server, err := w.services[0].wait(ctx)
	if err != nil {
		return w, err
	}
	if w.token, err = server.AdminToken(ctx); err != nil {
		return w, err
	}
	key, err := server.EnrolmentKey(ctx)
	if err != nil {
		return w, err
	}
	w.real = startRealAgent(ctx, s, through.url(), state, key)
	w.startLoad(ctx)
	for w.configureReal(ctx, `{"polling_interval": 0.5}`) != nil { // it has not registered yet
		if err := product.Pause(ctx, pollPause); err != nil {
			return w, err
		}
	}
	return w, nil
}

// startLoad starts the simulated agents and the live view.
func (w *world) startLoad(ctx context.Context) {
	w.client = &http.Client{Transport: bearer.Transport{Token: w.token}, Timeout: time.Minute}
	w.fleet = newFleet(w.links, w.token, w.settings, w.seed)
	w.watcher = &watcher{links: w.links, token: w.token, machineID: w.fleet.probe.id}
	all, stopAll := context.WithCancel(ctx)
	loading, stopLoad := context.WithCancel(all)
	w.stopLoad, w.stopAll = stopLoad, stopAll
	w.running.Go(func() { w.fleet.run(all, loading) })
	w.running.Go(func() { w.watcher.run(loading) })
}

// configureReal changes the config of the real agent's machine.
func (w *world) configureReal(ctx context.Context, config string) error {
	address := w.links[0].url() + "/api/v1/machines/" + realMachine
	return product.Call(ctx, w.client, http.MethodPatch, address, []byte(config), nil)
}

// stop ends all that the world has started.
func (w *world) stop() (err error) {
	if w.stopAll != nil {
		w.stopAll()
		w.running.Wait()
	}
	if w.real != nil {
		w.real.stop()
	}
	for _, one := range w.services {
		err = errors.Join(err, one.stop())
	}
	for _, one := range w.links {
		one.close()
	}
	if pid := w.postgres.postmaster(); w.postgres.dir != "" && pid != 0 { // its server was killed
		w.postgres.signalAll(syscall.SIGCONT)
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
	return err
}

const pollPause = 50 * time.Millisecond

// recovery is when the parts of the service worked again, since the cause of the fault was gone.
type recovery struct{ ready, post, live time.Duration }

func (r recovery) all() time.Duration { return max(r.ready, r.post, r.live) }

// recovered waits until the server is ready, has acknowledged a snapshot that was taken after a time, and a live view
// has received one. It goes on for as long as health checks need to notice a fault: a server that was ready before they
// did is not counted as ready.
func (w *world) recovered(ctx context.Context, since time.Time) (r recovery, err error) {
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	at := int64(snapshot.TimeOf(since)) + 1
	for r.ready == 0 || r.post == 0 || r.live == 0 || time.Since(since) < noticeTime {
		if r.post == 0 && w.fleet.probe.acked.Load() >= at {
			r.post = time.Since(since)
		}
		if r.live == 0 && w.watcher.seen.Load() >= at {
			r.live = time.Since(since)
		}
		if ready := w.ready(ctx); !ready {
			r.ready = 0
		} else if r.ready == 0 {
			r.ready = time.Since(since)
		}
		if err := product.Pause(ctx, pollPause); err != nil {
			return r, fmt.Errorf("it did not recover within %s: %+v: %w", time.Since(since), r, err)
		}
	}
	return r, nil
}

// noticeTime is more than the time between two rounds of health checks.
const noticeTime = 3 * time.Second

// giveUp is how long a recovery may take until the run ends.
const giveUp = 90 * time.Second

// ready reports whether a server is ready.
func (w *world) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, one := range w.links {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, one.url()+"/readyz", nil)
		if err != nil {
			return false
		}
		response, err := w.client.Do(request)
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}
