package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"github.com/snapwatch/snapwatch/agent/spool"
	"github.com/snapwatch/snapwatch/internal/filelock"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Config is what an agent needs to know.
type Config struct {
	// Server is the server's address, for example http://127.0.0.1:8420.
	Server string
	// CAFile has certificates of authorities to believe besides the system's, PEM; empty for none.
	CAFile string
	// ClientCert and ClientKey are files with a client certificate, PEM; empty for none.
	ClientCert, ClientKey string
	// Token is used in place of the one that is kept in StateDir; EnrolmentKey is turned
	// into one if there is none.
	Token, EnrolmentKey string
	// StateDir keeps the machine's id, its token and boot time.
	StateDir string
	// MachineID overrides the id that is kept in StateDir.
	MachineID string
	// QueueBytes bounds the snapshots that wait for the server, compressed, in StateDir; 0
	// means 64 MiB.
	QueueBytes int
	// FullEvery is the longest time between two full snapshots; 0 means a minute.
	FullEvery time.Duration
	// KeepSecrets leaves command lines as they are; SecretPatterns are regular expressions
	// of what else is taken out of them: the first group of each, or all that it matches.
	KeepSecrets    bool
	SecretPatterns []string
	// MaxCPU bounds the agent's own CPU time, in percent of one core over a minute: beyond
	// it samples are taken less often; 0 for no bound.
	MaxCPU float64
	// MaxMemory bounds the agent's own resident memory, in bytes: beyond it Run ends; 0 for
	// no bound.
	MaxMemory int64
	// Version is the agent's own.
	Version string
}

// Agent watches this machine.
type Agent struct {
	recorder *recorder
	sender   *sender
	lock     *os.File
}

