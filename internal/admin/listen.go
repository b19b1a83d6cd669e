// Package admin serves profiles, goroutine dumps and metrics for the people who run a server, on an address of its own
// that only they can use.
//
// A Unix socket can be used by its owner and by root, because its file has mode 0600. A TCP address must be one of the
// loopback interface. Every user of the machine can connect to that, so it also requires a token. The token is a
// setting and not one of the database, so that it works while the database does not.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// MinToken is the minimum length of the token of a TCP address.
const MinToken = 32

// maxSocketPath is the maximum length of the path of a Unix socket, without the name that it has until it is ready.
const maxSocketPath = 107 - len(temporaryName)

// temporaryName is appended to the directory of a socket until its permissions are set.
const temporaryName = "/.admin-0123456789/s"

// Address is the address of an admin listener: the path of a Unix socket, or a loopback address with a port.
type Address struct {
	network, address string
}

// ParseAddress parses the setting: an absolute path, which may begin with unix:, or a loopback address with a port. A
// TCP address requires a token of at least MinToken characters.
func ParseAddress(text, token string) (Address, error) {
	path, isSocket := strings.CutPrefix(text, "unix:")
	if isSocket || filepath.IsAbs(text) {
		if !filepath.IsAbs(path) {
			return Address{}, fmt.Errorf("--admin-listen: the path of the socket %q is not absolute", path)
		}
		path = filepath.Clean(path)
		if len(path) > maxSocketPath {
			return Address{}, fmt.Errorf(
				"--admin-listen: the path %s has %d bytes; use one of at most %d",
				path,
				len(path),
				maxSocketPath,
			)
		}
		return Address{"unix", path}, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Address{}, fmt.Errorf(
			"--admin-listen: %q is neither the absolute path of a Unix socket nor a loopback address with a port", text)
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.Unmap().IsLoopback() {
		return Address{}, fmt.Errorf(
			"--admin-listen: %q is not a loopback address; other machines must not reach it, so use "+
				"127.0.0.1, [::1] or the path of a Unix socket",
			text,
		)
	}
	if len(token) < MinToken {
		return Address{}, fmt.Errorf("--admin-listen: every user of this machine can connect to %s; set "+
			"SNAPWATCH_ADMIN_TOKEN to a secret of at least %d characters, or use the path of a Unix "+
			"socket", text, MinToken)
	}
	return Address{"tcp", net.JoinHostPort(host, port)}, nil
}

// IsSocket reports whether the address is that of a Unix socket.
func (a Address) IsSocket() bool { return a.network == "unix" }

// String returns the address in the form of the setting.
func (a Address) String() string { return a.address }

// Listen listens on the address. Closing the listener removes the socket.
func (a Address) Listen(ctx context.Context) (net.Listener, error) {
	var listener net.Listener
	var err error
	if a.IsSocket() {
		listener, err = listenSocket(ctx, a.address)
	} else {
		listener, err = new(net.ListenConfig).Listen(ctx, a.network, a.address)
	}
	if err != nil {
		return nil, fmt.Errorf("--admin-listen: %w", err)
	}
	return listener, nil
}

// socketListener is a listener on a Unix socket that was renamed.
type socketListener struct {
	*net.UnixListener
	path string
}

// Close closes the listener and removes the socket.
func (l *socketListener) Close() error {
	_ = os.Remove(l.path)
	return l.UnixListener.Close()
}

// listenSocket creates the socket in a directory that only this user can enter, and renames it when its permissions are
// set. It replaces the socket of a server that was killed.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("%s exists and is not a socket", path)
	default:
		dialer := net.Dialer{Timeout: time.Second}
		if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("another server listens on %s", path)
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".admin-")
	if err != nil {
		return nil, fmt.Errorf("create the socket: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	temporary := filepath.Join(dir, "s")
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", temporary)
	if err != nil {
		return nil, err
	}
	socket, ok := listener.(*net.UnixListener)
	if !ok {
		_ = listener.Close()
		return nil, errors.ErrUnsupported
	}
	socket.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temporary, 0o600), os.Rename(temporary, path)); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("create the socket: %w", err)
	}
	return &socketListener{socket, path}, nil
}
