// Package connlimit limits the open connections of a listener, in total and per client address. Connections that
// exceed a limit are closed at once, because waiting connections also use memory.
package connlimit

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
)

// Config sets the limits. Zero values mean no limit.
type Config struct {
	// Total is the maximum number of open connections.
	Total int
	// PerAddress is the maximum number of open connections of one IPv4 address or IPv6 /64 network.
	PerAddress int
	// Exempt lists networks without the PerAddress limit, such as those of trusted proxies.
	Exempt []netip.Prefix
}

// Listener is a net.Listener that only accepts connections within the limits.
type Listener struct {
	net.Listener
	cfg     Config
	refused *prometheus.CounterVec // by exceeded limit

	mu        sync.Mutex
	total     int
	byNetwork map[netip.Prefix]int
}

// New returns a Listener that accepts connections from inner.
func New(inner net.Listener, cfg Config, registry prometheus.Registerer) *Listener {
	l := &Listener{Listener: inner, cfg: cfg, byNetwork: make(map[netip.Prefix]int),
		refused: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "snapwatch_connections_refused_total",
				Help: "Connections refused, by the exceeded limit: total, or address for the limit per client address.",
			},
			[]string{"bound"},
		)}
	open := prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: "snapwatch_connections", Help: "Open connections."},
		func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return float64(l.total)
		},
	)
	registry.MustRegister(l.refused, open)
	for _, bound := range []string{"total", "address"} {
		l.refused.WithLabelValues(bound)
	}
	return l
}

// Accept returns the next connection within the limits. It closes the others.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := network(conn.RemoteAddr())
		if limit := l.add(client); limit != "" {
			l.refused.WithLabelValues(limit).Inc()
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // reset, so that no socket remains in TIME_WAIT
			}
			_ = conn.Close()
			continue
		}
		return &countedConn{Conn: conn, onClose: sync.OnceFunc(func() { l.remove(client) })}, nil
	}
}

// add counts a connection. If it exceeds a limit, add does not count it and returns the name of the limit.
func (l *Listener) add(client netip.Prefix) (exceeded string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.Total > 0 && l.total >= l.cfg.Total {
		return "total"
	}
	exempt := slices.ContainsFunc(l.cfg.Exempt, func(p netip.Prefix) bool { return p.Contains(client.Addr()) })
	if l.cfg.PerAddress > 0 && !exempt && l.byNetwork[client] >= l.cfg.PerAddress {
		return "address"
	}
	l.total++
	l.byNetwork[client]++
	return ""
}

func (l *Listener) remove(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.byNetwork[client]--; l.byNetwork[client] <= 0 {
		delete(l.byNetwork, client)
	}
}

// network returns the network that an address is counted under. All addresses other than TCP addresses
// are counted under the zero Prefix.
func network(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return clientaddr.Network(tcp.AddrPort().Addr())
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	net.Conn
	onClose func()
}

// NetConn returns the connection of the listener, as that of tls.Conn does.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

// Close closes the connection. It may be called more than once.
func (c *countedConn) Close() error {
	c.onClose()
	return c.Conn.Close()
}
