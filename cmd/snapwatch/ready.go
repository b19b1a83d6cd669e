package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type readyCommand struct {
	Server  string        `env:"SNAPWATCH_SERVER" default:"http://127.0.0.1:8420" help:"URL of the server. The base path is optional."`
	Timeout time.Duration `default:"4s" help:"Time to wait for the response."`
}

// Run checks whether a server is ready. It is the health check of the container.
func (c *readyCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Server, "/")+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("connect to the server: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fmt.Errorf("read the server's response: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s %s", response.Status, text)
	}
	fmt.Println(strings.TrimSpace(string(text)))
	return nil
}
