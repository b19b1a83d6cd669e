// Package config holds every setting of snapwatch's programs: its name, its
// default and what it means, as struct tags. The command line, the environment,
// .env.example and --help are all made from here.
package config

import (
	"io"
	"log/slog"
	"time"
)

// Log says how to log.
type Log struct {
	Level  string `name:"log-level" env:"SNAPWATCH_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error."`
	Format string `name:"log-format" env:"SNAPWATCH_LOG_FORMAT" enum:"text,json" default:"text" help:"Form of the log: text or json."`
}

// New returns a logger that writes to w.
func (l Log) New(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil { // the command line has checked it
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Database says where the snapshots are.
type Database struct {
	DatabaseURL string `env:"DATABASE_URL" help:"PostgreSQL 15 or newer to use, as a connection URL. Empty: run a private cluster in the data directory."`
	DataDir     string `env:"SNAPWATCH_DATA_DIR" help:"Where the private cluster lives. Empty: /var/lib/snapwatch for root, ~/.local/share/snapwatch for others."`
	Profile     string `env:"SNAPWATCH_PROFILE" enum:"auto,timescale,postgres" default:"auto" help:"How to store: timescale, postgres, or auto, which takes timescale where a Community TimescaleDB of 2.18 or newer is there. A database keeps the profile it was made with."`
	PostgresBin string `env:"SNAPWATCH_POSTGRES_BIN" help:"Folder with initdb, pg_ctl and postgres for the private cluster. Empty: find them."`
}

// Server is the settings of the server.
type Server struct {
	Listen         string        `env:"SNAPWATCH_LISTEN" default:"127.0.0.1:8420" help:"Address to serve on. There is no log-in yet: whoever reaches it reads and changes everything."`
	AllowedHosts   []string      `env:"SNAPWATCH_ALLOWED_HOSTS" help:"Names that browsers may address the server by, separated by commas. Empty: on loopback localhost, 127.0.0.1 and ::1, elsewhere any."`
	ReaderRole     string        `env:"SNAPWATCH_READER_ROLE" help:"Database role that is given the right to read the history, and nothing else, at each start: for Grafana. It must exist."`
	Retention      time.Duration `env:"SNAPWATCH_RETENTION" default:"0" help:"How long snapshots are kept, in whole days, until set through the API. 0: 30 days in PostgreSQL, 365 in TimescaleDB."`
	MaxConns       int32         `env:"SNAPWATCH_MAX_CONNS" default:"10" help:"Most database connections, besides the one that listens."`
	QueueRows      int           `env:"SNAPWATCH_QUEUE_ROWS" default:"500000" help:"Rows that may wait to be written; beyond that posts are refused with 503."`
	Writers        int           `env:"SNAPWATCH_WRITERS" default:"2" help:"Groups that are committed at the same time; a machine's posts always go to the same one."`
	GroupRows      int           `env:"SNAPWATCH_GROUP_ROWS" default:"20000" help:"Rows that are committed together at the most."`
	GroupWait      time.Duration `env:"SNAPWATCH_GROUP_WAIT" default:"5ms" help:"How long the first post of a group waits for others."`
	BodyBytes      int64         `env:"SNAPWATCH_BODY_BYTES" default:"268435456" help:"Bytes of posts, decompressed, that are held in memory at one time."`
	MachineMetrics int           `env:"SNAPWATCH_MACHINE_METRICS" default:"1000" help:"Machines whose newest values /metrics/machines tells to Prometheus, about 20 series each; 0 turns it off."`
	MaxSockets     int           `env:"SNAPWATCH_MAX_SOCKETS" default:"1000" help:"Most live views at one time."`
}

// TLS says how the server proves who it is.
type TLS struct {
	TLSCert string `env:"SNAPWATCH_TLS_CERT" help:"File with the server's certificate and those between it and its authority, PEM. Empty: plain HTTP. A new one is taken without a restart."`
	TLSKey  string `env:"SNAPWATCH_TLS_KEY" help:"File with the certificate's key, PEM."`
}

// Agent is the settings of the agent.
type Agent struct {
	Server     string        `env:"SNAPWATCH_SERVER" default:"http://127.0.0.1:8420" help:"Address of the server."`
	CAFile     string        `env:"SNAPWATCH_CA_FILE" help:"File with certificates of authorities to believe besides the system's, PEM: for a server whose certificate is your own."`
	StateDir   string        `env:"SNAPWATCH_STATE_DIR" help:"Where the machine's id is kept. Empty: /var/lib/snapwatch-agent for root, ~/.local/state/snapwatch-agent for others."`
	MachineID  string        `env:"SNAPWATCH_MACHINE_ID" help:"Id to report under. Empty: made from the system's machine id, and kept."`
	QueueBytes int           `env:"SNAPWATCH_QUEUE_BYTES" default:"67108864" help:"Bytes of snapshots that may wait while the server is away; beyond that the oldest are dropped, and counted in the log."`
	FullEvery  time.Duration `env:"SNAPWATCH_FULL_EVERY" default:"1m" help:"Longest time between two snapshots that list every process; at most 10m."`
}
