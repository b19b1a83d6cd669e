package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/internal/strictpath"
	"github.com/snapwatch/snapwatch/internal/tlscert"
)

// renewBefore is how long before its end a certificate is reported. Let's Encrypt's are renewed 30 days before it.
const renewBefore = 14 * 24 * time.Hour

// examineTLS checks the certificates of the settings.
func (c *Config) examineTLS(now time.Time) (findings []finding.Finding) {
	const what = "certificate"
	switch {
	case c.TLS.TLSCert == "" && c.TLS.TLSKey == "" && len(c.TLS.ACMEDomains) == 0:
		findings = append(findings, c.checkPlainHTTP())
	case len(c.TLS.ACMEDomains) > 0:
		for _, domain := range c.TLS.ACMEDomains {
			findings = append(findings, c.checkACME(domain, now))
		}
	default:
		pair, err := tls.LoadX509KeyPair(c.TLS.TLSCert, c.TLS.TLSKey)
		if err != nil {
			return append(findings, problem(what, err.Error(), certificateFix(err)))
		}
		findings = append(findings, checkCertificate(pair.Leaf, c.Server.AllowedHosts, now))
		for _, path := range tlscert.KeyFiles(c.TLS.TLSCert, c.TLS.TLSKey) {
			if who, mode := strictpath.KeyReaders(path); who != "" {
				findings = append(findings, problem("private key", fmt.Sprintf(
					"%s has mode %v, so it is accessible to %s", path, mode, who), "run chmod 600 on it"))
			}
		}
	}
	if c.TLS.AgentCA != "" {
		if _, err := tlscert.LoadCertPool(c.TLS.AgentCA); err != nil {
			findings = append(
				findings,
				problem("agent CA", err.Error(), "set --agent-ca to a PEM file with CA certificates"),
			)
		} else {
			findings = append(findings, good("agent CA", c.TLS.AgentCA+" is readable"))
		}
	}
	return findings
}

// certificateFix says what to do about files that are not a certificate and its key.
func certificateFix(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "correct the path in --tls-cert or --tls-key"
	case errors.Is(err, fs.ErrPermission):
		return "make the files readable for the user of the server, and run this command as that user"
	case strings.Contains(err.Error(), "does not match"):
		return "set --tls-key to the key with which the certificate was requested"
	}
	return "set both --tls-cert and --tls-key to PEM files"
}

// checkPlainHTTP checks whether plain HTTP is used on this machine only.
func (c *Config) checkPlainHTTP() finding.Finding {
	host, _, err := net.SplitHostPort(c.Server.Listen)
	ip := net.ParseIP(host)
	if err == nil && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		return good("certificate", "none: the server only listens on this machine")
	}
	return problem("certificate", "the server uses plain HTTP on "+c.Server.Listen+
		", which exposes passwords, tokens and process lists",
		"set --tls-cert and --tls-key or --acme-domains, or listen on loopback behind a proxy with TLS")
}

// checkACME checks the stored certificate of a domain.
func (c *Config) checkACME(domain string, now time.Time) finding.Finding {
	text, err := os.ReadFile(filepath.Join(c.DataDir, "acme", filepath.Base(domain)))
	if errors.Is(err, fs.ErrNotExist) {
		return note(
			"certificate",
			"there is none for "+domain+" yet",
			"the server gets one with the first request over "+
				"HTTPS; the CA must reach it on port 443, or on port 80 with --acme-http",
		)
	}
	if err != nil {
		return problem("certificate", err.Error(), "run this command as the user of the server")
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return problem("certificate", err.Error(), "remove the file, so that the server gets a new certificate")
		}
		return checkCertificate(certificate, []string{domain}, now)
	}
	return problem("certificate", "the stored certificate of "+domain+" is damaged",
		"remove it from "+filepath.Join(c.DataDir, "acme")+", so that the server gets a new one")
}

// checkCertificate checks the dates of a certificate, and that it is valid for the hosts.
func checkCertificate(certificate *x509.Certificate, hosts []string, now time.Time) finding.Finding {
	const what = "certificate"
	until := certificate.NotAfter.UTC().Format("2006-01-02")
	switch {
	case now.Before(certificate.NotBefore):
		return problem(what, "it is not valid before "+certificate.NotBefore.UTC().Format(time.RFC3339),
			"check this machine's clock")
	case now.After(certificate.NotAfter):
		return problem(what, "it has expired on "+until, "renew it; the server loads a changed file without a restart")
	}
	for _, host := range hosts {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.Trim(host, "[] ")
		if err := certificate.VerifyHostname(host); err != nil {
			return problem(what, fmt.Sprintf("it is not valid for %s, which clients use", host),
				"get a certificate with that name, or remove the name from --allowed-hosts")
		}
	}
	names := append([]string(nil), certificate.DNSNames...)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	detail := fmt.Sprintf("valid until %s for %s", until, strings.Join(names, ", "))
	if certificate.NotAfter.Sub(now) < renewBefore {
		return note(what, detail, "renew it soon")
	}
	return good(what, detail)
}
