package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// NewKey is an enrolment key to make.
type EnrolmentKeyParams struct {
	Name      string
	Tags      []string
	Uses      *int // nil for no limit
	TakesOver bool
	ExpiresAt *time.Time
}

// MaxKeyUses bounds the uses of a key that has a limit.
const MaxEnrolmentKeyUses = 100_000

// AddKey makes an enrolment key; the secret is told this once.
func (s *Service) CreateEnrolmentKey(ctx context.Context, n EnrolmentKeyParams) (secret string, k *accounts.Key, err error) {
	now := s.cfg.Now()
	switch {
	case n.Uses != nil && (*n.Uses < 1 || *n.Uses > MaxEnrolmentKeyUses):
		return "", nil, &FieldError{"uses", fmt.Sprintf("must be 1 to %d", MaxEnrolmentKeyUses)}
	case n.ExpiresAt != nil && !n.ExpiresAt.After(now):
		return "", nil, &FieldError{"expires_at", "must be in the future"}
	}
	if err := errors.Join(checkLabel(n.Name), checkTags("tags", n.Tags, false)); err != nil {
		return "", nil, err
	}
	k = &accounts.Key{
		Name:      n.Name,
		Tags:      sortedUnique(n.Tags),
		UsesLeft:  n.Uses,
		TakesOver: n.TakesOver,
		CreatedAt: now,
		ExpiresAt: n.ExpiresAt,
		CreatedBy: "shell",
	}
	if p := PrincipalOf(ctx); p != nil {
		k.CreatedBy = p.Name
	}
	secret, hash := NewSecret(KindEnrolmentKey)
	if err := s.accounts.CreateKey(ctx, hash, k); err != nil {
		return "", nil, err
	}
	s.Record(
		ctx, "key.added", fmt.Sprintf("enrolment key %d", k.ID),
		map[string]any{"name": k.Name, "tags": k.Tags, "uses": k.UsesLeft, "takes_over": k.TakesOver},
	)
	return secret, k, nil
}

// SetKey makes the settings' enrolment key count, and none that the settings gave
// before.
func (s *Service) SetEnrolmentKey(ctx context.Context, secret string) error {
	if err := checkConfiguredSecret("enrolment-key", secret); err != nil {
		return err
	}
	return s.accounts.SetKey(
		ctx, HashSecret(secret), &accounts.Key{Name: "settings", CreatedAt: s.cfg.Now(), CreatedBy: createdBySettings},
	)
}

// LocalKey makes a key for the agent that the server runs itself: for one use within
// an hour. It may take this machine over, because an agent whose directory was lost
// is still this machine's.
func (s *Service) CreateLocalEnrolmentKey(ctx context.Context) (string, error) {
	once, until := 1, s.cfg.Now().Add(time.Hour)
	secret, hash := NewSecret(KindEnrolmentKey)
	return secret, s.accounts.SetKey(
		ctx,
		hash,
		&accounts.Key{
			Name:      "local agent",
			UsesLeft:  &once,
			TakesOver: true,
			CreatedAt: s.cfg.Now(),
			CreatedBy: "snapwatch up",
			ExpiresAt: &until,
		},
	)
}

// Keys lists the enrolment keys that count.
func (s *Service) EnrolmentKeys(ctx context.Context) ([]accounts.Key, error) {
	return s.accounts.Keys(ctx, s.cfg.Now())
}

// RevokeKey ends an enrolment key; tokens that were got with it stay.
func (s *Service) RevokeEnrolmentKey(ctx context.Context, id int64) error {
	k, err := s.accounts.DeleteKey(ctx, id)
	if err != nil {
		return err
	}
	s.Record(ctx, "key.revoked", fmt.Sprintf("enrolment key %d", id), map[string]any{"name": k.Name})
	return nil
}

// Enrol gives a machine's agent its token for a use of a key. It returns ErrKey, or
// accounts.ErrEnrolled if the machine has a token and the key does not take over.
func (s *Service) Enrol(ctx context.Context, key, machineID string) (secret string, err error) {
	now, address := s.cfg.Now(), clientaddr.Key(ClientOf(ctx).Address)
	if err := rateLimitError(s.badCredentials.Wait(address, now)); err != nil {
		return "", err
	}
	secret, hash := NewSecret(KindAgent)
	token := &accounts.Token{Name: "agent", Role: string(RoleAgent), MachineID: &machineID, CreatedAt: now}
	used, err := s.accounts.Enrol(ctx, HashSecret(key), hash, token)
	if errors.Is(err, accounts.ErrNotFound) {
		s.badCredentials.Take(address, now)
		return "", ErrInvalidEnrolmentKey
	}
	if err != nil {
		return "", err
	}
	s.purgeCache() // a token that was taken over is gone
	s.record(
		ctx, "enrolment key "+used.Name, "machine.enrolled", "machine "+machineID, map[string]any{"tags": used.Tags},
	)
	return secret, nil
}
