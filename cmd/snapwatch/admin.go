package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/snapwatch/snapwatch/internal/admin"
)

// adminServer serves the admin address.
type adminServer struct {
	http *http.Server
	done chan struct{}
}

// startAdmin serves the admin address of the settings, if there is one. It starts before the database and ends after
// it, so that a start or a stop that hangs can be examined.
func (s *server) startAdmin(ctx context.Context) error {
	if s.server.AdminListen == "" {
		return nil
	}
	address, err := admin.ParseAddress(s.server.AdminListen, s.access.AdminToken)
	if err != nil {
		return err
	}
	listener, err := address.Listen(ctx)
	if err != nil {
		return err
	}
	s.admin = &adminServer{admin.NewServer(address, s.access.AdminToken, s.registry), make(chan struct{})}
	s.admin.http.ErrorLog = slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug)
	go func() {
		defer close(s.admin.done)
		if err := s.admin.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.logger.Error("the admin address is not served any more", "err", err)
		}
	}()
	s.logger.Info("serving profiles and metrics for administrators", "admin_listen", listener.Addr().String())
	return nil
}

// close ends requests under way, and closes the listener.
func (a *adminServer) close() {
	_ = a.http.Close()
	<-a.done
}
