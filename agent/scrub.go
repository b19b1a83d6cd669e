package agent

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// hidden stands where a secret was.
const hidden = "***"

// scrubber takes secrets out of command lines: values of options that are named like
// secrets, passwords in URLs, and what is shaped like a token. A nil scrubber takes out
// nothing.
type scrubber struct{ extra []*regexp.Regexp }

// newScrubber adds patterns to the usual ones: what a pattern matches in a command line
// is hidden, or its first group where it has one.
func newScrubber(patterns []string) (*scrubber, error) {
	s := &scrubber{}
	for _, pattern := range patterns {
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern of secrets %q: %w", pattern, err)
		}
		s.extra = append(s.extra, compiled)
	}
	return s, nil
}

var (
	secretName = regexp.MustCompile(
		`(?i)(pass(word|wd|phrase)?|pwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|auth[-_.]?key|encryption[-_.]?key|credentials?|bearer)$`,
	)
	secretPair = regexp.MustCompile(
		`(?i)([A-Za-z0-9_.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|credentials?)["']?)(\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s&;,"']+)`,
	)
	urlPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*):([^\s/@]+)@`)
	authHeader  = regexp.MustCompile(
		`(?i)(authorization:\s*(?:(?:bearer|basic|token|digest)\s+)?|\bbearer\s+)([A-Za-z0-9._~+/=-]{6,})`,
	)
	tokenShape = regexp.MustCompile(
		`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)`,
	)
)

// secretOptions are options of known programs whose value is a secret though their name
// does not say so: given as the next argument, in the same one, or after a user's name
// and a colon.
var secretOptions = func() map[string]programSecrets {
	known := map[string]programSecrets{
		"sshpass":   {next: []string{"-p"}, same: []string{"-p"}},
		"redis-cli": {next: []string{"-a"}},
		"smbclient": {afterColon: []string{"-U"}},
		"curl":      {afterColon: []string{"-u", "--user", "-U", "--proxy-user"}},
	}
	for _, name := range []string{"mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"} {
		known[name] = programSecrets{same: []string{"-p"}}
	}
	for _, name := range []string{"mongo", "mongosh", "mongodump", "mongorestore"} {
		known[name] = programSecrets{next: []string{"-p"}}
	}
	for _, name := range []string{"ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"} {
		known[name] = programSecrets{next: []string{"-w"}, same: []string{"-w"}}
	}
	return known
}()

type programSecrets struct{ next, same, afterColon []string }

// arguments returns the arguments without secrets; it leaves the given ones as they are.
func (s *scrubber) arguments(given []string) []string {
	if s == nil || len(given) == 0 {
		return given
	}
	args := slices.Clone(given)
	known := secretOptions[path.Base(args[0])]
	next := false // the value of the option before is a secret
	for i, arg := range args {
		switch {
		case i == 0 || args[i-1] == "-c": // a script
			args[i], next = s.text(arg), false
		case next && !strings.HasPrefix(arg, "--"):
			args[i], next = hidden, false
		default:
			args[i], next = s.option(arg, &known)
			if slices.Contains(known.afterColon, args[i-1]) {
				args[i] = afterColon(args[i])
			}
		}
	}
	return args
}

// option hides what an argument itself holds; next tells that it names a secret, which
// follows.
func (s *scrubber) option(arg string, known *programSecrets) (scrubbed string, next bool) {
	if slices.Contains(known.next, arg) {
		return arg, true
	}
	for _, option := range known.same {
		if strings.HasPrefix(arg, option) && arg != option {
			return option + hidden, false
		}
	}
	if name, value, paired := strings.Cut(arg, "="); paired {
		if value != "" && !strings.ContainsAny(name, " \t\n?&") && secretName.MatchString(name) {
			return name + "=" + hidden, false
		}
	} else if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--no-") && secretName.MatchString(arg) {
		return arg, true
	}
	return s.text(arg), false
}

// text hides what looks like a secret wherever it stands, such as in a script that is
// given as an argument.
func (s *scrubber) text(arg string) string {
	if strings.ContainsAny(arg, ":=") {
		arg = urlPassword.ReplaceAllString(arg, "$1:"+hidden+"@")
		arg = secretPair.ReplaceAllString(arg, "${1}${2}"+hidden)
	}
	if len(arg) >= 12 {
		arg = authHeader.ReplaceAllString(arg, "${1}"+hidden)
		arg = tokenShape.ReplaceAllString(arg, hidden)
	}
	for _, pattern := range s.extra {
		arg = hide(pattern, arg)
	}
	return arg
}

func afterColon(arg string) string {
	if user, _, found := strings.Cut(arg, ":"); found {
		return user + ":" + hidden
	}
	return arg
}

// hide replaces the first group of a pattern, or all that it matches if it has none.
func hide(pattern *regexp.Regexp, text string) string {
	group := min(1, pattern.NumSubexp())
	var out strings.Builder
	end := 0
	for _, at := range pattern.FindAllStringSubmatchIndex(text, -1) {
		if from, to := at[2*group], at[2*group+1]; from >= end && to > from {
			out.WriteString(text[end:from])
			out.WriteString(hidden)
			end = to
		}
	}
	return out.String() + text[end:]
}
