package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// rotateAfter is how old a token gets before the agent asks for a new one.
	rotateAfter = 30 * 24 * time.Hour
	// refusedWait is how long an agent waits that is not let in: only an administrator
	// can change that.
	refusedWait = 30 * time.Second
)

// credential is the agent's token: given by the settings, or its own, which it gets
// for an enrolment key and keeps in the state directory.
type credential struct {
	path  string // of the token that is kept
	key   string // for enrolment; "" for none
	given bool   // by the settings: it is not ours to change
	token string // "" for none
	since time.Time
}

// newCredential reads the token that is kept, unless one is given.
func newCredential(dir, token, key string) (*credential, error) {
	c := &credential{path: filepath.Join(dir, "token"), key: key, token: token, given: token != ""}
	if c.given {
		return c, nil
	}
	text, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	c.token = strings.TrimSpace(string(text))
	if info, err := os.Stat(c.path); err == nil {
		c.since = info.ModTime()
	}
	return c, nil
}

// keep makes a token the agent's own, across restarts.
func (c *credential) keep(token string) error {
	if err := writeState(c.path, token+"\n"); err != nil {
		return fmt.Errorf("keep the token: %w", err)
	}
	c.token, c.since = token, time.Now()
	return nil
}

// due reports whether it is time for a new token.
func (c *credential) due(now time.Time) bool {
	return !c.given && c.token != "" && now.Sub(c.since) > rotateAfter
}

// errNoToken says that the agent has nothing to show the server.
var errNoToken = errors.New(
	"there is no token and no enrolment key: set SNAPWATCH_ENROLMENT_KEY (snapwatch key add makes one)",
)

// tokenAnswer is a new token.
type tokenAnswer struct {
	Token string `json:"token"`
}

// enrol turns the enrolment key into a token. The key must not be the reason that a
// token is lost: the one at hand stays until there is another.
func (s *sender) enrol(ctx context.Context) error {
	if s.credential.key == "" {
		return errNoToken
	}
	body, err := json.Marshal(map[string]string{"key": s.credential.key, "machine_id": s.machine.MachineID})
	if err != nil {
		return fmt.Errorf("encode the enrolment: %w", err)
	}
	var answer tokenAnswer
	if err := s.do(ctx, "/api/v1/enrol", body, "", &answer); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if err := s.credential.keep(answer.Token); err != nil {
		return err
	}
	s.logger.Info("enrolled: this machine has a token of its own now", "machine_id", s.machine.MachineID)
	return nil
}

// rotate asks for a new token. The one at hand counts until the new one is used, so
// that whatever breaks in between, one of them gets in.
func (s *sender) rotate(ctx context.Context) error {
	var answer tokenAnswer
	if err := s.do(ctx, "/api/v1/machines/"+s.machine.MachineID+"/token", nil, "", &answer); err != nil {
		return fmt.Errorf("rotate the token: %w", err)
	}
	if err := s.credential.keep(answer.Token); err != nil {
		return err
	}
	s.logger.Info("the token was rotated", "machine_id", s.machine.MachineID)
	return nil
}

// readmit tries to get back in when the server does not know the token any more.
func (s *sender) readmit(ctx context.Context, refused error) error {
	r, ok := errors.AsType[*refusal](refused)
	if !ok || r.status != http.StatusUnauthorized || s.credential.token == "" {
		return refused
	}
	if s.credential.given || s.credential.key == "" {
		return fmt.Errorf(
			"the server does not know this agent's token (revoked, or of another server?); give it an enrolment key, or a new token: %w",
			refused,
		)
	}
	s.logger.Warn("the server does not know this agent's token, enrolling again", "err", refused)
	if err := s.enrol(ctx); err != nil {
		return errors.Join(err, refused)
	}
	return nil
}

// notLetIn reports whether an error is the server's refusal of who the agent is.
func notLetIn(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return errors.Is(err, errNoToken) || ok && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden)
}
