package main_test

import (
	"testing"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/auth"
)

// The agent removes the secrets that the server creates from command lines. Each has its own copy of their pattern.
func TestScrubberHasThePatternOfSecrets(t *testing.T) {
	t.Parallel()
	if pattern := auth.SecretPattern.String(); procfs.SnapwatchSecret != pattern {
		t.Errorf("the agent has the pattern %s, and the server %s", procfs.SnapwatchSecret, pattern)
	}
	scrubber, err := procfs.NewScrubber(nil)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []auth.SecretKind{
		auth.KindSession, auth.KindToken, auth.KindAgent, auth.KindEnrolmentKey, auth.KindSetup, auth.KindDevice,
	}
	for _, kind := range kinds {
		secret, _ := auth.NewSecret(kind)
		if got := scrubber.Arguments([]string{"app", secret}); got[1] != "***" {
			t.Errorf("the scrubber returns %q for a secret with the prefix %s", got, kind)
		}
	}
}
