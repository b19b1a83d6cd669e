package connlimit_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/connlimit"
)

// serve accepts, and tells of each connection that was.
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
	if errors.Is(err, syscall.ECONNRESET) { // it was closed before we knew that it was open
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// closed waits until the other side has ended a connection.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if conn == nil {
		return
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	if timeout, ok := errors.AsType[net.Error](err); err == nil || ok && timeout.Timeout() {
		t.Errorf("a connection beyond the bound is open: %v", err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	address, accepted := serve(
		t, connlimit.Config{Total: 4, PerAddress: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}},
	)
	var open []net.Conn
	for range 2 {
		dial(t, "127.0.0.1", address)
		open = append(open, <-accepted)
	}
	closed(t, dial(t, "127.0.0.1", address)) // a third of one address
	for range 2 {
		dial(t, "127.0.0.2", address)
		open = append(open, <-accepted)
	}
	closed(t, dial(t, "127.0.0.3", address)) // a fifth in all
	for _, conn := range open {
		_ = conn.Close()
		_ = conn.Close() // counts once
	}
	for range 4 { // there is room again, and one that is exempt may have all of it
		dial(t, "127.0.0.9", address)
		conn := <-accepted
		if _, err := conn.Write([]byte("x")); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	}
	closed(t, dial(t, "127.0.0.9", address))
}
