package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/net/netutil"

	"github.com/snapwatch/snapwatch/api"
)

// localConnections is the maximum number of connections of the listener for the local agent, which needs two.
const localConnections = 64

// localAgentURL returns the address of the server for an agent on this machine. A certificate, allowed host names and
// client certificates are for other names than loopback. With any of them, the agent gets a listener of its own, which
// only this machine can reach, and which serves nothing but the requests of agents.
func (s *server) localAgentURL(ctx context.Context) (string, error) {
	if !s.secure() && len(s.server.AllowedHosts) == 0 {
		return s.url(), nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the local agent: %w", err)
	}
	s.local = newHTTPServer(api.LocalAgent(s.http.Handler), s.logger)
	go func() {
		err := s.local.Serve(netutil.LimitListener(listener, localConnections))
		if !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	return "http://" + listener.Addr().String(), nil
}
