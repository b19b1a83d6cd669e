package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// TokenParams describe a token to create.
type TokenParams struct {
	Name        string
	Role        Role
	MachineID   string       // required for RoleAgent, and only allowed there
	Tags        []string     // for RoleUser, the machines that the token may read; for RoleAgent, tags of the machine
	Permissions []Permission // nil for all permissions of the role
	ExpiresAt   *time.Time   // nil for never
}

// CreateToken creates a token and returns its secret, which cannot be read again later. It returns *GrantError for a
// token with more rights than the caller.
func (s *Service) CreateToken(ctx context.Context, params TokenParams) (secret string, t *accounts.Token, err error) {
	t, err = s.buildToken(ctx, params)
	if err != nil {
		return "", nil, err
	}
	kind := KindToken
	if params.Role == RoleAgent {
		kind = KindAgent
	}
	secret, hash := NewSecret(kind)
	if err := s.accounts.CreateToken(ctx, hash, t); err != nil {
		return "", nil, err
	}
	s.Record(ctx, "token.added", fmt.Sprintf("token %d", t.ID), map[string]any{
		"name": t.Name, "role": t.Role, "machine_id": params.MachineID, "tags": t.Tags, "scopes": t.Scopes,
	})
	return secret, t, nil
}

// buildToken checks the parameters and returns the row of the token.
func (s *Service) buildToken(ctx context.Context, params TokenParams) (*accounts.Token, error) {
	t := &accounts.Token{
		Name:      params.Name,
		Role:      string(params.Role),
		Tags:      sortedUnique(params.Tags),
		CreatedAt: s.cfg.Now(),
		ExpiresAt: params.ExpiresAt,
		CreatedBy: createdBy(ctx),
	}
	if err := checkLabel(params.Name); err != nil {
		return nil, err
	}
	if err := checkTags("tags", params.Tags, params.Role != RoleAgent); err != nil {
		return nil, err
	}
	switch params.Role {
	case RoleAdmin, RoleUser:
		if params.MachineID != "" {
			return nil, &FieldError{"machine_id", "is only allowed for the role agent"}
		}
	case RoleAgent:
		if params.MachineID == "" {
			return nil, &FieldError{"machine_id", "is required for the role agent"}
		}
		if err := checkMachineID(params.MachineID); err != nil {
			return nil, err
		}
		t.MachineID = &params.MachineID
	default:
		return nil, &FieldError{"role", "must be admin, user or agent"}
	}
	if params.Permissions != nil && len(params.Permissions) == 0 {
		return nil, &FieldError{"scopes", "must not be empty"}
	}
	for _, permission := range params.Permissions {
		if !slices.Contains(Permissions(), permission) {
			return nil, &FieldError{"scopes", fmt.Sprintf("must be among %v", Permissions())}
		}
		t.Scopes = append(t.Scopes, string(permission))
	}
	if params.ExpiresAt != nil && !params.ExpiresAt.After(t.CreatedAt) {
		return nil, &FieldError{"expires_at", "must be in the future"}
	}
	granted := principalOf(credential{}, t)
	return t, checkGrant(ctx, grant{
		principal:    *granted,
		tagsMachines: granted.Role == RoleAgent && len(granted.Tags) > 0,
		scopesField:  "scopes",
		expires:      true,
		expiresAt:    t.ExpiresAt,
	})
}

// createdBy returns the name of the caller for the created_by column: "shell" outside of a request.
func createdBy(ctx context.Context) string {
	if p := PrincipalOf(ctx); p != nil {
		return p.Name
	}
	return "shell"
}

// createdBySettings is the created_by column of credentials that the server's settings define.
const createdBySettings = "settings"

// Tokens returns a page of the tokens.
func (s *Service) Tokens(ctx context.Context, f accounts.TokenFilter) ([]accounts.Token, error) {
	return s.accounts.Tokens(ctx, f)
}

// RevokeToken deletes a token. It becomes invalid at once.
func (s *Service) RevokeToken(ctx context.Context, id int64) error {
	t, err := s.accounts.DeleteToken(ctx, id)
	if err != nil {
		return err
	}
	s.cache.remove(credentialID{token: id})
	s.Record(ctx, "token.revoked", fmt.Sprintf("token %d", id),
		map[string]any{"name": t.Name, "role": t.Role, "machine_id": t.MachineID})
	return nil
}

// RotateToken creates a new token for an agent and returns it. The current token stays valid until the new one is
// first used, so the agent keeps its access if the response is lost. The new token expires when the current one does.
func (s *Service) RotateToken(ctx context.Context, p *Principal) (secret string, err error) {
	secret, hash := NewSecret(KindAgent)
	err = s.accounts.RotateToken(ctx, p.TokenID, hash, s.cfg.Now())
	if errors.Is(err, accounts.ErrNotFound) {
		return "", ErrInvalidCredential
	}
	if err != nil {
		return "", err
	}
	s.Record(ctx, "token.rotated", "machine "+p.MachineID, nil)
	return secret, nil
}

// SetMetricsToken stores the Prometheus token of the settings and removes the one that was set before. The token
// may only read metrics. Call it before the Service is used.
func (s *Service) SetMetricsToken(ctx context.Context, secret string) error {
	if err := checkConfiguredSecret("metrics-token", secret); err != nil {
		return err
	}
	c := credential{secretKind(secret), HashSecret(secret)}
	token := accounts.Token{
		Name:      "metrics",
		Role:      string(RoleUser),
		Tags:      []string{AllMachines},
		Scopes:    []string{string(ReadMetrics)},
		CreatedAt: s.cfg.Now(),
		CreatedBy: createdBySettings,
	}
	if err := s.accounts.SetToken(ctx, c.hash, &token); err != nil {
		return err
	}
	s.metrics = principalOf(c, &token)
	return nil
}
