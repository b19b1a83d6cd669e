//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/internal/bearer"
)

// hostileClients opens connections that send nothing, connections that send half a request, and live views that never
// read. They have an address of their own, because connections are limited by address.
func hostileClients(ctx context.Context, w *world) (func() error, error) {
	const idle, half, deaf = 200, 100, 20
	var mu sync.Mutex
	var open []net.Conn
	closeOpen := func() error {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close()
		}
		return nil
	}
	dialer := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: 5 * time.Second,
		Control: func(_, _ string, raw syscall.RawConn) error {
			var err error
			return errors.Join(raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
			}), err)
		},
	}
	w.services[0].mu.Lock()
	server := w.services[0].server
	w.services[0].mu.Unlock()
	if server == nil {
		return closeOpen, errors.New("the server is not up")
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			open = append(open, conn)
		}
		return conn, err
	}
	address := strings.TrimPrefix(server.URL, "http://")
	for i := range idle + half {
		conn, err := dial(ctx, "tcp", address)
		if err != nil {
			return closeOpen, err
		}
		if i >= idle {
			_, err := conn.Write([]byte("POST /api/v1/snapshots HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " +
				w.token + "\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"machine_id\":"))
			if err != nil {
				return closeOpen, err
			}
		}
	}
	transport := bearer.Transport{Token: w.token, Next: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	for range deaf {
		conn, err := dialLive(ctx, server.URL, transport)
		if err != nil {
			return closeOpen, err
		}
		for _, one := range w.fleet.agents {
			if err := conn.Write(ctx, websocket.MessageText, subscription(one.id)); err != nil {
				return closeOpen, err
			}
		}
	}
	return closeOpen, nil
}
