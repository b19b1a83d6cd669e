//go:build linux

package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// link is the network between agents and a server. It keeps its address while servers come and go.
type link struct {
	listener net.Listener

	mu     sync.Mutex
	change *sync.Cond
	target string // address of the server; empty if there is none
	state  linkState
	open   map[net.Conn]bool
}

type linkState int

const (
	intact linkState = iota
	cut              // connections are closed, and new ones are refused
	silent           // nothing passes, as if packets were lost
	slow             // slowBytes pass in a second, in each direction
)

const slowBytes = 16 << 10

func newLink(ctx context.Context) (*link, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{listener: listener, open: make(map[net.Conn]bool)}
	l.change = sync.NewCond(&l.mu)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(client)
		}
	}()
	return l, nil
}

func (l *link) url() string { return "http://" + l.listener.Addr().String() }

// connect sets the address of the server. The connections to the previous one are closed.
func (l *link) connect(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = address
	l.closeAll()
}

func (l *link) set(state linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	if state == cut {
		l.closeAll()
	}
	l.change.Broadcast()
}

func (l *link) close() {
	_ = l.listener.Close()
	l.set(cut)
}

// closeAll closes all connections. The caller holds l.mu.
func (l *link) closeAll() {
	for conn := range l.open {
		_ = conn.Close()
	}
	clear(l.open)
}

// dial connects to the server for a client.
func (l *link) dial(client net.Conn) (server net.Conn, ok bool) {
	l.mu.Lock()
	target, state := l.target, l.state
	l.mu.Unlock()
	if target == "" || state == cut {
		return nil, false
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == cut || l.target != target {
		_ = server.Close()
		return nil, false
	}
	l.open[client], l.open[server] = true, true
	return server, true
}

func (l *link) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, ok := l.dial(client)
	if !ok {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.forward(server, client) })
	both.Go(func() { l.forward(client, server) })
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, client)
	delete(l.open, server)
}

// forward copies from one connection to another, and closes both at the end.
func (l *link) forward(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	for buffer := make([]byte, slowBytes/8); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			if l.pass() == slow {
				time.Sleep(time.Duration(n) * time.Second / slowBytes)
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while the link is silent.
func (l *link) pass() linkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.state == silent {
		l.change.Wait()
	}
	return l.state
}
