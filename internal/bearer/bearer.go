// Package bearer sends a token with HTTP requests.
package bearer

import "net/http"

// Transport sends each request with a token, unless it has an Authorization already.
type Transport struct {
	Token string
	// Next makes the requests; nil means http.DefaultTransport.
	Next http.RoundTripper
}

// RoundTrip makes a request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, has := r.Header["Authorization"]; !has {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+t.Token)
	}
	if t.Next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return t.Next.RoundTrip(r)
}
