// Package config defines the settings of snapwatch's programs as struct tags: names, defaults and descriptions. The tag
// redact says what Effective hides. The command line parses them with kong, and the package generates .env.example and
// docs/settings.md from kong's model of the same structs.
package config

import (
	"io"
	"log/slog"
	"time"

	"github.com/snapwatch/snapwatch/internal/logthrottle"
)

// Log is the logging settings of both programs.
type Log struct {
	Level  string `name:"log-level" env:"SNAPWATCH_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Lowest level to log: debug, info, warn or error."`
	Format string `name:"log-format" env:"SNAPWATCH_LOG_FORMAT" enum:"text,json" default:"text" help:"Log format: text or json."`
}

// New returns a logger that writes to w, and repeats a fault at most once a second.
func (l Log) New(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil { // the command line has checked it
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(logthrottle.New(slog.NewJSONHandler(w, options)))
	}
	return slog.New(logthrottle.New(slog.NewTextHandler(w, options)))
}

// Database is the settings of the server's database.
type Database struct {
	DatabaseURL       string `env:"DATABASE_URL" redact:"url" help:"Connection URL of PostgreSQL 15 or newer. Empty: run a private cluster in the data directory."`
	ListenDatabaseURL string `env:"SNAPWATCH_LISTEN_DATABASE_URL" redact:"url" help:"Connection URL for notifications, if DATABASE_URL leads to a pooler that does not deliver them. Empty: DATABASE_URL."`
	DataDir           string `env:"SNAPWATCH_DATA_DIR" redact:"name" help:"Directory of the private cluster. Empty: /var/lib/snapwatch for root, ~/.local/share/snapwatch for other users. Commands besides up and serve use that of the running server, if there is one."`
	RuntimeDir        string `env:"SNAPWATCH_RUNTIME_DIR" redact:"name" help:"Directory in which a running server records its data directory, so that commands find it without --data-dir. Empty: /run/snapwatch-root for root, $XDG_RUNTIME_DIR/snapwatch or /tmp/snapwatch-UID for other users. Commands also look in /run/snapwatch, where the service records it."`
	Profile           string `env:"SNAPWATCH_PROFILE" enum:"auto,timescale,postgres" default:"auto" help:"Storage profile of a new database: timescale, postgres or auto. auto uses TimescaleDB Community 2.18 or newer if it is available. A database keeps its profile."`
	PostgresBin       string `env:"SNAPWATCH_POSTGRES_BIN" redact:"name" help:"Directory with initdb, pg_ctl and postgres for the private cluster. Empty: search the usual places."`
}

