// Package testport finds ports for programs that a test starts with a fixed address.
package testport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports from first until last are not those that systems give to listeners with port 0 and to connections: Linux
// has 32,768 and above for these. Other tests use many of them, so one of them is not free for long.
const first, last = 20_000, 31_999

// FreeAddress returns an address on loopback with a port that nothing listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	var err error
	for range 100 {
		port := first + rand.IntN(last-first+1) //nolint:gosec // no secret
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		var listener net.Listener
		if listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address); err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal(err)
	return ""
}
