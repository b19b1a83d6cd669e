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

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/agent/delivery"
	"github.com/snapwatch/snapwatch/agent/internal/statefile"
	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// Finding is the result of one check.
type Finding = finding.Finding

// maxSkew is the largest difference from the server's clock that is not reported. The server refuses snapshots that are
// more than ten minutes ahead.
const maxSkew = 5 * time.Second

// Examine checks everything that an agent needs: the state directory, the server, the clock, the token and the
// permissions. It sends no data about this machine.
func Examine(ctx context.Context, cfg Config) []Finding {
	findings := []Finding{checkStateDir(cfg.StateDir)}
	health, finding := checkServer(ctx, cfg)
	findings = append(findings, finding)
	if health != nil {
		token, competitors := checkToken(ctx, cfg)
		findings = append(findings, checkClock(health, time.Now()), token)
		if len(competitors) > 0 {
			findings = append(findings, competitorFinding(competitors, cfg.StateDir))
		}
	}
	reader := checkReader(cfg.Reader)
	return append(findings, reader, checkVisibility(reader.Detail == readWithBPF), checkFileSystems(ctx))
}

// checkFileSystems reports which file systems do not answer.
func checkFileSystems(ctx context.Context) Finding {
	n, late := collect.CheckFileSystems(ctx)
	return fileSystemsFinding(n, late)
}

// fileSystemsFinding returns the finding for n file systems. Those in late do not answer.
func fileSystemsFinding(n int, late []string) Finding {
	f := Finding{What: "file systems", OK: len(late) == 0}
	if f.OK {
		f.Detail = fmt.Sprintf("all %d file systems answer", n)
		return f
	}
	f.Detail = fmt.Sprintf("%d of %d file systems do not answer: %s", len(late), n, strings.Join(late, ", "))
	f.Fix = "check the server or the device of these file systems, or unmount them with umount --lazy; " +
		"until then, the agent records their last known values"
	return f
}

func checkStateDir(dir string) Finding {
	f := Finding{What: "state directory"}
	// An administrator may examine the agent of another user.
	owner := strictpath.Owner(dir)
	err := strictpath.MkdirAll(dir, 0o700, owner)
	if err == nil {
		err = strictpath.CheckTree(dir, owner)
	}
	if errors.Is(err, strictpath.ErrUnsafe) {
		f.Detail = err.Error()
		f.Fix = "the agent refuses a directory like this; change the owner or the mode as the message says, or set " +
			"another one with --state-dir"
		return f
	}
	if err != nil {
		f.Detail = err.Error()
		f.Fix = "run the agent as a user who may create the directory, or set another one with --state-dir"
		return f
	}
	probe, err := os.CreateTemp(dir, "doctor-")
	if err != nil {
		f.Detail = err.Error()
		f.Fix = "make " + dir + " writable for the agent's user; it contains the token and unsent snapshots"
		return f
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	f.OK, f.Detail = true, dir+" is writable"
	return f
}

// checkServer requests the server's health. It returns the response, or nil if the server is not healthy.
func checkServer(ctx context.Context, cfg Config) (*response, Finding) {
	f := Finding{What: "server"}
	health, err := get(ctx, cfg, "/healthz", "")
	if err == nil && health.status == http.StatusOK {
		f.OK, f.Detail = true, cfg.Server+" responds"
		return health, f
	}
	if err == nil {
		f.Detail = fmt.Sprintf("%s responds with %d %s", cfg.Server, health.status, http.StatusText(health.status))
		f.Fix = "check that --server is the address of a snapwatch server, with the base path if it has one, and of " +
			"no other service"
		return nil, f
	}
	f.Detail = err.Error()
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		f.Fix = "this machine does not trust the CA of the server's certificate; add the CA certificate with --ca-file"
	case errors.As(err, &name):
		f.Fix = "the server's certificate is for another host name; use that name in --server"
	case errors.As(err, &invalid):
		f.Fix = "the server's certificate has expired or is not valid yet; renew it, and check this machine's clock"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS"):
		f.Fix = "the server uses plain HTTP; use http:// in --server, or configure TLS on the server"
	case strings.Contains(err.Error(), "certificate required"), strings.Contains(err.Error(), "bad certificate"):
		f.Fix = "the server requires a client certificate; set --client-cert and --client-key"
	default:
		f.Fix = "check that the server is running and listening on that address, and that no firewall blocks it"
	}
	return nil, f
}

