// Package clientaddr maps IP addresses to the network that rate limits and connection limits treat as one client.
package clientaddr

import "net/netip"

// Network returns the network that is limited as one client: the address itself for IPv4, including an
// IPv4-mapped IPv6 address, and the /64 network for IPv6, because a single IPv6 host often has a whole /64.
// It returns the zero Prefix for the zero Addr.
func Network(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// Key returns the Network of an IP address as text, for use as a rate limit's key. It returns text that is
// not an IP address unchanged.
func Key(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return Network(ip).String()
}
