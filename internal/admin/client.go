package admin

import (
	"context"
	"net"
	"net/http"

	"github.com/snapwatch/snapwatch/internal/bearer"
)

// NewClient returns a client for the admin listener of an address. The host of a request's URL has no meaning, except
// for its Host header.
func NewClient(address Address, token string) *http.Client {
	dialer := new(net.Dialer)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, address.network, address.address)
		},
		DisableKeepAlives: true,
	}
	if address.IsSocket() {
		return &http.Client{Transport: transport}
	}
	return &http.Client{Transport: bearer.Transport{Token: token, Next: transport}}
}