func checkClock(health *response, now time.Time) Finding {
	f := Finding{What: "clock"}
	serverTime, err := http.ParseTime(health.date)
	if err != nil {
		f.OK, f.Detail = true, "the server does not send its time"
		return f
	}
	skew := now.Sub(serverTime.Add(500 * time.Millisecond)).Round(time.Second) // Date has whole seconds
	if f.OK = skew.Abs() <= maxSkew; f.OK {
		f.Detail = "this machine's clock and the server's differ by a few seconds at most"
		return f
	}
	f.Detail = fmt.Sprintf("this machine's clock differs from the server's by %s", skew)
	f.Fix = "synchronise both clocks, for example with chrony or systemd-timesyncd; " +
		"the server refuses snapshots that are more than ten minutes ahead"
	return f
}

// competitorFinding returns the finding for agents that report as one machine.
func competitorFinding(names []string, stateDir string) Finding {
	return Finding{
		What:   "machine id",
		Detail: "several agents report as this machine in turns: " + strings.Join(names, ", "),
		Fix: "their state directory was copied; on the copy, stop the agent, empty " + stateDir +
			" and start it with an enrolment key; if both machines have the same /etc/machine-id, create a new one " +
			"there first",
	}
}

// checkToken requests this machine's config with the agent's token. It also returns the agents that report as this
// machine, if there are several.
func checkToken(ctx context.Context, cfg Config) (_ Finding, competitors []string) {
	f := Finding{What: "token"}
	credential, err := delivery.LoadCredential(cfg.StateDir, cfg.Token, cfg.EnrolmentKey)
	if err != nil {
		f.Detail, f.Fix = err.Error(), "make the state directory readable for the agent's user"
		return f, nil
	}
	if credential.Token() == "" {
		if f.OK = cfg.EnrolmentKey != ""; f.OK {
			f.Detail = "there is none yet; the agent enrols with its key when it runs"
			return f, nil
		}
		f.Detail = "there is no token and no enrolment key"
		f.Fix = "create a key on the server (snapwatch key add, or Administration > Add machines) and set it as " +
			"SNAPWATCH_ENROLMENT_KEY"
		return f, nil
	}
	id := cfg.MachineID
	if id == "" {
		text, _ := statefile.Read(filepath.Join(cfg.StateDir, "machine-id"))
		id = strings.TrimSpace(string(text))
	}
	config, err := get(ctx, cfg, "/api/v1/machines/"+url.PathEscape(id)+"/config", credential.Token())
	switch {
	case err != nil:
		f.Detail, f.Fix = err.Error(), "try again"
	case config.status == http.StatusNotFound && outsideBasePath(config.body):
		f.Detail = "the server is below a base path, which --server lacks"
		f.Fix = "add the server's base path to --server, as in https://example.org/snapwatch"
	case config.status == http.StatusOK, config.status == http.StatusNotFound: // 404: not registered yet
		f.OK, f.Detail = true, "the server accepts the token"
		var answer struct {
			CompetingAgents []string `json:"competing_agents"`
		}
		_ = json.Unmarshal(config.body, &answer) // a server of an earlier version does not report them
		competitors = answer.CompetingAgents
	case config.status == http.StatusUnauthorized:
		f.Detail = "the server does not accept the token; it may be revoked"
		f.Fix = "create an enrolment key on the server that allows reinstalled machines to re-enrol, and set it as " +
			"SNAPWATCH_ENROLMENT_KEY"
	case config.status == http.StatusForbidden:
		f.Detail = "the token belongs to another machine"
		f.Fix = "two machines may have the same state directory, for example from a copied disk image; empty " +
			cfg.StateDir + " on one of them"
	default:
		f.Detail, f.Fix = fmt.Sprintf("the server responds with %d", config.status), "check the server's log"
	}
	return f, competitors
}

// outsideBasePath reports whether a problem says that the path is not below the server's base path.
func outsideBasePath(body []byte) bool {
	var problem struct {
		Code string `json:"code"`
	}
	return json.Unmarshal(body, &problem) == nil && problem.Code == "outside_base_path"
}

// response is a response.
type response struct {
	status int
	date   string
	body   []byte
}

// maxResponse bounds the response bodies that are read, in bytes.
const maxResponse = 1 << 20

// get sends one request to the server.
func get(ctx context.Context, cfg Config, path, token string) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	base, err := url.Parse(cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("parse the server address: %w", err)
	}
	client, err := delivery.NewHTTPClient(cfg.CAFile, cfg.ClientCert, cfg.ClientKey)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("create a request: %w", err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	received, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = received.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(received.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	return &response{received.StatusCode, received.Header.Get("Date"), body}, nil
}
