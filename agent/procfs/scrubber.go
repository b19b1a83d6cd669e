package procfs

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/snapwatch/snapwatch/internal/secretform"
)

// mask replaces a secret.
const mask = "***"

// Scrubber removes secrets from command lines: values of options whose names suggest a secret, passwords in URLs, and
// text with the form of a known token. A nil Scrubber leaves command lines unchanged.
type Scrubber struct{ extra []*regexp.Regexp }

// NewScrubber returns a scrubber with the built-in rules and additional patterns. The scrubber masks the text that a
// pattern matches, or only its first group if it has one.
func NewScrubber(patterns []string) (*Scrubber, error) {
	s := &Scrubber{}
	for _, pattern := range patterns {
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("compile the secret pattern %q: %w", pattern, err)
		}
		s.extra = append(s.extra, compiled)
	}
	return s, nil
}

var (
	secretName = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|pwd|secret|token|api[-_.]?key|access[-_.]?key|` +
		`private[-_.]?key|auth[-_.]?key|encryption[-_.]?key|enroll?ment[-_.]?key|credentials?|bearer)$`)
	secretPair = regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_.]?key|` +
		`access[-_.]?key|private[-_.]?key|enroll?ment[-_.]?key|credentials?)["']?)(\s*[=:]\s*)` +
		`("[^"]*"|'[^']*'|[^\s&;,"']+)`)
	// A password may contain an @ that is not escaped.
	urlPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*):([^\s/]+)@`)
	authHeader  = regexp.MustCompile(`(?i)(authorization:\s*(?:(?:bearer|basic|token|digest)\s+)?|\bbearer\s+)` +
		`([A-Za-z0-9._~+/=-]{6,})`)
	tokenForm = regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|` +
		`glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|` +
		`AIza[0-9A-Za-z_-]{30,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)`)
)

// severalOptions matches short options in one argument.
var severalOptions = regexp.MustCompile(`^-[A-Za-z]{2,}$`)

// snapwatchSecret matches the secrets of snapwatch itself.
var snapwatchSecret = regexp.MustCompile(secretform.Pattern())

// The patterns are slow: they take up to a microsecond for a byte. Each is used only on text that contains one of these
// parts, which every match of it contains. All but those in tokenParts are in lower case.
var (
	nameParts  = []string{"pass", "pwd", "secret", "token", "key", "credential", "bearer"}
	authParts  = []string{"authorization:", "bearer"}
	tokenParts = []string{"gh", "github_pat_", "glpat-", "xox", "sk-", "AKIA", "AIza", "eyJ"}
)

// containsAny reports whether s contains one of the parts.
func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(s, part) })
}

// mayContain is containsAny for parts in lower case, without regard to case. It is true for text that is not ASCII,
// because some other letters are equal to ASCII ones without regard to case.
func mayContain(s string, parts []string) bool {
	lower := make([]byte, len(s))
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return true
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	return slices.ContainsFunc(parts, func(part string) bool { return bytes.Contains(lower, []byte(part)) })
}

// secretOptions has the options of known programs whose value is a secret although their name does not suggest one.
var secretOptions = func() map[string]programSecrets {
	byProgram := map[string]programSecrets{
		"sshpass":   {next: []string{"-p"}, same: []string{"-p"}},
		"redis-cli": {next: []string{"-a"}},
		"smbclient": {afterColon: []string{"-U"}},
		"curl":      {afterColon: []string{"-u", "--user", "-U", "--proxy-user"}},
	}
	for _, name := range []string{"mysql", "mysqldump", "mysqladmin", "mariadb", "mariadb-dump", "mariadb-admin"} {
		byProgram[name] = programSecrets{same: []string{"-p"}}
	}
	for _, name := range []string{"mongo", "mongosh", "mongodump", "mongorestore"} {
		byProgram[name] = programSecrets{next: []string{"-p"}}
	}
	for _, name := range []string{"docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oc"} {
		byProgram[name] = programSecrets{command: "login", next: []string{"-p"}, same: []string{"-p"}}
	}
	for _, name := range []string{"ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"} {
		byProgram[name] = programSecrets{next: []string{"-w"}, same: []string{"-w"}}
	}
	return byProgram
}()

// programSecrets lists options by the place of the secret: in the next argument, in the same argument, or in either of
// them after a user name and a colon. If there is a command, the options are those of that command of the program.
type programSecrets struct {
	command                string
	next, same, afterColon []string
}

// wrappers are programs that run the program in their arguments.
var wrappers = []string{"sudo", "doas", "env", "nice", "ionice", "nohup", "setsid", "stdbuf", "time", "timeout"}

// otherCommands are commands of container programs whose arguments can contain the word login.
var otherCommands = []string{"run", "exec", "create", "compose", "logs"}

