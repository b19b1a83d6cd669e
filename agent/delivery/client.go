package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	maxResponse = 1 << 20
	postTimeout = 60 * time.Second
	// maxRetryAfter bounds the pause that a server may ask for.
	maxRetryAfter = 30 * time.Second
)

// NewHTTPClient returns a client that trusts the system's certificate authorities and those in caFile (PEM), and
// presents the client certificate in certFile and keyFile (PEM). Empty names mean none. The client follows no
// redirects, because they would send the token to another server.
func NewHTTPClient(caFile, certFile, keyFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if certFile != "" || keyFile != "" {
		if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		// Read the files for each connection, because certificates are renewed.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(certFile, keyFile)
			return &pair, err
		}
	}
	if caFile == "" {
		return client, nil
	}
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the CA certificates: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the CA certificates: there is no certificate in %s", caFile)
	}
	transport.TLSClientConfig.RootCAs = roots
	return client, nil
}

// refusal is a response other than success, with the fields of the server's problem that the agent uses.
type refusal struct {
	status     int
	retryAfter time.Duration
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Snapshot   *int   `json:"snapshot"`
}

func (r *refusal) Error() string {
	switch {
	case r.Code != "":
		return fmt.Sprintf("%d %s: %s", r.status, r.Code, r.Detail)
	case r.status == http.StatusNotFound, r.status == http.StatusMethodNotAllowed, r.status/100 == 3:
		return fmt.Sprintf("%d %s, from another server or a proxy; check the address in --server, with its base path",
			r.status, http.StatusText(r.status))
	default:
		return fmt.Sprintf("%d %s, from a proxy or another server", r.status, http.StatusText(r.status))
	}
}

// client posts to the server.
type client struct {
	http       *http.Client
	server     *url.URL
	userAgent  string
	credential *Credential
}

// post posts a body and decodes the response. If the server refuses, the error is a *refusal.
func (c *client) post(ctx context.Context, path string, body []byte, encoding string, response any) error {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	address := c.server.JoinPath(path).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("create a request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", c.userAgent)
	if c.credential.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.credential.token)
	}
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	received, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = received.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(received.Body, maxResponse))
	if err != nil {
		return fmt.Errorf("read the response: %w", err)
	}
	if received.StatusCode < 200 || received.StatusCode > 299 {
		r := &refusal{}
		_ = json.Unmarshal(text, r) // the response of a proxy may be anything
		r.status = received.StatusCode
		if seconds, err := strconv.Atoi(received.Header.Get("Retry-After")); err == nil && seconds > 0 {
			r.retryAfter = min(time.Duration(seconds)*time.Second, maxRetryAfter)
		}
		return r
	}
	if err := json.Unmarshal(text, response); err != nil {
		return fmt.Errorf("decode the response: %w", err)
	}
	return nil
}
