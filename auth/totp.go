package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"strings"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// totpPeriod is how long a one-time code counts, in seconds (RFC 6238), and totpSkew
// how many periods a clock may be off.
const (
	totpPeriod = 30
	totpSkew   = 1
)

// TOTPOffer is a key for one-time codes that is not in use yet.
type TOTPKey struct {
	Secret string // base32, to type
	URL    string // otpauth://
	Image  string // the same as a QR code, a data: URL
}

// OfferTOTP makes a key for one-time codes. It is in use once ConfirmTOTP has seen a
// code of it.
func (s *Service) GenerateTOTPKey(p *Principal) (*TOTPKey, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "snapwatch", AccountName: p.Name, Period: totpPeriod})
	if err != nil {
		return nil, fmt.Errorf("make a key for one-time codes: %w", err)
	}
	picture, err := key.Image(240, 240)
	if err != nil {
		return nil, fmt.Errorf("draw a key for one-time codes: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("draw a key for one-time codes: %w", err)
	}
	return &TOTPKey{
		Secret: key.Secret(),
		URL:    key.URL(),
		Image:  "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()),
	}, nil
}

// ConfirmTOTP makes one-time codes needed from the next log-in on.
func (s *Service) ConfirmTOTP(ctx context.Context, p *Principal, password, secret, code string) error {
	user, err := s.verifyPassword(ctx, p, password)
	if err != nil {
		return err
	}
	step, ok := s.codeStep(secret, code)
	if !ok {
		return &FieldError{"code", "is not the code of this key just now"}
	}
	if err := s.accounts.ChangeUser(ctx, user.ID, accounts.UserChange{TOTPSecret: &secret}); err != nil {
		return err
	}
	if err := s.accounts.TakeTOTPStep(ctx, user.ID, step); err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	s.Record(ctx, "totp.set", "user "+user.Name, nil)
	return nil
}

// RemoveTOTP makes the password enough again.
func (s *Service) RemoveTOTP(ctx context.Context, p *Principal, password string) error {
	user, err := s.verifyPassword(ctx, p, password)
	if err != nil {
		return err
	}
	none := ""
	if err := s.accounts.ChangeUser(ctx, user.ID, accounts.UserChange{TOTPSecret: &none}); err != nil {
		return err
	}
	s.Record(ctx, "totp.removed", "user "+user.Name, nil)
	return nil
}

// checkCode asks for a one-time code where the account has them.
func (s *Service) checkCode(ctx context.Context, user *accounts.User, code string) error {
	if user.TOTPSecret == nil {
		return nil
	}
	if code == "" {
		return ErrCodeRequired
	}
	step, ok := s.codeStep(*user.TOTPSecret, code)
	if !ok {
		return ErrLoginFailed
	}
	err := s.accounts.TakeTOTPStep(ctx, user.ID, step)
	if errors.Is(err, accounts.ErrNotFound) { // it was given before
		return ErrLoginFailed
	}
	return err
}

// codeStep returns the time step whose code it is.
func (s *Service) codeStep(secret, code string) (int64, bool) {
	code = strings.ReplaceAll(code, " ", "")
	now := s.cfg.Now().Unix() / totpPeriod
	for step := now - totpSkew; step <= now+totpSkew; step++ {
		ok, err := hotp.ValidateCustom(
			code, uint64(step), secret, hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1},
		)
		if err == nil && ok {
			return step, true
		}
	}
	return 0, false
}
