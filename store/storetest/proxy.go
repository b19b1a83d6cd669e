package storetest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy forwards connections to a database, and can interrupt them.
type Proxy struct {
	// URL is the database's URL through the proxy.
	URL string

	network, server string

	mu     sync.Mutex
	change *sync.Cond
	mode   proxyMode
	left   int // messages of clients until the connections are cut, -1 for no limit
	open   map[net.Conn]bool
}

type proxyMode int

const (
	forwarding proxyMode = iota
	refusing
	frozen
)

// NewProxy starts a proxy in front of a database, until the test ends.
func NewProxy(t testing.TB, url string) *Proxy {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{left: -1, open: make(map[net.Conn]bool)}
	p.change = sync.NewCond(&p.mu)
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = listener.Close()
		p.Refuse()
	})
	p.URL = fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", config.User, config.Password, listener.Addr(),
		config.Database)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

// CutAfter closes all connections after a number of messages of clients, as if the client was killed. Further
// connections are forwarded.
func (p *Proxy) CutAfter(messages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = messages
}

// WasCut reports whether the connections were closed since CutAfter.
func (p *Proxy) WasCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left < 0
}

// Refuse closes all connections and refuses further ones, as if the database had ended.
func (p *Proxy) Refuse() { p.set(refusing) }

// Freeze stops forwarding, as if the network was lost or the database hung. Connections are still accepted.
func (p *Proxy) Freeze() { p.set(frozen) }

// Resume forwards again.
func (p *Proxy) Resume() { p.set(forwarding) }

func (p *Proxy) set(mode proxyMode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
	if mode == refusing {
		p.closeAll()
	}
	p.change.Broadcast()
}

// closeAll closes all connections. The caller holds p.mu.
func (p *Proxy) closeAll() {
	for conn := range p.open {
		_ = conn.Close()
	}
	clear(p.open)
}

// serve forwards a connection in both directions.
func (p *Proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	if !p.pass() {
		return
	}
	server, err := net.Dial(p.network, p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, client)
		delete(p.open, server)
	}()
	go func() {
		_, _ = io.Copy(gate{p, client}, server)
		_ = client.Close()
	}()
	for header := 4; ; header = 5 { // the first message has no type
		message := make([]byte, header)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint32(message[header-4:])) - 4
		message = append(message, make([]byte, size)...)
		if _, err := io.ReadFull(client, message[header:]); err != nil {
			return
		}
		if !p.count() {
			return
		}
		if _, err := (gate{p, server}).Write(message); err != nil {
			return
		}
	}
}

// gate writes to a connection while the proxy forwards.
type gate struct {
	proxy *Proxy
	conn  net.Conn
}

// Write waits until the proxy forwards.
func (g gate) Write(b []byte) (int, error) {
	if !g.proxy.pass() {
		return 0, net.ErrClosed
	}
	return g.conn.Write(b)
}

// pass waits while the proxy is frozen. It reports whether it forwards.
func (p *Proxy) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.mode == frozen {
		p.change.Wait()
	}
	return p.mode == forwarding
}

// count counts a message of a client, and closes all connections if it is one too many.
func (p *Proxy) count() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left < 0 {
		return true
	}
	p.left--
	if p.left < 0 {
		p.closeAll()
		return false
	}
	return true
}
