package procfs

import (
	"slices"
	"strings"
	"testing"
)

// defaultScrubber returns the scrubber of an agent without settings.
func defaultScrubber(t testing.TB) *Scrubber {
	t.Helper()
	s, err := NewScrubber(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ownSecret returns a text with the form of a secret of snapwatch.
func ownSecret(prefix string) string { return prefix + strings.Repeat("a-B_7", 9)[:43] }

// In the table, | separates arguments.
func TestSecretsAreScrubbed(t *testing.T) {
	s := defaultScrubber(t)
	for _, test := range []struct{ given, want string }{
		{"app|--password=hunter2|-v", "app|--password=***|-v"},
		{"app|--password|hunter2|-v", "app|--password|***|-v"},
		{"app|--db-password|hunter2", "app|--db-password|***"},
		{"app|--API_KEY=abc", "app|--API_KEY=***"},
		{"app|--apikey|abc|--token|def", "app|--apikey|***|--token|***"},
		{"app|-Dspring.datasource.password=hunter2", "app|-Dspring.datasource.password=***"},
		{"env|PGPASSWORD=hunter2|psql", "env|PGPASSWORD=***|psql"},
		{"sh|-c|PGPASSWORD=hunter2 psql -U me", "sh|-c|PGPASSWORD=*** psql -U me"},
		{"sh|-c|export TOKEN='a b c'; run", "sh|-c|export TOKEN=***; run"},
		{"psql|postgres://me:hunter2@db:5432/x?sslmode=off", "psql|postgres://me:***@db:5432/x?sslmode=off"},
		{"curl|-H|Authorization: Bearer abcdef123456|http://x", "curl|-H|Authorization: Bearer ***|http://x"},
		{"curl|-u|me:hunter2|http://x", "curl|-u|me:***|http://x"},
		{"curl|-ume:hunter2|http://x", "curl|-ume:***|http://x"},
		{"curl|--user=me:hunter2|http://x", "curl|--user=me:***|http://x"},
		{"curl|-sSu|me:hunter2|http://x", "curl|-sSu|me:***|http://x"},
		{"psql|postgres://me:hunt@er2@db/x", "psql|postgres://me:***@db/x"},
		{"app|http://a:b@c,http://d:e@f", "app|http://a:***@c,http://d:***@f"},
		{"curl|http://x/?access_token=abc&y=1", "curl|http://x/?access_token=***&y=1"},
		{"/usr/bin/mysql|-u|root|-phunter2|db", "/usr/bin/mysql|-u|root|-p***|db"},
		{"docker|login|-u|me|-p|hunter2|registry", "docker|login|-u|me|-p|***|registry"},
		{"sudo|-n|/usr/bin/docker|login|-p|hunter2", "sudo|-n|/usr/bin/docker|login|-p|***"},
		{"env|A=b|mysql|-phunter2|db", "env|A=b|mysql|-p***|db"},
		{"helm|registry|login|-phunter2|host", "helm|registry|login|-p***|host"},
		{"sshpass|-p|hunter2|ssh|host", "sshpass|-p|***|ssh|host"},
		{"git|clone|https://ghp_abcdefghijklmnopqrstuvwxyz0123@github.com/x/y", "git|clone|https://***@github.com/x/y"},
		{"app|AKIAIOSFODNN7EXAMPLE", "app|***"},
		{"app|github_pat_abcdefghijklmnopqrstuv_1", "app|***"},
		{"app|x glpat-abcdefghijklmnopqr y", "app|x *** y"},
		{"app|xoxb-1234567890-ab|sk-abcdefghijklmnopqrstuv", "app|***|***"},
		{"app|AIzaSyabcdefghijklmnopqrstuvwxyz0123456", "app|***"},
		{"app|Db_PassWord: hunter2", "app|Db_PassWord: ***"},
		{"curl|-H|authorization:hunter2hunter2", "curl|-H|authorization:***"},
		{"app|eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4", "app|***"},
		{`app|{"password": "hunter2", "x": 1}`, `app|{"password": ***, "x": 1}`},
		{"snapwatch-agent|--enrolment-key=k3y|-v", "snapwatch-agent|--enrolment-key=***|-v"},
		{"snapwatch-agent|--enrolment-key|k3y|-v", "snapwatch-agent|--enrolment-key|***|-v"},
		{"docker|run|-e|SNAPWATCH_ENROLMENT_KEY=k3y|x", "docker|run|-e|SNAPWATCH_ENROLMENT_KEY=***|x"},
		{"sh|-c|SNAPWATCH_ENROLMENT_KEY=k3y run", "sh|-c|SNAPWATCH_ENROLMENT_KEY=*** run"},
		{"app|" + ownSecret("swe_"), "app|***"},
		{"curl|https://host/setup#" + ownSecret("swl_") + "|-v", "curl|https://host/setup#***|-v"},
		{"sh|-c|run x" + ownSecret("swt_") + " y", "sh|-c|run x*** y"},

		// These have no secret, and do not change.
		{"curl|-umenu|http://x", "curl|-umenu|http://x"},
		{"curl|-sSf|http://x:80/y@z", "curl|-sSf|http://x:80/y@z"},
		{"curl|-sS|--user-agent=a:b|http://x", "curl|-sS|--user-agent=a:b|http://x"},
		{"nginx|-c|/etc/nginx/nginx.conf", "nginx|-c|/etc/nginx/nginx.conf"},
		{"app|--password-file=/run/secrets/db|--token-file|/x", "app|--password-file=/run/secrets/db|--token-file|/x"},
		{"psql|--no-password|mydb", "psql|--no-password|mydb"},
		{"docker|run|-p|8080:80|nginx", "docker|run|-p|8080:80|nginx"},
		{"docker|run|--name|login|-p|8080:80|app", "docker|run|--name|login|-p|8080:80|app"},
		{"sudo|-u|me|-p|prompt|ls", "sudo|-u|me|-p|prompt|ls"},
		{"mysql|-P|3306|-p|db", "mysql|-P|3306|-p|db"},
		{"app|--password|--verbose", "app|--password|--verbose"},
		{"java|-jar|authorization-server.jar", "java|-jar|authorization-server.jar"},
		{"sshd: root@pts/0", "sshd: root@pts/0"},
		{"app|--url|http://host:8080/path@2", "app|--url|http://host:8080/path@2"},
		{"app|--enrolment-key-file=/x|--enrolment|open", "app|--enrolment-key-file=/x|--enrolment|open"},
		{"app|" + ownSecret("swt_")[1:], "app|" + ownSecret("swt_")[1:]},
		{"", ""},
	} {
		given := strings.Split(test.given, "|")
		before := slices.Clone(given)
		if got := strings.Join(s.Arguments(given), "|"); got != test.want {
			t.Errorf("%s\nbecame %s\n  want %s", test.given, got, test.want)
		}
		if !slices.Equal(given, before) {
			t.Errorf("the arguments %q were changed in place", before)
		}
	}
	var none *Scrubber
	if got := none.Arguments([]string{"app", "--password=x"}); got[1] != "--password=x" {
		t.Errorf("without a scrubber: %q", got)
	}
}

func TestAdditionalSecretPatterns(t *testing.T) {
	s, err := NewScrubber([]string{`--pin=(\d+)`, `internal-\w+`})
	if err != nil {
		t.Fatal(err)
	}
	got := s.Arguments([]string{"app", "--pin=1234", "internal-host x internal-b"})
	if !slices.Equal(got, []string{"app", "--pin=***", "*** x ***"}) {
		t.Errorf("%q", got)
	}
	if _, err := NewScrubber([]string{"("}); err == nil {
		t.Error("an invalid pattern is accepted")
	}
}

// BenchmarkScrubber scrubs a command line of usual length without a secret.
func BenchmarkScrubber(b *testing.B) {
	s := defaultScrubber(b)
	args := strings.Fields("/usr/lib/jvm/java-17/bin/java -Xmx2g -XX:+UseG1GC -Dlog.level=info " +
		"-Dcache.url=http://cache.internal.example.org:8080/v1/objects?format=json&swap=off " +
		"-cp /opt/app/lib/swing-support.jar:/opt/app/lib/application-server-core-1.2.3.jar org.example.Main --verbose")
	b.ReportAllocs()
	for b.Loop() {
		s.Arguments(args)
	}
}
