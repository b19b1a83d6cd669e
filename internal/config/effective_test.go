package config_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/snapwatch/snapwatch/internal/config"
)

func TestEffective(t *testing.T) {
	t.Parallel()
	var settings struct {
		config.Database
		config.Server
		config.Access
		config.OIDC
		config.TLS
	}
	parser, err := kong.New(&settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{
		"--database-url", "postgres://alice:hunter%2F22@db.example.org/inventory?sslpassword=ssl22",
		"--admin-token", "admin22", "--metrics-token", "metrics22", "--enrolment-key", "key22",
		"--oidc-client-secret", "oidc22", "--allowed-hosts", "web.example.org,www.example.org", "--writers", "3",
	}); err != nil {
		t.Fatal(err)
	}
	groups := []any{&settings.Database, &settings.Server, &settings.Access, &settings.OIDC, &settings.TLS}
	for _, names := range []bool{false, true} {
		all, hidden, err := config.Effective(names, groups...)
		if err != nil {
			t.Fatal(err)
		}
		values := make(map[string]string)
		for _, s := range all {
			values[s.Name] = s.Value
			if strings.Contains(s.Value, "22") || !names && strings.Contains(s.Value, "example") {
				t.Errorf("%s is %s", s.Name, s.Value)
			}
			if s.Name == "SNAPWATCH_WRITERS" && s.Default || s.Name == "SNAPWATCH_GROUP_WAIT" && !s.Default {
				t.Errorf("%+v", s)
			}
		}
		want := map[string]string{
			"DATABASE_URL": "(set, hidden)", "SNAPWATCH_ADMIN_TOKEN": "(set, secret)", "SNAPWATCH_WRITERS": "3",
			"SNAPWATCH_ALLOWED_HOSTS": "(set, hidden)", "SNAPWATCH_OIDC_ISSUER": "(not set)",
		}
		if names {
			want["DATABASE_URL"] = "postgres://db.example.org/inventory"
			want["SNAPWATCH_ALLOWED_HOSTS"] = "web.example.org,www.example.org"
		}
		for name, value := range want {
			if values[name] != value {
				t.Errorf("%s is %q, want %q", name, values[name], value)
			}
		}
		for _, secret := range []string{"hunter/22", "ssl22", "admin22", "metrics22", "key22", "oidc22"} {
			if !slices.Contains(hidden.Secrets, secret) {
				t.Errorf("%s is not among the secrets %q", secret, hidden.Secrets)
			}
		}
		for _, name := range []string{"alice", "db.example.org", "inventory", "www.example.org"} {
			if !slices.Contains(hidden.Names, name) {
				t.Errorf("%s is not among the names %q", name, hidden.Names)
			}
		}
	}
	all, hidden, err := config.Effective(true, &config.Database{DatabaseURL: "host=x password=hunter22"})
	if err != nil || all[0].Value != "(set, hidden)" || len(hidden.Secrets) != 1 {
		t.Errorf("a connection string: %+v, %+v, %v", all[0], hidden, err)
	}
}

// Every setting whose value is a text has a tag that says whether it is a secret or a name, or has a list of values.
func TestTextSettingsAreRedacted(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`(?i)(token|secret|password|enrolment_key)$`)
	for _, group := range []any{&config.Database{}, &config.Server{}, &config.Access{}, &config.OIDC{}, &config.TLS{}} {
		flags, err := config.Flags(group)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range flags {
			kind := flag.Tag.Get("redact")
			isText := flag.Target.Kind() == reflect.String || flag.Target.Kind() == reflect.Slice
			if isText && kind == "" && flag.Enum == "" || secret.MatchString(flag.Envs[0]) && kind != "secret" {
				t.Errorf("%s has the tag redact:%q", flag.Envs[0], kind)
			}
		}
	}
}
