package clientaddr_test

import (
	"net/netip"
	"testing"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
)

func TestKey(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1":                "192.0.2.1/32",
		"::ffff:192.0.2.1":         "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"2001:db8:1:2::":           "2001:db8:1:2::/64",
		"2001:db8:1:3:3:4:5:6":     "2001:db8:1:3::/64",
		"fe80::1%eth0":             "fe80::/64",
		"::1":                      "::/64",
		"":                         "",
		"@":                        "@",
		"not an address":           "not an address",
		"192.0.2.1:443":            "192.0.2.1:443",
		"192.0.2.256":              "192.0.2.256",
		"[2001:db8::1]":            "[2001:db8::1]",
		"2001:db8:1:2:3:4:5:6/128": "2001:db8:1:2:3:4:5:6/128",
	} {
		if got := clientaddr.Key(address); got != want {
			t.Errorf("Key(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestNetworkOfTheZeroAddr(t *testing.T) {
	t.Parallel()
	if got := clientaddr.Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("Network(netip.Addr{}) = %v, want the zero Prefix", got)
	}
}
