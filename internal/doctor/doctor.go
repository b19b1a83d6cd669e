// Package doctor checks the set-up of a server: its database, its certificates, its limits and the running server. For
// each problem it says what to do. It changes nothing.
package doctor

import (
	"context"
	"net/http"
	"time"

	"github.com/snapwatch/snapwatch/internal/admin"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/finding"
)

// Config is the settings of the server that is checked.
type Config struct {
	Database config.Database
	Server   config.Server
	Access   config.Access
	OIDC     config.OIDC
	TLS      config.TLS
	// DatabaseURL is the address of the database. It is "" for a private one.
	DatabaseURL string
	// DataDir is the data directory.
	DataDir string
	// ServerURL is the address of the running server. By default, it is derived from the settings.
	ServerURL string
}

// maxSkew is the largest difference between two clocks that is not reported.
const maxSkew = 5 * time.Second

// Examine checks everything. It takes at most about a minute.
func Examine(ctx context.Context, cfg Config) []finding.Finding {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	findings := cfg.examineDatabase(ctx)
	findings = append(findings, cfg.examineTLS(time.Now())...)
	findings = append(findings, cfg.examineServer(ctx)...)
	return append(findings, checkTimeZone(time.Now()))
}

// problem returns a finding with a fix.
func problem(what, detail, fix string) finding.Finding {
	return finding.Finding{What: what, Detail: detail, Fix: fix}
}

// good returns a finding without a problem.
func good(what, detail string) finding.Finding {
	return finding.Finding{What: what, OK: true, Detail: detail}
}

// note returns a finding without a problem that could be better.
func note(what, detail, hint string) finding.Finding {
	return finding.Finding{What: what, OK: true, Detail: detail, Hint: hint}
}

// checkTimeZone reports the time zone of this machine, which only the times of logs depend on.
func checkTimeZone(now time.Time) finding.Finding {
	return good("time zone", "this machine uses "+now.Format("MST (-07:00)")+
		"; snapwatch stores times in UTC, and pages show those of the browser")
}

// AdminClient returns a client for the admin address of the settings, or nil if there is none.
func (c *Config) AdminClient() (*http.Client, error) {
	if c.Server.AdminListen == "" {
		return nil, nil
	}
	address, err := admin.ParseAddress(c.Server.AdminListen, c.Access.AdminToken)
	if err != nil {
		return nil, err
	}
	return admin.NewClient(address, c.Access.AdminToken), nil
}
