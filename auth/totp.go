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

const (
	// totpPeriod is how long a one-time code is valid, in seconds (RFC 6238).
	totpPeriod = 30
	// totpSkew is how many periods the clocks of server and authenticator may differ.
	totpSkew = 1
)

// TOTPKey is a key for one-time codes that is not active yet.
type TOTPKey struct {
	Secret string // base32, for manual entry
	URL    string // otpauth:// URL
	Image  string // the URL as a QR code, in a data: URL
}

// GenerateTOTPKey generates a key for one-time codes. The caller activates it with ConfirmTOTP.
func (s *Service) GenerateTOTPKey(p *Principal) (*TOTPKey, error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: "snapwatch", AccountName: p.Name, Period: totpPeriod})
	if err != nil {
		return nil, fmt.Errorf("generate a TOTP key: %w", err)
	}
	qrCode, err := key.Image(240, 240)
	if err != nil {
		return nil, fmt.Errorf("draw the QR code of a TOTP key: %w", err)
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, qrCode); err != nil {
		return nil, fmt.Errorf("draw the QR code of a TOTP key: %w", err)
	}
	return &TOTPKey{
		Secret: key.Secret(),
		URL:    key.URL(),
		Image:  "data:image/png;base64," + base64.StdEncoding.EncodeToString(encoded.Bytes()),
	}, nil
}

// ConfirmTOTP activates a key for one-time codes: from the next sign-in on, the account requires them. It returns
// *FieldError for a wrong password or code.
func (s *Service) ConfirmTOTP(ctx context.Context, p *Principal, password, secret, code string) error {
	user, err := s.verifyPassword(ctx, p, password)
	if err != nil {
		return err
	}
	step, ok := s.codeStep(secret, code)
	if !ok {
		return &FieldError{"code", "must be the current code of this key"}
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

// RemoveTOTP removes the key for one-time codes of the account. From then on, the password is enough to sign in.
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

// checkCode checks the one-time code of an account that requires one. It returns ErrCodeRequired or ErrLoginFailed.
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
	if errors.Is(err, accounts.ErrNotFound) { // this code, or a later one, was used before
		return ErrLoginFailed
	}
	return err
}

// codeStep returns the time step that a code is valid for, and false if it is not valid now.
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
