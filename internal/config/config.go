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
	Listen         string        `env:"SNAPWATCH_LISTEN" default:"127.0.0.1:8420" help:"Address to serve on. Other than on loopback, use TLS: passwords and process lists would travel in the clear."`
	AllowedHosts   []string      `env:"SNAPWATCH_ALLOWED_HOSTS" help:"Names that browsers may address the server by, separated by commas. Empty: on loopback localhost, 127.0.0.1 and ::1, elsewhere any."`
	ReaderRole     string        `env:"SNAPWATCH_READER_ROLE" help:"Database role that is given the right to read the history, and nothing else, at each start: for Grafana. It must exist."`
	Retention      time.Duration `env:"SNAPWATCH_RETENTION" default:"0" help:"How long snapshots are kept, in whole days, until set through the API. 0: 30 days in PostgreSQL, 365 in TimescaleDB."`
	MaxConns       int32         `env:"SNAPWATCH_MAX_CONNS" default:"10" help:"Most database connections, besides the one that listens."`
	QueueRows      int           `env:"SNAPWATCH_QUEUE_ROWS" default:"500000" help:"Rows that may wait to be written; beyond that posts are refused with 503."`
	Writers        int           `env:"SNAPWATCH_WRITERS" default:"2" help:"Groups that are committed at the same time; a machine's posts always go to the same one."`
	GroupRows      int           `env:"SNAPWATCH_GROUP_ROWS" default:"20000" help:"Rows that are committed together at the most."`
	GroupWait      time.Duration `env:"SNAPWATCH_GROUP_WAIT" default:"5ms" help:"How long the first post of a group waits for others."`
	BodyBytes      int64         `env:"SNAPWATCH_BODY_BYTES" default:"201326592" help:"Bytes of posts, decompressed and decoded, that are held in memory at one time; a single post may be 64 MiB, and take as much again while it is read."`
	MachineMetrics int           `env:"SNAPWATCH_MACHINE_METRICS" default:"1000" help:"Machines whose newest values /metrics/machines tells to Prometheus, about 20 series each; 0 turns it off."`
	MaxSockets     int           `env:"SNAPWATCH_MAX_SOCKETS" default:"1000" help:"Most live views at one time; 50 of one user or token."`
	Access
}

// Access says who gets in, and how much one may ask.
type Access struct {
	SessionLifetime      time.Duration `env:"SNAPWATCH_SESSION_LIFETIME" default:"720h" help:"Longest that a log-in lasts."`
	SessionIdle          time.Duration `env:"SNAPWATCH_SESSION_IDLE" default:"168h" help:"Longest that a log-in lasts without being used."`
	EnrolmentKey         string        `env:"SNAPWATCH_ENROLMENT_KEY" help:"A secret of 32 characters or more with which any number of agents may enrol, until it is changed here. Set it in the environment: others see command lines. snapwatch key add makes better ones."`
	MetricsToken         string        `env:"SNAPWATCH_METRICS_TOKEN" help:"A secret of 32 characters or more with which Prometheus reads /metrics, and nothing else. Set it in the environment."`
	TrustedProxies       []string      `env:"SNAPWATCH_TRUSTED_PROXIES" help:"Addresses or networks of proxies, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are believed. Empty: none."`
	RequestRate          float64       `env:"SNAPWATCH_REQUEST_RATE" default:"100" help:"Requests a second that one user or token may make on average; twice as many at once."`
	MaxConnections       int           `env:"SNAPWATCH_MAX_CONNECTIONS" default:"20000" help:"Most connections at one time; those beyond are closed."`
	MaxClientConnections int           `env:"SNAPWATCH_MAX_CLIENT_CONNECTIONS" default:"1024" help:"Most connections of one address at one time, trusted proxies aside."`
}

// OIDC says how people log in through an identity provider.
type OIDC struct {
	OIDCIssuer       string   `name:"oidc-issuer" env:"SNAPWATCH_OIDC_ISSUER" help:"Address of an OpenID Connect provider through which people log in. Empty: none."`
	OIDCName         string   `name:"oidc-name" env:"SNAPWATCH_OIDC_NAME" default:"single sign-on" help:"What the provider is called on the log-in page."`
	OIDCClientID     string   `name:"oidc-client-id" env:"SNAPWATCH_OIDC_CLIENT_ID" help:"What the provider calls snapwatch."`
	OIDCClientSecret string   `name:"oidc-client-secret" env:"SNAPWATCH_OIDC_CLIENT_SECRET" help:"The secret that goes with it. Set it in the environment."`
	OIDCRedirectURL  string   `name:"oidc-redirect-url" env:"SNAPWATCH_OIDC_REDIRECT_URL" help:"Address that the provider sends people back to: https://NAME/api/v1/auth/oidc/callback, as registered with it."`
	OIDCScopes       []string `name:"oidc-scopes" env:"SNAPWATCH_OIDC_SCOPES" default:"profile,email" help:"Scopes to ask for besides openid."`
	OIDCRoleClaim    string   `name:"oidc-role-claim" env:"SNAPWATCH_OIDC_ROLE_CLAIM" default:"groups" help:"The claim that says what somebody is: a text or a list of texts."`
	OIDCAdminValues  []string `name:"oidc-admin-values" env:"SNAPWATCH_OIDC_ADMIN_VALUES" help:"Values of the claim that make an admin."`
	OIDCUserValues   []string `name:"oidc-user-values" env:"SNAPWATCH_OIDC_USER_VALUES" help:"Values of the claim that make a user; * makes one of everybody whom the provider knows. Others may not log in."`
	OIDCTagsClaim    string   `name:"oidc-tags-claim" env:"SNAPWATCH_OIDC_TAGS_CLAIM" help:"The claim with the tags of the machines that somebody sees. Empty: administrators grant tags."`
}

