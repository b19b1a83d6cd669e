package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
)

type openAPICommand struct{}

// Run prints the OpenAPI document. It needs neither a database nor a port.
func (openAPICommand) Run() error {
	gin.SetMode(gin.ReleaseMode)
	unused := func(*gin.Context) {}
	document, err := api.New(api.Config{Version: "1"}, api.Parts{
		Access:   api.NewAccess(auth.NewPolicy(auth.Rules()), nil, nil),
		Ingest:   unused,
		Live:     unused,
		UI:       http.NotFoundHandler(),
		Registry: prometheus.NewRegistry(),
		Logger:   slog.New(slog.DiscardHandler),
	}).Document()
	if err != nil {
		return fmt.Errorf("make the OpenAPI document: %w", err)
	}
	_, err = fmt.Fprintf(os.Stdout, "%s\n", document)
	return err
}