// Server is the settings of the server, besides those of the other structs.
type Server struct {
	Listen         string        `env:"SNAPWATCH_LISTEN" default:"127.0.0.1:8420" redact:"name" help:"Address to listen on. Use TLS for any address that other machines can reach."`
	AllowedHosts   []string      `env:"SNAPWATCH_ALLOWED_HOSTS" redact:"name" help:"Host names that clients may use for the server, without ports, comma-separated. Empty: localhost, 127.0.0.1 and ::1 on loopback, any name elsewhere."`
	BasePath       string        `env:"SNAPWATCH_BASE_PATH" redact:"hide" help:"Path below which the pages and the API are served, such as /snapwatch, for a proxy that serves other applications of the same host name. Empty: the root."`
	AdminListen    string        `env:"SNAPWATCH_ADMIN_LISTEN" redact:"name" help:"Address for profiles, goroutine dumps and metrics for administrators of this machine: the absolute path of a Unix socket, or a loopback address with a port, which also requires SNAPWATCH_ADMIN_TOKEN. Empty: disabled."`
	ReaderRole     string        `env:"SNAPWATCH_READER_ROLE" redact:"name" help:"Existing database role, for example Grafana's, that may read the history and nothing else. Granted at each start."`
	Retention      Days          `env:"SNAPWATCH_RETENTION" default:"0" help:"Retention of snapshots at the first start with a database, such as 30d. It is then stored in the database: change it on the storage page or through the API. 0: 30 days in PostgreSQL, 365 days in TimescaleDB."`
	ExitsDays      int           `env:"SNAPWATCH_EXITS_DAYS" default:"0" help:"Days to keep processes that started and ended between two snapshots, at the first start with a database. It is then stored like the retention. 0: 7 days in PostgreSQL, 30 days in TimescaleDB, and at most the retention of snapshots."`
	MaxConns       int           `env:"SNAPWATCH_MAX_CONNS" default:"20" help:"Maximum number of database connections, besides one for LISTEN. Posts, the live view, accounts and maintenance have connections of their own, 15 with two writers. The others are for reads, at least 2."`
	QueueRows      int           `env:"SNAPWATCH_QUEUE_ROWS" default:"500000" help:"Maximum number of rows in the write queue. Above it, posts get status 503."`
	Writers        int           `env:"SNAPWATCH_WRITERS" default:"2" help:"Number of writers that commit in parallel. Each machine always uses the same writer."`
	GroupRows      int           `env:"SNAPWATCH_GROUP_ROWS" default:"20000" help:"Maximum number of rows in one commit."`
	GroupWait      time.Duration `env:"SNAPWATCH_GROUP_WAIT" default:"5ms" help:"Time that the first post of a commit waits for others."`
	BodyBytes      int64         `env:"SNAPWATCH_BODY_BYTES" default:"201326592" help:"Maximum memory in bytes for request bodies, decompressed and decoded. A single post may have 64 MiB, and needs twice that while it is read."`
	MachineMetrics int           `env:"SNAPWATCH_MACHINE_METRICS" default:"1000" help:"Maximum number of machines in /metrics/machines, with about 20 series each. 0: disabled."`
	MaxSockets     int           `env:"SNAPWATCH_MAX_SOCKETS" default:"1000" help:"Maximum number of live views, and at most 50 for each user or token."`
	RunCache       int           `env:"SNAPWATCH_RUN_CACHE" default:"0" help:"Maximum number of processes in the cache of the last snapshots of machines, about 100 bytes each. 0: as many as fit into a sixteenth of the memory, 200,000 to 10,000,000."`
	TextCache      int           `env:"SNAPWATCH_TEXT_CACHE" default:"0" help:"Maximum number of command lines and owners of short-lived processes in their cache, about 50 bytes each. 0: as many as fit into a 32nd of the memory, 200,000 to 5,000,000."`
	TokenCache     int           `env:"SNAPWATCH_TOKEN_CACHE" default:"0" help:"Maximum number of tokens and sessions in their cache, about 500 bytes each. 0: as many as fit into a 128th of the memory, 20,000 to 200,000."`
}

// Access is the settings for authentication and the limits of clients.
type Access struct {
	SessionLifetime      time.Duration `env:"SNAPWATCH_SESSION_LIFETIME" default:"720h" help:"Maximum lifetime of a session."`
	SessionIdle          time.Duration `env:"SNAPWATCH_SESSION_IDLE" default:"168h" help:"Time after which an unused session ends."`
	EnrolmentKey         string        `env:"SNAPWATCH_ENROLMENT_KEY" redact:"secret" help:"Secret of 32 characters or more that lets any number of agents enrol. Set it in the environment. Prefer keys of snapwatch key add, which are limited."`
	MetricsToken         string        `env:"SNAPWATCH_METRICS_TOKEN" redact:"secret" help:"Secret of 32 characters or more that lets Prometheus read /metrics, and nothing else. Set it in the environment."`
	AdminToken           string        `env:"SNAPWATCH_ADMIN_TOKEN" redact:"secret" help:"Secret of 32 characters or more for --admin-listen with a loopback address. Set it in the environment."`
	TrustedProxies       []string      `env:"SNAPWATCH_TRUSTED_PROXIES" redact:"name" help:"Addresses or networks of proxies whose X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto and X-Forwarded-Prefix headers are trusted, comma-separated. Empty: none."`
	RequestRate          float64       `env:"SNAPWATCH_REQUEST_RATE" default:"100" help:"Average number of requests per second for each user or token. Bursts may have twice as many."`
	MaxConnections       int           `env:"SNAPWATCH_MAX_CONNECTIONS" default:"20000" help:"Maximum number of open connections. Further connections are closed."`
	MaxClientConnections int           `env:"SNAPWATCH_MAX_CLIENT_CONNECTIONS" default:"1024" help:"Maximum number of open connections from one address. Trusted proxies are exempt."`
}

