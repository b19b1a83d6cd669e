package main_test

import (
	"os"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/secretform"
)

// The agent removes every secret that the server creates from command lines, wherever it is in them. The check of the
// logs of a test run finds them too.
func TestOwnSecretsAreScrubbed(t *testing.T) {
	t.Parallel()
	scrubber, err := procfs.NewScrubber(nil)
	if err != nil {
		t.Fatal(err)
	}
	check, err := os.ReadFile("../../deploy/check/secrets.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range secretform.Prefixes() {
		if !strings.Contains(string(check), prefix) {
			t.Errorf("deploy/check/secrets.sh does not search for secrets with the prefix %s", prefix)
		}
		secret, _ := auth.NewSecret(auth.SecretKind(prefix))
		if len(secret) != secretform.Length {
			t.Errorf("a secret has %d bytes, want %d", len(secret), secretform.Length)
		}
		for given, want := range map[string]string{
			"app|" + secret:                                       "app|***",
			"snapwatch-agent|--unknown|" + secret:                 "snapwatch-agent|--unknown|***",
			"snapwatch-agent|--unknown=" + secret + "|-v":         "snapwatch-agent|--unknown=***|-v",
			"sh|-c|X=" + secret + " run; echo " + secret + "|x":   "sh|-c|X=*** run; echo ***|x",
			"curl|https://host/setup#" + secret:                   "curl|https://host/setup#***",
			"server: " + secret + " of a title":                   "server: *** of a title",
			"curl|-H|X-Any: " + secret + "|https://host:8420/api": "curl|-H|X-Any: ***|https://host:8420/api",
		} {
			if got := strings.Join(scrubber.Arguments(strings.Split(given, "|")), "|"); got != want {
				t.Errorf("%s\nbecame %s\n  want %s", given, got, want)
			}
		}
	}
}
