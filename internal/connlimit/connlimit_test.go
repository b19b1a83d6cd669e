package connlimit_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/connlimit"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// serve starts a listener. It returns its address and a channel of the accepted connections.
func serve(t *testing.T, cfg connlimit.Config) (string, <-chan net.Conn) {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := connlimit.New(inner, cfg, prometheus.NewRegistry())
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return inner.Addr().String(), accepted
}

func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", to)
	if errors.Is(err, syscall.ECONNRESET) { // it was refused before Dial returned
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// expectClosed waits until the server closes a connection.
func expectClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if conn == nil {
		return
	}
	ctx, cancel := testwait.Context(t)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	_, err := conn.Read(make([]byte, 1))
	if timeout, ok := errors.AsType[net.Error](err); err == nil || ok && timeout.Timeout() {
		t.Errorf("a connection that exceeds a limit is open: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	address, accepted := serve(
		t, connlimit.Config{Total: 4, PerAddress: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}},
	)
	var open []net.Conn
	for range 2 {
		dial(t, "127.0.0.1", address)
		open = append(open, <-accepted)
	}
	expectClosed(t, dial(t, "127.0.0.1", address)) // the third of this address
	for range 2 {
		dial(t, "127.0.0.2", address)
		open = append(open, <-accepted)
	}
	expectClosed(t, dial(t, "127.0.0.3", address)) // the fifth in total
	for _, conn := range open {
		_ = conn.Close()
		_ = conn.Close() // is counted once
	}
	for range 4 { // an exempt address may open all of them
		dial(t, "127.0.0.9", address)
		conn := <-accepted
		if _, err := conn.Write([]byte("x")); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
	expectClosed(t, dial(t, "127.0.0.9", address))
}

// The options of the socket of an accepted connection can be set.
func TestNetConn(t *testing.T) {
	t.Parallel()
	address, accepted := serve(t, connlimit.Config{Total: 1, PerAddress: 1})
	dial(t, "127.0.0.1", address)
	conn := <-accepted
	defer func() { _ = conn.Close() }()
	wrapper, ok := conn.(interface{ NetConn() net.Conn })
	if !ok {
		t.Fatalf("%T does not give access to its connection", conn)
	}
	if _, ok := wrapper.NetConn().(*net.TCPConn); !ok {
		t.Errorf("the connection is a %T", wrapper.NetConn())
	}
}