// OIDC is the settings for single sign-on through an OpenID Connect provider.
type OIDC struct {
	OIDCIssuer       string   `name:"oidc-issuer" env:"SNAPWATCH_OIDC_ISSUER" redact:"name" help:"URL of an OpenID Connect provider for single sign-on. Empty: disabled."`
	OIDCName         string   `name:"oidc-name" env:"SNAPWATCH_OIDC_NAME" default:"single sign-on" redact:"hide" help:"Name of the provider on the sign-in page."`
	OIDCClientID     string   `name:"oidc-client-id" env:"SNAPWATCH_OIDC_CLIENT_ID" redact:"name" help:"Client ID of snapwatch at the provider."`
	OIDCClientSecret string   `name:"oidc-client-secret" env:"SNAPWATCH_OIDC_CLIENT_SECRET" redact:"secret" help:"Client secret of snapwatch at the provider. Set it in the environment."`
	OIDCRedirectURL  string   `name:"oidc-redirect-url" env:"SNAPWATCH_OIDC_REDIRECT_URL" redact:"name" help:"Redirect URL that is registered with the provider: https://NAME/api/v1/auth/oidc/callback, with the base path before /api if there is one."`
	OIDCScopes       []string `name:"oidc-scopes" env:"SNAPWATCH_OIDC_SCOPES" default:"profile,email" redact:"hide" help:"Scopes to request besides openid."`
	OIDCRoleClaim    string   `name:"oidc-role-claim" env:"SNAPWATCH_OIDC_ROLE_CLAIM" default:"groups" redact:"hide" help:"Claim that determines a user's role: a string or a list of strings."`
	OIDCAdminValues  []string `name:"oidc-admin-values" env:"SNAPWATCH_OIDC_ADMIN_VALUES" redact:"name" help:"Values of the role claim that give the role admin."`
	OIDCUserValues   []string `name:"oidc-user-values" env:"SNAPWATCH_OIDC_USER_VALUES" redact:"name" help:"Values of the role claim that give the role user; * is any value. Nobody else may sign in."`
	OIDCTagsClaim    string   `name:"oidc-tags-claim" env:"SNAPWATCH_OIDC_TAGS_CLAIM" redact:"hide" help:"Claim with the tags of the machines that a user may see. Empty: administrators assign tags."`
}

// TLS is the settings for the server's certificate, and for client certificates of agents.
type TLS struct {
	TLSCert string `env:"SNAPWATCH_TLS_CERT" redact:"name" help:"PEM file with the server's certificate and intermediate certificates. Changes are loaded without a restart. Empty: plain HTTP."`
	TLSKey  string `env:"SNAPWATCH_TLS_KEY" redact:"name" help:"PEM file with the certificate's private key."`
	AgentCA string `name:"agent-ca" env:"SNAPWATCH_AGENT_CA" redact:"name" help:"PEM file with CA certificates. If set, agents need a client certificate of one of them, besides their token."`

	ACMEDomains   []string `name:"acme-domains" env:"SNAPWATCH_ACME_DOMAINS" redact:"name" help:"Host names to get certificates for through ACME, instead of --tls-cert. The CA must reach port 443, or port 80 with --acme-http."`
	ACMEEmail     string   `name:"acme-email" env:"SNAPWATCH_ACME_EMAIL" redact:"name" help:"Contact address for the CA."`
	ACMEDirectory string   `name:"acme-directory" env:"SNAPWATCH_ACME_DIRECTORY" redact:"name" help:"Directory URL of the CA. Empty: Let's Encrypt."`
	ACMECA        string   `name:"acme-ca" env:"SNAPWATCH_ACME_CA" redact:"name" help:"PEM file with the root certificate of the CA's own server, if the system does not trust it."`
	ACMEHTTP      string   `name:"acme-http" env:"SNAPWATCH_ACME_HTTP" redact:"hide" help:"Address, such as :80, that answers ACME challenges and redirects all else to HTTPS. Empty: none."`
}