// New prepares an agent; Run makes it work.
func New(ctx context.Context, cfg Config, logger *slog.Logger) (*Agent, error) {
	base, err := url.Parse(cfg.Server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("the server's address must look like http://127.0.0.1:8420, not %q", cfg.Server)
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		logger.Warn(
			"the token and the process list travel to the server in the clear: use https", "server", base.Redacted(),
		)
	}
	client, err := newClient(cfg.CAFile, cfg.ClientCert, cfg.ClientKey)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	// Two agents with one machine id would break each other's runs of changes.
	lock, err := filelock.Lock(filepath.Join(cfg.StateDir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("one agent a state directory: %w", err)
	}
	if cfg.MachineID == "" {
		if cfg.MachineID, err = machineID(cfg.StateDir); err != nil {
			return nil, errors.Join(err, lock.Close())
		}
	}
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = 64 << 20
	}
	shown, err := newCredential(cfg.StateDir, cfg.Token, cfg.EnrolmentKey)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	machine := describe(ctx, cfg)
	if err := machine.Validate(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	scrub, err := cfg.scrubber()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	taken, err := newSampler(cfg.StateDir, scrub, logger)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	wire, err := newPacker()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	waiting, err := openQueue(cfg, wire, logger)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if seen := examineSight(); seen.Fix != "" {
		logger.Info("what the agent sees: "+seen.Detail, "fix", seen.Fix)
	}
	r := newRecorder(taken, waiting, logger, cfg.fullEvery())
	r.watchdog = newWatchdog(cfg.MaxCPU, cfg.MaxMemory, logger)
	told := filepath.Join(cfg.StateDir, "config")
	r.config = keptConfig(told)
	r.keep = func(config snapshot.Config) {
		if err := keepConfig(told, config); err != nil {
			logger.Warn("the config could not be kept for the next start", "err", err)
		}
	}
	return &Agent{
		recorder: r,
		lock:     lock,
		sender: &sender{
			base:        base,
			machine:     machine,
			client:      client,
			queue:       waiting,
			credential:  shown,
			shelf:       shelf{filepath.Join(cfg.StateDir, "refused"), shelfFiles, shelfBytes},
			refusedWait: refusedWait,
			recorder:    r,
			logger:      logger,
			userAgent:   "snapwatch-agent/" + cfg.Version,
			packer:      wire,
			most:        batchLimit,
		},
	}, nil
}

// scrubber is what the config says of secrets.
func (cfg *Config) scrubber() (*scrubber, error) {
	if cfg.KeepSecrets {
		return nil, nil //nolint:nilnil // a nil scrubber takes out nothing
	}
	return newScrubber(cfg.SecretPatterns)
}

// fullEvery is FullEvery, or a minute where that is not possible.
func (cfg *Config) fullEvery() time.Duration {
	if cfg.FullEvery <= 0 || cfg.FullEvery > snapshot.MaxRunDuration {
		return time.Minute
	}
	return cfg.FullEvery
}

// openQueue opens the spool in the state directory. Where that cannot be, the agent
// makes do with memory.
func openQueue(cfg Config, packing *packer, logger *slog.Logger) (*queue, error) {
	kept, err := spool.Open(spool.Config{Dir: filepath.Join(cfg.StateDir, "spool"), MaxBytes: int64(cfg.QueueBytes)})
	if err != nil {
		logger.Error(
			"snapshots cannot be kept on disk: what waits for the server is in memory and is lost with the agent",
			"err", err,
		)
		return newQueue(cfg.QueueBytes), nil
	}
	if n := kept.Damages(); n > 0 {
		logger.Warn("parts of what waited on disk are damaged and left out", "places", n)
	}
	if n := kept.Last() - kept.Done(); n > 0 {
		logger.Info("snapshots of before wait to be sent", "snapshots", n)
	}
	q := newSpooledQueue(kept, packing, logger)
	q.untold = openUntold(filepath.Join(cfg.StateDir, "dropped"))
	return q, nil
}

// MachineID returns the id that the machine reports under.
func (a *Agent) MachineID() string { return a.sender.machine.MachineID }

// Run samples and sends until ctx ends, or the agent takes more memory than it may: then
// it returns ErrMemory.
func (a *Agent) Run(ctx context.Context) error {
	defer func() { _ = a.lock.Close() }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	recorded := make(chan error, 1)
	go func() {
		err := a.recorder.run(ctx)
		stop() // the sender has nothing to wait for any more
		recorded <- err
	}()
	begun := time.AfterFunc(beginning, func() {
		if err := releaseProgram(); err != nil {
			a.recorder.logger.Debug("what it took to begin stays in memory", "err", err)
		}
	})
	defer begun.Stop()
	a.sender.run(ctx)
	err := <-recorded
	a.recorder.sampler.close()
	a.sender.queue.close()
	return err
}

// beginning is after how long an agent has done everything once.
const beginning = 20 * time.Second

// isLoopback reports whether a host's name is this machine's own.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// describe collects what the machine says of itself; what cannot be read stays empty.
func describe(ctx context.Context, cfg Config) snapshot.Machine {
	m := snapshot.Machine{MachineID: cfg.MachineID, AgentVersion: cfg.Version}
	text := func(s string) string { return clean(s, snapshot.MaxTextBytes) }
	if info, err := host.InfoWithContext(ctx); err == nil {
		m.Hostname, m.OS, m.Kernel, m.Architecture = text(
			info.Hostname,
		), text(
			info.OS,
		), text(
			info.KernelVersion,
		), text(
			info.KernelArch,
		)
		m.Platform = text(strings.TrimSpace(info.Platform + " " + info.PlatformVersion))
	}
	if cpus, err := cpu.InfoWithContext(ctx); err == nil && len(cpus) > 0 {
		m.CPUModel = text(cpus[0].ModelName)
	}
	if n, err := cpu.CountsWithContext(ctx, true); err == nil {
		m.CPUCount = int32(n)
	}
	if ram, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.TotalRAM = signed(ram.Total)
	}
	return m
}

// newClient returns a client that believes the system's authorities and those of a
// file, and shows a certificate if it has one. It follows no redirects: they would
// take the token elsewhere.
func newClient(caFile, certFile, keyFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is documented as one
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if certFile != "" || keyFile != "" {
		if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		// Read anew for each connection: it is renewed like others.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(certFile, keyFile)
			return &pair, err
		}
	}
	if caFile == "" {
		return client, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the authorities' certificates: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", caFile)
	}
	transport.TLSClientConfig.RootCAs = roots
	return client, nil
}
