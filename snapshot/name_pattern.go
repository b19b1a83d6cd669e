package snapshot

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// RecordsProcess reports whether the agent records processes with a name. The name must match a pattern of Include,
// unless Include is empty, and must not match any pattern of Exclude.
func (c Config) RecordsProcess(name string) bool {
	if len(c.Include) > 0 && !matchesAny(c.Include, name) {
		return false
	}
	return !matchesAny(c.Exclude, name)
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matchesName(pattern, name) })
}

// patternToPath turns a name pattern into a pattern of path.Match. It escapes everything that is special
// there except *. In path.Match, * does not match a slash, so slashes are replaced by NUL, which no name
// contains.
var patternToPath = strings.NewReplacer(`\`, `\\`, "[", `\[`, "?", `\?`, "/", "\x00")

// matchesName reports whether the whole name matches a pattern, in which * matches any text, even an empty
// one. All other characters match themselves.
func matchesName(pattern, name string) bool {
	matched, err := path.Match(patternToPath.Replace(pattern), strings.ReplaceAll(name, "/", "\x00"))
	return err == nil && matched
}

// ValidateNamePatterns checks a list of name patterns, which is the value of a field. It returns nil or a
// *ValidationError.
func ValidateNamePatterns(field string, patterns []string) error {
	v := validator{snapshot: -1}
	v.count(field, len(patterns), MaxNamePatterns)
	for i, pattern := range patterns {
		v.required(fmt.Sprintf("%s[%d]", field, i), pattern, MaxTextBytes)
	}
	return v.result()
}