// Agent is the settings of the agent.
type Agent struct {
	Config string `env:"SNAPWATCH_CONFIG" help:"File with settings as lines VARIABLE=value. Empty: /etc/snapwatch/agent.env, or %ProgramData%\\snapwatch\\agent.env on Windows, if it is readable."`

	Server     string `env:"SNAPWATCH_SERVER" default:"http://127.0.0.1:8420" help:"URL of the server, with its base path if it has one."`
	CAFile     string `env:"SNAPWATCH_CA_FILE" help:"PEM file with CA certificates to trust besides the system's."`
	ClientCert string `env:"SNAPWATCH_CLIENT_CERT" help:"PEM file with a client certificate, for a server with --agent-ca."`
	ClientKey  string `env:"SNAPWATCH_CLIENT_KEY" help:"PEM file with the client certificate's private key."`

	EnrolmentKey string `env:"SNAPWATCH_ENROLMENT_KEY" redact:"secret" help:"Key with which the agent gets its own token if it has none, or if its token is no longer valid. Set it in the environment."`
	Token        string `env:"SNAPWATCH_TOKEN" redact:"secret" help:"Token to use instead of the one in the state directory. Set it in the environment."`

	StateDir       string   `env:"SNAPWATCH_STATE_DIR" help:"Directory for the machine's ID, its token and unsent snapshots. Empty: /var/lib/snapwatch-agent for root, ~/.local/state/snapwatch-agent for other users."`
	MachineID      string   `env:"SNAPWATCH_MACHINE_ID" help:"ID of this machine. Empty: derived from the system's machine ID, and stored."`
	QueueBytes     int      `env:"SNAPWATCH_QUEUE_BYTES" default:"67108864" help:"Maximum size in bytes of unsent snapshots on disk, compressed. Above it the agent drops the oldest, and logs how many."`
	KeepSecrets    bool     `env:"SNAPWATCH_KEEP_SECRETS" help:"Record command lines unchanged. By default the agent redacts passwords, tokens and similar values."`
	SecretPatterns []string `env:"SNAPWATCH_SECRET_PATTERN" name:"secret-pattern" sep:"none" help:"Regular expression for further values to redact in command lines: its first group, or the whole match. Repeatable."`

	Reader    string        `env:"SNAPWATCH_READER" enum:"auto,bpf,proc" default:"auto" help:"How the agent reads processes on Linux: with BPF programs in the kernel (bpf), or from /proc and taskstats (proc). auto: BPF where the kernel and the agent's permissions allow it."`
	FullEvery time.Duration `env:"SNAPWATCH_FULL_EVERY" default:"1m" help:"Maximum time between two full snapshots, at most 10m."`

	MaxCPU        float64 `env:"SNAPWATCH_MAX_CPU" default:"10" help:"CPU limit of the agent in percent of one core, over a minute. Above it the agent samples half as often. 0: no limit."`
	MaxMemory     int64   `env:"SNAPWATCH_MAX_MEMORY" default:"134217728" help:"Memory limit of the agent in bytes. Near it the agent collects garbage more often. Above it for three minutes the agent exits, so that its service restarts it. 0: no limit."`
	MetricsListen string  `env:"SNAPWATCH_METRICS_LISTEN" help:"Address for the agent's own metrics, under /metrics. Empty: disabled."`
}
