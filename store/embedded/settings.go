package embedded

import (
	"context"
	"fmt"
	"strings"
)

// settings returns the settings for the command line. They are passed at each start, so that old clusters get
// the current settings. diskSize is the size of the write-ahead log's file system in bytes, 0 if it is unknown.
func (c *Cluster) settings(ctx context.Context, diskSize uint64) []string {
	settings := []string{
		"listen_addresses=",
		"unix_socket_directories=" + c.socket,
		"unix_socket_permissions=0700",
		"port=5432",
		"max_connections=60",
		"shared_buffers=256MB",
		fmt.Sprintf("max_wal_size=%dMB", maxWALSize(diskSize)>>20),
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

// maxWALSize returns the size in bytes up to which the write-ahead log grows between two checkpoints: a sixteenth of
// the file system, but not less than 128 MiB and not more than 2 GiB.
func maxWALSize(diskSize uint64) uint64 { return min(max(diskSize/16, 128<<20), 2<<30) }

// walCompression returns lz4 if the binaries support it, and else PostgreSQL's own method.
func (c *Cluster) walCompression(ctx context.Context) string {
	_, err := c.run(ctx, "postgres", "-D", c.data(), "-c", "wal_compression=lz4", "-C", "wal_compression")
	if err != nil {
		return "on"
	}
	return "lz4"
}

// options returns the options of the server's command line.
func (c *Cluster) options(ctx context.Context, diskSize uint64) string {
	var options strings.Builder
	for _, setting := range c.settings(ctx, diskSize) {
		options.WriteString(" -c '" + strings.ReplaceAll(setting, "'", `'\''`) + "'") // for a shell
	}
	return options.String()
}
