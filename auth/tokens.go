package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// NewToken is a token to make.
type TokenParams struct {
	Name        string
	Role        Role
	MachineID   string       // of an agent's
	Tags        []string     // of a user's
	Permissions []Permission // nil for all that the role may
	ExpiresAt   *time.Time
}

// AddToken makes a token; the secret is told this once.
func (s *Service) CreateToken(ctx context.Context, n TokenParams) (secret string, t *accounts.Token, err error) {
	t, err = s.buildToken(ctx, n)
	if err != nil {
		return "", nil, err
	}
	kind := KindToken
	if n.Role == RoleAgent {
		kind = KindAgent
	}
	secret, hash := NewSecret(kind)
	if err := s.accounts.CreateToken(ctx, hash, t); err != nil {
		return "", nil, err
	}
	s.Record(
		ctx, "token.added", fmt.Sprintf("token %d", t.ID),
		map[string]any{"name": t.Name, "role": t.Role, "machine_id": n.MachineID, "tags": t.Tags, "scopes": t.Scopes},
	)
	return secret, t, nil
}

func (s *Service) buildToken(ctx context.Context, n TokenParams) (*accounts.Token, error) {
	t := &accounts.Token{
		Name:      n.Name,
		Role:      string(n.Role),
		Tags:      sortedUnique(n.Tags),
		CreatedAt: s.cfg.Now(),
		ExpiresAt: n.ExpiresAt,
		CreatedBy: "shell",
	}
	if p := PrincipalOf(ctx); p != nil {
		t.CreatedBy = p.Name
	}
	if err := checkLabel(n.Name); err != nil {
		return nil, err
	}
	if err := checkTags("tags", n.Tags, n.Role != RoleAgent); err != nil {
		return nil, err
	}
	switch n.Role {
	case RoleAdmin, RoleUser:
		if n.MachineID != "" {
			return nil, &FieldError{"machine_id", "belongs to a token of an agent"}
		}
	case RoleAgent:
		if n.MachineID == "" {
			return nil, &FieldError{"machine_id", "is required of a token of an agent"}
		}
		t.MachineID = &n.MachineID
	default:
		return nil, &FieldError{"role", "must be admin, user or agent"}
	}
	for _, scope := range n.Permissions {
		if !slices.Contains(Permissions(), scope) {
			return nil, &FieldError{"scopes", fmt.Sprintf("must be of %v", Permissions())}
		}
		t.Scopes = append(t.Scopes, string(scope))
	}
	if n.ExpiresAt != nil && !n.ExpiresAt.After(t.CreatedAt) {
		return nil, &FieldError{"expires_at", "must be in the future"}
	}
	return t, nil
}

// checkLabel tells what is wrong with the name of a token or key.
func checkLabel(name string) error {
	if name == "" || len(name) > 64 ||
		slices.ContainsFunc([]rune(name), func(r rune) bool { return !unicode.IsPrint(r) }) {
		return &FieldError{"name", "must have 1 to 64 bytes, all of them printable"}
	}
	return nil
}

// Tokens lists tokens.
func (s *Service) Tokens(ctx context.Context, f accounts.TokenFilter) ([]accounts.Token, error) {
	return s.accounts.Tokens(ctx, f)
}

// RevokeToken ends a token at once.
func (s *Service) RevokeToken(ctx context.Context, id int64) error {
	t, err := s.accounts.DeleteToken(ctx, id)
	if err != nil {
		return err
	}
	s.purgeCache()
	s.Record(
		ctx, "token.revoked", fmt.Sprintf("token %d", id),
		map[string]any{"name": t.Name, "role": t.Role, "machine_id": t.MachineID},
	)
	return nil
}

// RotateToken gives an agent a new token. The one that it has counts until the new
// one is first used: whichever it kept, it gets in.
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

// bySettings is who makes what the server's settings give.
const createdBySettings = "settings"

// SetMetricsToken makes the settings' token for Prometheus count, and none that the
// settings gave before. It reads metrics and nothing else.
func (s *Service) SetMetricsToken(ctx context.Context, secret string) error {
	if err := checkConfiguredSecret("metrics-token", secret); err != nil {
		return err
	}
	return s.accounts.SetToken(
		ctx,
		HashSecret(secret),
		&accounts.Token{Name: "metrics", Role: string(RoleUser), Tags: []string{AllMachines},
			Scopes: []string{string(ReadMetrics)}, CreatedAt: s.cfg.Now(), CreatedBy: createdBySettings},
	)
}