// TLS says how the server proves who it is.
type TLS struct {
	TLSCert string `env:"SNAPWATCH_TLS_CERT" help:"File with the server's certificate and those between it and its authority, PEM. Empty: plain HTTP. A new one is taken without a restart."`
	TLSKey  string `env:"SNAPWATCH_TLS_KEY" help:"File with the certificate's key, PEM."`
	AgentCA string `name:"agent-ca" env:"SNAPWATCH_AGENT_CA" help:"File with certificates of authorities, PEM: agents must then show a client certificate of one of them, besides their token."`

	ACMEDomains   []string `name:"acme-domains" env:"SNAPWATCH_ACME_DOMAINS" help:"Names of this server to get certificates for by itself, in place of files: the authority must reach it at port 443, or at port 80 with --acme-http."`
	ACMEEmail     string   `name:"acme-email" env:"SNAPWATCH_ACME_EMAIL" help:"Where the authority sends warnings to."`
	ACMEDirectory string   `name:"acme-directory" env:"SNAPWATCH_ACME_DIRECTORY" help:"Address of an ACME authority. Empty: Let's Encrypt."`
	ACMECA        string   `name:"acme-ca" env:"SNAPWATCH_ACME_CA" help:"File with the certificate of that authority's own server, PEM, if the system does not know it."`
	ACMEHTTP      string   `name:"acme-http" env:"SNAPWATCH_ACME_HTTP" help:"Address, such as :80, at which to answer the authority and send everybody else to HTTPS. Empty: none."`
}

// Agent is the settings of the agent.
type Agent struct {
	Config string `env:"SNAPWATCH_CONFIG" help:"File with settings, as lines VARIABLE=value. Empty: /etc/snapwatch/agent.env, or agent.env in snapwatch under ProgramData on Windows, if it can be read."`

	Server     string `env:"SNAPWATCH_SERVER" default:"http://127.0.0.1:8420" help:"Address of the server."`
	CAFile     string `env:"SNAPWATCH_CA_FILE" help:"File with certificates of authorities to believe besides the system's, PEM: for a server whose certificate is your own."`
	ClientCert string `env:"SNAPWATCH_CLIENT_CERT" help:"File with a client certificate to show the server, PEM, where it asks for one (--agent-ca)."`
	ClientKey  string `env:"SNAPWATCH_CLIENT_KEY" help:"File with that certificate's key, PEM."`

	EnrolmentKey string `env:"SNAPWATCH_ENROLMENT_KEY" help:"Turned into a token of this machine's own when there is none, or it does not count any more. Set it in the environment: others see command lines."`
	Token        string `env:"SNAPWATCH_TOKEN" help:"A token to use in place of one's own, which is kept in the state directory. Set it in the environment."`

	StateDir       string   `env:"SNAPWATCH_STATE_DIR" help:"Where the machine's id, its token and the snapshots that the server does not have yet are kept. Empty: /var/lib/snapwatch-agent for root, ~/.local/state/snapwatch-agent for others."`
	MachineID      string   `env:"SNAPWATCH_MACHINE_ID" help:"Id to report under. Empty: made from the system's machine id, and kept."`
	QueueBytes     int      `env:"SNAPWATCH_QUEUE_BYTES" default:"67108864" help:"Bytes of snapshots that may wait on disk, compressed, while the server is away; beyond that the oldest are dropped, and counted in the log."`
	KeepSecrets    bool     `env:"SNAPWATCH_KEEP_SECRETS" help:"Record command lines as they are. Without it passwords, tokens and the like are taken out of them before they leave the machine."`
	SecretPatterns []string `env:"SNAPWATCH_SECRET_PATTERN" name:"secret-pattern" sep:"none" help:"Regular expression of what else to take out of command lines: its first group, or all that it matches. May be given several times."`

	FullEvery time.Duration `env:"SNAPWATCH_FULL_EVERY" default:"1m" help:"Longest time between two snapshots that list every process; at most 10m."`

	MaxCPU        float64 `env:"SNAPWATCH_MAX_CPU" default:"10" help:"Percent of one core, over a minute, that the agent itself may take: beyond it, it samples half as often, and says so. 0: no bound."`
	MaxMemory     int64   `env:"SNAPWATCH_MAX_MEMORY" default:"134217728" help:"Bytes of memory that the agent itself may take: near it, it collects garbage more often; beyond it for three minutes, it ends, to be started again. 0: no bound."`
	MetricsListen string  `env:"SNAPWATCH_METRICS_LISTEN" help:"Address at which to serve the agent's own figures, under /metrics, for Prometheus. Empty: nowhere."`
}
