package api

import (
	"net/http"
	"testing"
)

// net/http cancels a request when the time for its body has passed, although the body was read. A sign-in on a slow
// machine can take longer than huma's default of five seconds.
func TestRequestsAreNotCancelledAfterTheirBody(t *testing.T) {
	t.Parallel()
	var cfg Config
	cfg.setDefaults()
	if op := operation(http.MethodPost, "/", "id", "", ""); op.BodyReadTimeout <= cfg.QueryTimeout {
		t.Errorf("requests are cancelled after %s, but queries may take %s", op.BodyReadTimeout, cfg.QueryTimeout)
	}
}
