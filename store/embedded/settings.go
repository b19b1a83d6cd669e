package embedded

import (
	"context"
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
		"max_wal_size=2GB",
		"checkpoint_timeout=15min",
		"wal_compression=" + c.walCompression(ctx),
		"timezone=UTC",
		"log_timezone=UTC",
		"jit=off", // JIT compilation takes longer than any query
	}
	if !c.cfg.Durable {
		settings = append(
			settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200",
		)
	}
	return append(settings, c.extra...)
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
		options.WriteString(" -c '" + setting + "'")
	}
	return options.String()
}
