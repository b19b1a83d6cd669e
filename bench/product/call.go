package product

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// ErrNotFound means that a response has the status 404.
var ErrNotFound = errors.New("not found")

// Call sends a request with a JSON body, nil for none, and decodes the JSON response unless into is nil. A status
// other than 200 is an error. It is ErrNotFound for 404.
func Call(ctx context.Context, client *http.Client, method, address string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	switch {
	case response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", method, address, ErrNotFound)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s: %s", method, address, response.Status, text)
	case into == nil:
		return nil
	}
	return json.Unmarshal(text, into)
}

// Pause waits for d, or returns the error of ctx if it ends first.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
