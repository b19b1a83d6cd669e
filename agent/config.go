package agent

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Config configures an agent.
type Config struct {
	// Server is the address of the server, for example http://127.0.0.1:8420.
	Server string
	// CAFile is a PEM file of CA certificates to trust in addition to the system's; empty for none.
	CAFile string
	// ClientCert and ClientKey are PEM files with a client certificate and its key; empty for none.
	ClientCert, ClientKey string
	// Token is used instead of the token in StateDir. EnrolmentKey is exchanged for a token if there is none.
	Token, EnrolmentKey string
	// StateDir is the directory for the machine id, the token, unsent snapshots and other state.
	StateDir string
	// MachineID overrides the machine id in StateDir.
	MachineID string
	// QueueBytes limits the compressed size of the unsent snapshots in StateDir, in bytes; 0 means 64 MiB.
	QueueBytes int
	// FullEvery is the longest time between two full snapshots; 0 means a minute.
	FullEvery time.Duration
	// KeepSecrets leaves command lines unchanged. SecretPatterns are regular expressions for additional secrets. The
	// agent masks the first group of a match, or the whole match if the pattern has no group.
	KeepSecrets    bool
	SecretPatterns []string
	// Reader selects how processes are read; empty means ReaderAuto.
	Reader Reader
	// MaxCPU limits the agent's own CPU time over a minute, in percent of one core. Above this limit the agent samples
	// less often. 0 means no limit.
	MaxCPU float64
	// MaxMemory limits the agent's own resident memory, in bytes. Above this limit Run returns ErrMemory. 0 means no
	// limit.
	MaxMemory int64
	// Version is the version of the agent.
	Version string
}

const defaultQueueBytes = 64 << 20

// scrubber returns the scrubber for command lines.
func (cfg *Config) scrubber() (*procfs.Scrubber, error) {
	if cfg.KeepSecrets {
		return nil, nil //nolint:nilnil // a nil scrubber leaves command lines unchanged
	}
	return procfs.NewScrubber(cfg.SecretPatterns)
}

// fullInterval returns FullEvery, or a minute if FullEvery is out of range.
func (cfg *Config) fullInterval() time.Duration {
	if cfg.FullEvery <= 0 || cfg.FullEvery > snapshot.MaxRunDuration {
		return time.Minute
	}
	return cfg.FullEvery
}

// queueBytes returns QueueBytes, or the default.
func (cfg *Config) queueBytes() int {
	if cfg.QueueBytes == 0 {
		return defaultQueueBytes
	}
	return cfg.QueueBytes
}

// serverURL parses the address of the server. It logs a warning if the connection would not be encrypted.
func (cfg *Config) serverURL(logger *slog.Logger) (*url.URL, error) {
	server, err := url.Parse(cfg.Server)
	if err != nil || server.Host == "" || server.Scheme != "http" && server.Scheme != "https" {
		return nil, fmt.Errorf("the server address %q is not valid: use one like http://127.0.0.1:8420", cfg.Server)
	}
	if server.Scheme == "http" && !isLoopback(server.Hostname()) {
		logger.Warn("the token and the process list are sent unencrypted; use https", "server", server.Redacted())
	}
	return server, nil
}

// isLoopback reports whether a host name is this machine's own.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
