package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/agent/delivery"
	"github.com/snapwatch/snapwatch/agent/internal/statefile"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/strictpath"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Agent records this machine and sends the snapshots to a server. Create one with New.
type Agent struct {
	machineID string
	lock      *flock.Flock
	sampler   *collect.Sampler
	queue     *delivery.Queue
	recorder  *recorder
	sender    *delivery.Sender
}

// New returns an agent that is ready to run. It locks the state directory until Run returns.
func New(ctx context.Context, cfg Config, logger *slog.Logger) (_ *Agent, err error) {
	server, err := cfg.serverURL(logger)
	if err != nil {
		return nil, err
	}
	client, err := delivery.NewHTTPClient(cfg.CAFile, cfg.ClientCert, cfg.ClientKey)
	if err != nil {
		return nil, err
	}
	if who, mode := strictpath.KeyReaders(cfg.ClientKey); who != "" {
		logger.Warn("others have access to the private key of the client certificate: run chmod 600 on it",
			"file", cfg.ClientKey, "mode", mode, "accessible_to", who)
	}
	a := &Agent{}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.lock, err = lockState(cfg.StateDir); err != nil {
		return nil, err
	}
	if a.machineID, err = loadMachineID(cfg); err != nil {
		return nil, err
	}
	machine := collect.Machine(ctx, a.machineID, cfg.Version)
	if err := machine.Validate(); err != nil {
		return nil, err
	}
	credential, err := delivery.LoadCredential(cfg.StateDir, cfg.Token, cfg.EnrolmentKey)
	if err != nil {
		return nil, err
	}
	codec, err := delivery.NewCodec()
	if err != nil {
		return nil, err
	}
	var reason string
	if a.sampler, reason, err = openSampler(cfg, cfg.StateDir, logger); err != nil {
		return nil, err
	}
	if visible := checkVisibility(a.sampler.Reader().BPF); !visible.OK {
		logger.Warn(visible.Detail, "fix", visible.Fix)
	} else if visible.Hint != "" {
		logger.Info("some values are not visible to the agent: "+visible.Detail, "hint", visible.Hint)
	}
	describe := a.describe(machine, reason)
	a.queue = delivery.OpenQueue(cfg.StateDir, cfg.queueBytes(), codec, logger)
	a.recorder = newRecorder(a.sampler, a.queue, logger, cfg.fullInterval())
	a.recorder.clock.SinceBoot = sinceBoot()
	a.recorder.watchdog = newWatchdog(cfg.MaxCPU, cfg.MaxMemory, logger)
	a.recorder.restoreConfig(filepath.Join(cfg.StateDir, "config"))
	a.sender = delivery.NewSender(delivery.Config{
		Server:        server,
		Client:        client,
		UserAgent:     "snapwatch-agent/" + cfg.Version,
		Machine:       describe(ctx),
		Describe:      describe,
		Source:        snapshot.Source{RunID: rand.Text(), BootID: procfs.BootID()},
		Queue:         a.queue,
		Codec:         codec,
		Credential:    credential,
		Recorder:      a.recorder,
		QuarantineDir: filepath.Join(cfg.StateDir, "refused"),
		Logger:        logger,
	})
	return a, nil
}

// describe returns a function that keeps the description of a machine up to date. reason says why BPF is not used from
// the start.
func (a *Agent) describe(machine snapshot.Machine, reason string) func(context.Context) snapshot.Machine {
	description := collect.NewDescription(machine, time.Now())
	return func(ctx context.Context) snapshot.Machine {
		m := description.Machine(ctx, time.Now())
		describeReader(&m, a.sampler.Reader(), reason)
		return m
	}
}

// sinceBoot returns the clock of the time since boot, or nil if this system has none.
func sinceBoot() func() time.Duration {
	if procfs.SinceBoot() == 0 {
		return nil
	}
	return procfs.SinceBoot
}

// lockState locks the state directory. Two agents with the same machine id would invalidate each other's changes.
func lockState(dir string) (*flock.Flock, error) {
	if err := statefile.Prepare(dir); err != nil {
		return nil, err
	}
	lock := flock.New(
		filepath.Join(dir, "lock"), flock.SetPermissions(0o600),
		flock.SetFlag(os.O_CREATE|os.O_RDONLY|strictpath.NoFollow),
	)
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("lock the state directory %s: %w", dir, ErrStateInUse)
	}
	return lock, nil
}

// ErrStateInUse means that another agent has locked the state directory.
var ErrStateInUse = errors.New("another agent is using it; stop that agent or set another --state-dir")

// close releases what New has opened.
func (a *Agent) close() {
	if a.sampler != nil {
		a.sampler.Close()
	}
	if a.queue != nil {
		a.queue.Close()
	}
	if a.lock != nil {
		_ = a.lock.Close()
	}
}

// MachineID returns the id under which the machine reports.
func (a *Agent) MachineID() string { return a.machineID }

// startupTime is the time after which a started agent no longer uses the code that only runs at its start.
const startupTime = 20 * time.Second

// stopWait is how long Run waits for the recorder and the sender when it has to stop. It is longer than the sender
// tries to send what is left.
const stopWait = 5 * time.Second

// ErrBlocked means that Run has stopped while the recorder or the sender is still at work, because the kernel blocks
// it.
var ErrBlocked = errors.New("stopped without waiting for a call that blocks in the kernel")

// Run records and sends until ctx ends. It returns ErrMemory if the agent exceeds its memory limit.
func (a *Agent) Run(ctx context.Context) error { return a.run(ctx, stopWait) }

func (a *Agent) run(ctx context.Context, stopWait time.Duration) (err error) {
	defer func() {
		if errors.Is(err, ErrBlocked) {
			_ = a.lock.Close() // what else is open may be in use
		} else {
			a.close()
		}
	}()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	recorded := make(chan error, 1)
	go func() {
		err := a.recorder.run(ctx)
		stop() // the sender has nothing more to wait for
		recorded <- err
	}()
	release := time.AfterFunc(startupTime, func() {
		if err := releaseProgram(); err != nil {
			a.recorder.logger.Debug("could not release the memory of code that is only used at startup", "err", err)
		}
	})
	defer release.Stop()
	sent := make(chan struct{})
	go func() {
		a.sender.Run(ctx)
		close(sent)
	}()
	<-ctx.Done()
	deadline := time.After(stopWait)
	select {
	case <-sent:
	case <-deadline:
		return ErrBlocked
	}
	select {
	case err := <-recorded:
		return err
	case <-deadline:
		return ErrBlocked
	}
}
