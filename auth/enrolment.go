package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// MaxEnrolmentKeyUses is the maximum number of uses of an enrolment key with limited uses.
const MaxEnrolmentKeyUses = 100_000

// EnrolmentKeyParams describe an enrolment key to create.
type EnrolmentKeyParams struct {
	Name      string
	Tags      []string   // tags of the machines that enrol with the key
	Uses      *int       // nil for unlimited
	TakesOver bool       // whether the key replaces the token of a machine that is enrolled already
	ExpiresAt *time.Time // nil for never
}

// CreateEnrolmentKey creates an enrolment key and returns its secret, which cannot be read again later. It returns
// *GrantError if an agent would get more rights with the key than the caller has.
func (s *Service) CreateEnrolmentKey(
	ctx context.Context, params EnrolmentKeyParams,
) (secret string, k *accounts.Key, err error) {
	now := s.cfg.Now()
	switch {
	case params.Uses != nil && (*params.Uses < 1 || *params.Uses > MaxEnrolmentKeyUses):
		return "", nil, &FieldError{"uses", fmt.Sprintf("must be 1 to %d", MaxEnrolmentKeyUses)}
	case params.ExpiresAt != nil && !params.ExpiresAt.After(now):
		return "", nil, &FieldError{"expires_at", "must be in the future"}
	}
	if err := errors.Join(checkLabel(params.Name), checkTags("tags", params.Tags, false)); err != nil {
		return "", nil, err
	}
	// Each token for the key is an agent's, for a machine that is not known yet.
	err = checkGrant(ctx, grant{
		principal:    Principal{Role: RoleAgent},
		tagsMachines: len(params.Tags) > 0,
		scopesField:  "key",
		expires:      true,
		expiresAt:    params.ExpiresAt,
	})
	if err != nil {
		return "", nil, err
	}
	k = &accounts.Key{
		Name:      params.Name,
		Tags:      sortedUnique(params.Tags),
		UsesLeft:  params.Uses,
		TakesOver: params.TakesOver,
		CreatedAt: now,
		ExpiresAt: params.ExpiresAt,
		CreatedBy: createdBy(ctx),
	}
	secret, hash := NewSecret(KindEnrolmentKey)
	if err := s.accounts.CreateKey(ctx, hash, k); err != nil {
		return "", nil, err
	}
	s.Record(ctx, "key.added", fmt.Sprintf("enrolment key %d", k.ID),
		map[string]any{"name": k.Name, "tags": k.Tags, "uses": k.UsesLeft, "takes_over": k.TakesOver})
	return secret, k, nil
}

// SetEnrolmentKey stores the enrolment key of the settings and removes the one that was set before.
func (s *Service) SetEnrolmentKey(ctx context.Context, secret string) error {
	if err := checkConfiguredSecret("enrolment-key", secret); err != nil {
		return err
	}
	return s.accounts.SetKey(ctx, HashSecret(secret),
		&accounts.Key{Name: "settings", CreatedAt: s.cfg.Now(), CreatedBy: createdBySettings})
}

// CreateLocalEnrolmentKey creates a key for the agent that "snapwatch up" runs. The key is valid for one use within
// an hour. It replaces the machine's token, because an agent that lost its state directory must be able to enrol
// again.
func (s *Service) CreateLocalEnrolmentKey(ctx context.Context) (string, error) {
	uses, expiresAt := 1, s.cfg.Now().Add(time.Hour)
	secret, hash := NewSecret(KindEnrolmentKey)
	return secret, s.accounts.SetKey(ctx, hash, &accounts.Key{
		Name:      "local agent",
		UsesLeft:  &uses,
		TakesOver: true,
		CreatedAt: s.cfg.Now(),
		CreatedBy: "snapwatch up",
		ExpiresAt: &expiresAt,
	})
}

// EnrolmentKeys returns the active enrolment keys.
func (s *Service) EnrolmentKeys(ctx context.Context) ([]accounts.Key, error) {
	return s.accounts.Keys(ctx, s.cfg.Now())
}

// RevokeEnrolmentKey deletes an enrolment key. Tokens that agents received for the key stay valid.
func (s *Service) RevokeEnrolmentKey(ctx context.Context, id int64) error {
	k, err := s.accounts.DeleteKey(ctx, id)
	if err != nil {
		return err
	}
	s.Record(ctx, "key.revoked", fmt.Sprintf("enrolment key %d", id), map[string]any{"name": k.Name})
	return nil
}

// Enrol exchanges a use of an enrolment key for a token that is bound to a machine, and returns the token. It returns
// *FieldError for an invalid id, ErrInvalidEnrolmentKey, accounts.ErrEnrolled if the machine has a token and the key
// may not replace it, ErrBusy, or *RateLimitError.
//
// The limits of addresses apply to invalid keys only, so that a whole fleet can enrol from one address.
func (s *Service) Enrol(ctx context.Context, key, machineID string) (secret string, err error) {
	if err := checkMachineID(machineID); err != nil {
		return "", err
	}
	client, now := ClientOf(ctx), s.cfg.Now()
	address, keyHash := clientaddr.Key(client.Address), HashSecret(key)
	if err := s.checkKey(ctx, keyHash, address, now); err != nil {
		return "", err
	}
	secret, hash := NewSecret(KindAgent)
	mark := s.cache.begin()
	enrolment := &accounts.Enrolment{
		KeyHash: keyHash, TokenHash: hash, MachineID: machineID, At: now, Address: client.Address,
		RequestID: client.RequestID,
	}
	err = s.enrolments.enrol(ctx, enrolment)
	if errors.Is(err, accounts.ErrNotFound) { // it was used up or revoked in the meantime
		s.keys.refused(keyHash, address, now)
		return "", ErrInvalidEnrolmentKey
	}
	if err != nil {
		return "", err
	}
	s.keys.accepted(keyHash, now)
	for _, id := range enrolment.Replaced {
		s.cache.remove(credentialID{token: id})
	}
	// The agent registers and posts next, which then needs no look-up.
	s.cache.add(mark, principalOf(credential{KindAgent, hash}, enrolment.Token), now)
	return secret, nil
}

// checkKey returns nil if an enrolment key is valid, or was valid lately. Otherwise it returns ErrInvalidEnrolmentKey,
// or *RateLimitError without a look-up if there were too many invalid keys.
func (s *Service) checkKey(ctx context.Context, hash []byte, address string, now time.Time) error {
	if s.keys.isKnown(hash, now) {
		return nil
	}
	if err := rateLimitError(s.keys.wait(address, now)); err != nil {
		return err
	}
	valid, err := s.accounts.IsKeyValid(ctx, hash, now)
	if err != nil {
		return err
	}
	if !valid {
		s.keys.refused(hash, address, now)
		return ErrInvalidEnrolmentKey
	}
	s.keys.accepted(hash, now)
	return nil
}
