package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Finding is what Examine has to say about one thing.
type Finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	// Detail is how it is, Fix what to do about it.
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// tolerableSkew is how far this machine's clock may be from the server's without being
// worth a word; the server refuses snapshots that are ten minutes ahead.
const tolerableSkew = 5 * time.Second

// Examine looks at everything that an agent needs: the state directory, the server, the
// token, the clock, and what the agent may see. It sends nothing of this machine.
func Examine(ctx context.Context, cfg Config) []Finding {
	findings := []Finding{examineState(cfg.StateDir)}
	answered, reached := examineServer(ctx, cfg)
	findings = append(findings, reached)
	if answered != nil {
		findings = append(findings, examineClock(answered, time.Now()), examineToken(ctx, cfg))
	}
	return append(findings, examineSight())
}

func examineState(dir string) Finding {
	f := Finding{What: "state directory"}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Detail, f.Fix = err.Error(), "run the agent as a user who may make it, or give another with --state-dir"
		return f
	}
	probe, err := os.CreateTemp(dir, "doctor-")
	if err != nil {
		f.Detail, f.Fix = err.Error(), "make "+dir+" writable for the agent's user: its id, token and unsent snapshots are kept there"
		return f
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	f.OK, f.Detail = true, dir+" can be written to"
	return f
}

// examineServer asks for the server's health; the answer tells its clock too.
func examineServer(ctx context.Context, cfg Config) (*answer, Finding) {
	f := Finding{What: "server"}
	response, err := ask(ctx, cfg, "/healthz", "")
	if err == nil && response.status == http.StatusOK {
		f.OK, f.Detail = true, cfg.Server+" answers"
		return response, f
	}
	if err == nil {
		f.Detail, f.Fix = fmt.Sprintf(
			"%s answers %d %s", cfg.Server, response.status, http.StatusText(response.status),
		), "is this the address of a snapwatch server, without a path, and not of something before it?"
		return nil, f
	}
	f.Detail = err.Error()
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		f.Fix = "the server's certificate is of an authority that this machine does not know: give its certificate with --ca-file"
	case errors.As(err, &name):
		f.Fix = "the server's certificate is for another name: use that name in --server"
	case errors.As(err, &invalid):
		f.Fix = "the server's certificate has expired or is not valid yet: renew it, and look at this machine's clock"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS"):
		f.Fix = "the server speaks plain HTTP: use http:// in --server, or give the server a certificate"
	case strings.Contains(err.Error(), "certificate required"), strings.Contains(err.Error(), "bad certificate"):
		f.Fix = "the server asks agents for a certificate: give --client-cert and --client-key"
	default:
		f.Fix = "see whether the server runs and listens on that address, and whether a firewall is in between"
	}
	return nil, f
}

func examineClock(answered *answer, now time.Time) Finding {
	f := Finding{What: "clock"}
	theirs, err := http.ParseTime(answered.date)
	if err != nil {
		f.OK, f.Detail = true, "the server does not tell its time"
		return f
	}
	skew := now.Sub(theirs.Add(500 * time.Millisecond)).Round(time.Second) // Date is cut to seconds
	if f.OK = skew.Abs() <= tolerableSkew; f.OK {
		f.Detail = "this machine's clock is the server's, to a few seconds"
		return f
	}
	f.Detail = fmt.Sprintf("this machine's clock is %s from the server's", skew)
	f.Fix = "let both keep time, by chrony or systemd-timesyncd: snapshots more than ten minutes ahead are refused"
	return f
}

// examineToken asks for what the server tells this machine to do, as the agent does.
func examineToken(ctx context.Context, cfg Config) Finding {
	f := Finding{What: "token"}
	kept, err := newCredential(cfg.StateDir, cfg.Token, cfg.EnrolmentKey)
	if err != nil {
		f.Detail, f.Fix = err.Error(), "make the state directory readable for the agent's user"
		return f
	}
	if kept.token == "" {
		if f.OK = cfg.EnrolmentKey != ""; f.OK {
			f.Detail = "there is none yet; the agent turns its enrolment key into one when it runs"
			return f
		}
		f.Detail, f.Fix = "there is neither a token nor an enrolment key", "make a key on the server, with snapwatch key add or under Administration, Add machines, and give it in SNAPWATCH_ENROLMENT_KEY"
		return f
	}
	id := cfg.MachineID
	if id == "" {
		text, _ := os.ReadFile(filepath.Join(cfg.StateDir, "machine-id"))
		id = strings.TrimSpace(string(text))
	}
	response, err := ask(ctx, cfg, "/api/v1/machines/"+url.PathEscape(id)+"/config", kept.token)
	switch {
	case err != nil:
		f.Detail, f.Fix = err.Error(), "try again"
	case response.status == http.StatusOK, response.status == http.StatusNotFound: // not registered yet
		f.OK, f.Detail = true, "the server knows it"
	case response.status == http.StatusUnauthorized:
		f.Detail, f.Fix = "the server does not know it (any more)", "make a new enrolment key on the server, one that takes over, and give it in SNAPWATCH_ENROLMENT_KEY"
	case response.status == http.StatusForbidden:
		f.Detail, f.Fix = "it is another machine's", "two machines with one state directory, perhaps a copied disk image: empty "+cfg.StateDir+" on one of them"
	default:
		f.Detail, f.Fix = fmt.Sprintf("the server answers %d", response.status), "look into the server's log"
	}
	return f
}

// answer is what of an answer is looked at.
type answer struct {
	status int
	date   string
}

// ask makes one request.
func ask(ctx context.Context, cfg Config, path, token string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	base, err := url.Parse(cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("the server's address: %w", err)
	}
	client, err := newClient(cfg.CAFile, cfg.ClientCert, cfg.ClientKey)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	return &answer{response.StatusCode, response.Header.Get("Date")}, nil
}
