// Package connlimit bounds the connections that a listener has open, in all and of
// each address. Those beyond are closed at once: waiting ones would cost too.
package connlimit

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/clientaddr"
)

// Config says how many. Zero values mean no bound.
type Config struct {
	// Total bounds the connections of all addresses, and PerAddress those of one; of
	// IPv6, an address is a network of 64 bits.
	Total, PerAddress int
	// Exempt are networks whose addresses only Total bounds: trusted proxies.
	Exempt []netip.Prefix
}

// Listener accepts as many connections as it may. It is a net.Listener.
type Listener struct {
	net.Listener
	cfg     Config
	refused *prometheus.CounterVec

	mu    sync.Mutex
	total int
	of    map[netip.Prefix]int
}

// New returns a listener that takes connections from another.
func New(inner net.Listener, cfg Config, registry prometheus.Registerer) *Listener {
	l := &Listener{Listener: inner, cfg: cfg, of: make(map[netip.Prefix]int),
		refused: prometheus.NewCounterVec(
			prometheus.CounterOpts{
				Name: "snapwatch_connections_refused_total",
				Help: "Connections closed at once, by the bound that was reached: total, or address for those of one address.",
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

// Accept returns the next connection that is within the bounds.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := network(conn.RemoteAddr())
		if bound := l.enter(from); bound != "" {
			l.refused.WithLabelValues(bound).Inc()
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset: a socket that lingers is one too
			}
			_ = conn.Close()
			continue
		}
		return &limited{Conn: conn, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
	}
}

// enter counts a connection, or names the bound that it would pass.
func (l *Listener) enter(from netip.Prefix) (bound string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.Total > 0 && l.total >= l.cfg.Total {
		return "total"
	}
	exempt := slices.ContainsFunc(l.cfg.Exempt, func(p netip.Prefix) bool { return p.Contains(from.Addr()) })
	if l.cfg.PerAddress > 0 && !exempt && l.of[from] >= l.cfg.PerAddress {
		return "address"
	}
	l.total++
	l.of[from]++
	return ""
}

func (l *Listener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.of[from]--; l.of[from] <= 0 {
		delete(l.of, from)
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

// limited is a connection that is counted until it closes.
type limited struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *limited) Close() error {
	c.leave()
	return c.Conn.Close()
}
