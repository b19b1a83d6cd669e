package delivery

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

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
)

// rotateAfter is the age at which the agent requests a new token.
const rotateAfter = 30 * 24 * time.Hour

// Credential is the agent's token. It is either given by the settings, or issued by the server in exchange for an
// enrolment key and stored in the state directory.
type Credential struct {
	path         string // of the stored token
	enrolmentKey string // empty for none
	given        bool   // by the settings; the agent does not replace it
	token        string // empty for none
	issued       time.Time
}

// LoadCredential reads the stored token, unless the settings give one.
func LoadCredential(stateDir, token, enrolmentKey string) (*Credential, error) {
	c := &Credential{
		path:         filepath.Join(stateDir, "token"),
		enrolmentKey: enrolmentKey,
		given:        token != "",
		token:        token,
	}
	if c.given {
		return c, nil
	}
	text, err := statefile.Read(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	c.token = strings.TrimSpace(string(text))
	if info, err := os.Stat(c.path); err == nil {
		c.issued = info.ModTime()
	}
	return c, nil
}

// Token returns the token, or "" if there is none yet.
func (c *Credential) Token() string { return c.token }

// store stores a new token.
func (c *Credential) store(token string) error {
	if err := statefile.Write(c.path, token+"\n"); err != nil {
		return fmt.Errorf("store the token: %w", err)
	}
	c.token, c.issued = token, time.Now()
	return nil
}

// rotationDue reports whether it is time for a new token.
func (c *Credential) rotationDue(now time.Time) bool {
	return !c.given && c.token != "" && now.Sub(c.issued) > rotateAfter
}

// errNoToken means that the agent has no way to authenticate.
var errNoToken = errors.New("there is no token and no enrolment key: create a key on the server (snapwatch key add) " +
	"and set it as SNAPWATCH_ENROLMENT_KEY")

// tokenResponse is a new token.
type tokenResponse struct {
	Token string `json:"token"`
}

// enrol exchanges the enrolment key for a token. The current token stays until the new one is stored.
func (s *Sender) enrol(ctx context.Context) error {
	if s.credential.enrolmentKey == "" {
		return errNoToken
	}
	body, err := json.Marshal(map[string]string{
		"key": s.credential.enrolmentKey, "machine_id": s.machine.MachineID,
	})
	if err != nil {
		return fmt.Errorf("encode the enrolment: %w", err)
	}
	var response tokenResponse
	if err := s.client.post(ctx, "/api/v1/enrol", body, "", &response); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if err := s.credential.store(response.Token); err != nil {
		return err
	}
	s.logger.Info("enrolled; this machine has its own token now", "machine_id", s.machine.MachineID)
	return nil
}

// rotate requests a new token. The server accepts the current token until the new one is used, so that the agent can
// authenticate even if the response is lost.
func (s *Sender) rotate(ctx context.Context) error {
	var response tokenResponse
	path := "/api/v1/machines/" + s.machine.MachineID + "/token"
	if err := s.client.post(ctx, path, nil, "", &response); err != nil {
		return fmt.Errorf("rotate the token: %w", err)
	}
	if err := s.credential.store(response.Token); err != nil {
		return err
	}
	s.logger.Info("rotated the token", "machine_id", s.machine.MachineID)
	return nil
}

// reauthenticate enrols again if the server has rejected the token. Otherwise it returns the error that it was given.
func (s *Sender) reauthenticate(ctx context.Context, err error) error {
	r, ok := errors.AsType[*refusal](err)
	if !ok || r.status != http.StatusUnauthorized || s.credential.token == "" {
		return err
	}
	if s.credential.given || s.credential.enrolmentKey == "" {
		return fmt.Errorf("the server rejected this agent's token; it may be revoked or belong to another server; "+
			"set an enrolment key or a new token: %w", err)
	}
	s.logger.Warn("the server rejected this agent's token; enrolling again", "err", err)
	if enrolErr := s.enrol(ctx); enrolErr != nil {
		return errors.Join(enrolErr, err)
	}
	return nil
}

// unauthorized reports whether an error means that the server does not accept this agent.
func unauthorized(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return errors.Is(err, errNoToken) || ok && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden)
}