// secretsOf returns the options of a command line whose values are secrets.
func secretsOf(args []string) programSecrets {
	at := 0
	if slices.Contains(wrappers, path.Base(args[0])) {
		at = max(0, slices.IndexFunc(args, func(arg string) bool {
			_, known := secretOptions[path.Base(arg)]
			return known
		}))
	}
	program := secretOptions[path.Base(args[at])]
	if program.command == "" {
		return program
	}
	isOther := func(arg string) bool { return slices.Contains(otherCommands, arg) }
	command := slices.Index(args[at:], program.command)
	if command < 0 || slices.ContainsFunc(args[at:at+command], isOther) {
		return programSecrets{}
	}
	return program
}

// Arguments returns a copy of a command line's arguments in which secrets are masked.
func (s *Scrubber) Arguments(given []string) []string {
	if s == nil || len(given) == 0 {
		return given
	}
	args := slices.Clone(given)
	program := secretsOf(args)
	next := false // the previous argument is an option whose value is a secret
	for i, arg := range args {
		switch {
		case i == 0 || args[i-1] == "-c": // the program, or a script
			args[i], next = s.text(arg), false
		case next && !strings.HasPrefix(arg, "--"):
			args[i], next = mask, false
		default:
			args[i], next = s.option(arg, &program)
			if program.isUserOption(given[i-1]) {
				args[i] = maskAfterColon(args[i])
			} else {
				args[i] = program.maskUser(args[i])
			}
		}
	}
	return args
}

// option masks the secrets in an argument. next is true if the argument after it is a secret.
func (s *Scrubber) option(arg string, program *programSecrets) (scrubbed string, next bool) {
	if slices.Contains(program.next, arg) {
		return arg, true
	}
	for _, option := range program.same {
		if strings.HasPrefix(arg, option) && arg != option {
			return option + mask, false
		}
	}
	if name, value, paired := strings.Cut(arg, "="); paired {
		if value != "" && !strings.ContainsAny(name, " \t\n?&") && suggestsSecret(name) {
			return name + "=" + mask, false
		}
	} else if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--no-") && suggestsSecret(arg) {
		return arg, true
	}
	return s.text(arg), false
}

// text masks secrets anywhere in an argument, for example in a script.
func (s *Scrubber) text(arg string) string {
	if strings.ContainsAny(arg, ":=") {
		if strings.Contains(arg, "://") && strings.Contains(arg, "@") {
			arg = urlPassword.ReplaceAllString(arg, "$1:"+mask+"@")
		}
		if mayContain(arg, nameParts) {
			arg = secretPair.ReplaceAllString(arg, "${1}${2}"+mask)
		}
	}
	if len(arg) >= 12 {
		if mayContain(arg, authParts) {
			arg = authHeader.ReplaceAllString(arg, "${1}"+mask)
		}
		if containsAny(arg, tokenParts) {
			arg = tokenForm.ReplaceAllString(arg, mask)
		}
	}
	if len(arg) >= secretform.Length && containsAny(arg, secretform.Prefixes()) {
		arg = snapwatchSecret.ReplaceAllString(arg, mask)
	}
	for _, pattern := range s.extra {
		arg = maskMatches(pattern, arg)
	}
	return arg
}

// suggestsSecret reports whether the value of an option or variable with this name is a secret.
func suggestsSecret(name string) bool {
	return mayContain(name, nameParts) && secretName.MatchString(name)
}

// isUserOption reports whether the argument after this one is a user name, a colon and a secret. A short option can
// be the last of several in one argument.
func (p *programSecrets) isUserOption(arg string) bool {
	if slices.Contains(p.afterColon, arg) {
		return true
	}
	return severalOptions.MatchString(arg) && !slices.Contains(p.afterColon, arg[:2]) &&
		slices.Contains(p.afterColon, "-"+arg[len(arg)-1:])
}

// maskUser masks the secret in an argument that begins with an option, such as -uname:secret and --user=name:secret.
func (p *programSecrets) maskUser(arg string) string {
	for _, option := range p.afterColon {
		if !isShort(option) {
			option += "="
		}
		if value, found := strings.CutPrefix(arg, option); found && value != "" {
			return option + maskAfterColon(value)
		}
	}
	return arg
}

// isShort reports whether an option is a letter after a dash.
func isShort(option string) bool { return len(option) == 2 && option[0] == '-' && option[1] != '-' }

func maskAfterColon(arg string) string {
	if user, _, found := strings.Cut(arg, ":"); found {
		return user + ":" + mask
	}
	return arg
}

// maskMatches masks the first group of each match of a pattern, or the whole match if the pattern has no group.
func maskMatches(pattern *regexp.Regexp, text string) string {
	group := min(1, pattern.NumSubexp())
	var out strings.Builder
	end := 0
	for _, at := range pattern.FindAllStringSubmatchIndex(text, -1) {
		if from, to := at[2*group], at[2*group+1]; from >= end && to > from {
			out.WriteString(text[end:from])
			out.WriteString(mask)
			end = to
		}
	}
	return out.String() + text[end:]
}
