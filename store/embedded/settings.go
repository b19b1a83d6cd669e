package embedded

import (
	"context"
	"fmt"
	"strings"
)

// settings returns the settings for the command line. They are passed at each start, so that old clusters get
// the current settings.
func (c *Cluster) settings(ctx context.Context) []string {
	settings := []string{
		"listen_addresses=",
		"unix_socket_directories=" + c.socket,
		"unix_socket_permissions=0700",
		"port=5432",
		"max_connections=60",
		"shared_buffers=256MB",
		fmt.Sprintf("max_wal_size=%dMB", c.maxWALSize(ctx)>>20),
		"checkpoint_timeout=15min",
		"wal_compression=" + c.walCompression(ctx),
		"timezone=UTC",
		"log_timezone=UTC",
		"log_min_error_statement=panic", // a statement has several kilobytes, and every cancelled read would log it
		"jit=off",                       // JIT compilation takes longer than any query
	}
	if !c.cfg.Durable {
		settings = append(
			settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200",
		)
	}
	return append(settings, c.extra...)
}

const (
	// The log of PostgreSQL may take a sixteenth of the file system, but not less than minWALSize and not more than
	// maxWALSize bytes.
	walShare   = 16
	minWALSize = 128 << 20
	maxWALSize = 2 << 30
)

// maxWALSize returns the size up to which the write-ahead log grows between two checkpoints, in bytes.
func (c *Cluster) maxWALSize(ctx context.Context) uint64 {
	now, err := measureDisk(ctx, c.cfg.Dir, DiskOK)
	if err != nil {
		return minWALSize
	}
	return min(max(now.Total/walShare, minWALSize), maxWALSize)
}

// walCompression returns lz4 if the binaries support it, and else PostgreSQL's own method.
func (c *Cluster) walCompression(ctx context.Context) string {
	_, err := c.run(ctx, "postgres", "-D", c.data(), "-c", "wal_compression=lz4", "-C", "wal_compression")
	if err != nil {
		return "on"
	}
	return "lz4"
}

// options returns the options of the server's command line.
func (c *Cluster) options(ctx context.Context) string {
	var options strings.Builder
	for _, setting := range c.settings(ctx) {
		options.WriteString(" -c '" + strings.ReplaceAll(setting, "'", `'\''`) + "'") // for a shell
	}
	return options.String()
}
