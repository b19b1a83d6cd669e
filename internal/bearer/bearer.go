// Package bearer adds a bearer token to HTTP requests.
package bearer

import "net/http"

// Transport is an http.RoundTripper that sets the Authorization header of requests without one.
type Transport struct {
	Token string
	// Next sends the requests; http.DefaultTransport by default.
	Next http.RoundTripper
}

// RoundTrip sends a request.
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
