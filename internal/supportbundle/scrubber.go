package supportbundle

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/secretform"
)

// secretPatterns match secrets in any text. What is in the first group stays.
var secretPatterns = []*regexp.Regexp{
	regexp.MustCompile(`()` + secretform.Pattern()),
	regexp.MustCompile(`()\$argon2[a-z]*\$[^\s"']+`),
	regexp.MustCompile(`(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`),
	regexp.MustCompile(`([a-z]://[^\s/:@"']*:)[^\s/@"']+@`),
	regexp.MustCompile(`(?i)(\b[a-z_]*(?:password|passwd|secret|token)=)(?:'[^']*'|[^\s&"']+)`),
	regexp.MustCompile(`(?i)(\bbearer )[A-Za-z0-9._~+/=-]{8,}`),
}

// commonNames are in the texts of every installation.
var commonNames = []string{"snapwatch", "postgres", "postgresql", "root", "localhost", "127.0.0.1", "::1"}

var addressPattern = regexp.MustCompile(`[0-9A-Fa-f:.]*[0-9A-Fa-f:.]{6}`)

const (
	hiddenSecret = "(secret)"
	hiddenName   = "(name)"
	// minSubstring is the length from which a secret is also removed from within words. A shorter one is a part of
	// many words.
	minSubstring = 6
)

// scrubber removes secrets, and names unless they are wanted.
type scrubber struct {
	secrets *regexp.Regexp // nil for none
	names   *regexp.Regexp // nil for none
	// keepAddresses keeps IP addresses.
	keepAddresses bool
}

func newScrubber(cfg Config) *scrubber {
	secrets, names := slices.Clone(cfg.Hidden.Secrets), slices.Clone(cfg.Hidden.Names)
	for _, address := range []string{cfg.Doctor.DatabaseURL, cfg.Doctor.Database.ListenDatabaseURL} {
		if database, err := pgx.ParseConfig(address); err == nil && address != "" {
			// The password can also be in PGPASSWORD or in a file.
			secrets = append(secrets, database.Password)
			names = append(names, database.Host, database.User, database.Database)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { // those are found by addressPattern
		_, isAddress := parseAddress(name)
		return isAddress
	})
	for _, secret := range secrets {
		secrets = append(secrets, url.QueryEscape(secret), url.PathEscape(secret), fmt.Sprintf("%q", secret))
	}
	s := &scrubber{secrets: literals(secrets, nil), keepAddresses: cfg.WithNames}
	if !cfg.WithNames {
		s.names = literals(append(names, hostNames()...), commonNames)
	}
	return s
}

// literals returns a pattern that matches any of the texts, the longest first, or nil if there are none.
func literals(texts, except []string) *regexp.Regexp {
	var patterns []string
	texts = slices.Clone(texts)
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, text := range slices.Compact(texts) {
		if text = strings.TrimSpace(text); len(text) < 2 || slices.Contains(except, strings.ToLower(text)) {
			continue
		}
		pattern := regexp.QuoteMeta(text)
		if len(text) < minSubstring {
			pattern = boundary(text[0]) + pattern + boundary(text[len(text)-1])
		}
		patterns = append(patterns, pattern)
	}
	if len(patterns) == 0 {
		return nil
	}
	return regexp.MustCompile(`(?i)` + strings.Join(patterns, "|"))
}

// boundary returns a pattern for the edge of a word, if a byte is a part of one.
func boundary(c byte) string {
	if c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
		return `\b`
	}
	return ""
}

// text returns a text without secrets and names.
func (s *scrubber) text(text string) string {
	if s.secrets != nil {
		text = s.secrets.ReplaceAllLiteralString(text, hiddenSecret)
	}
	for _, pattern := range secretPatterns {
		text = pattern.ReplaceAllString(text, "${1}"+hiddenSecret)
	}
	if s.names != nil {
		text = s.names.ReplaceAllLiteralString(text, hiddenName)
	}
	if !s.keepAddresses {
		text = addressPattern.ReplaceAllStringFunc(text, hideAddress)
	}
	return text
}

// hideAddress replaces an IP address, with or without a port, unless it is one of this machine.
func hideAddress(text string) string {
	address := strings.TrimRight(text, ".:") // punctuation after it
	end := text[len(address):]
	if ip, isAddress := parseAddress(address); !isAddress || ip.IsLoopback() || ip.IsUnspecified() {
		return text
	}
	return hiddenName + end
}

// parseAddress parses an IP address, with or without a port.
func parseAddress(text string) (ip netip.Addr, isAddress bool) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return ip, true
	}
	withPort, err := netip.ParseAddrPort(text)
	return withPort.Addr(), err == nil
}

// maxProfile is the maximum size of a profile, in bytes.
const maxProfile = 64 << 20

// compressed removes secrets and names from data that is compressed with gzip. It keeps the length of texts, because
// profiles contain the lengths.
func (s *scrubber) compressed(data []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxProfile+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(plain) > maxProfile {
		return nil, fmt.Errorf("it has more than %d bytes", maxProfile)
	}
	for _, pattern := range append(slices.Clone(secretPatterns), s.secrets, s.names) {
		if pattern != nil {
			plain = pattern.ReplaceAllFunc(
				plain,
				func(found []byte) []byte { return bytes.Repeat([]byte("x"), len(found)) },
			)
		}
	}
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := writer.Write(plain); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}
