// Package textsearch matches texts with patterns. SQL and memory use the same rules in databases of every locale.
//
// Case is ignored as defined by Unicode's simple case folding, which maps each character to one character. So ß matches
// ẞ but not ss, and σ and ς match Σ. İ, which has no simple folding, matches only itself. Characters outside of ASCII
// never match a letter of ASCII: the Kelvin sign matches only itself, and so does the long s.
package textsearch

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// character is a character of a pattern, or one of the wildcards * and ?.
type character struct {
	r        rune
	wildcard bool
}

// Pattern is a text to search for. If it contains the wildcards * (any text) or ? (any character), it matches whole
// texts, else parts of them. [*] and [?] are the characters themselves, as in a shell. A backslash has no meaning,
// because it is common in the paths of Windows.
type Pattern struct {
	folded     string
	characters []character
	wildcards  bool
}

// Parse parses a pattern.
func Parse(text string) Pattern {
	p := Pattern{folded: Fold(text)}
	rest := p.folded
	for rest != "" {
		if strings.HasPrefix(rest, "[*]") || strings.HasPrefix(rest, "[?]") {
			p.characters = append(p.characters, character{r: rune(rest[1])})
			rest = rest[len("[*]"):]
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		wildcard := r == '*' || r == '?'
		p.characters = append(p.characters, character{r, wildcard})
		p.wildcards = p.wildcards || wildcard
		rest = rest[size:]
	}
	return p
}

// like returns the pattern for LIKE. If anyCase is true, it has a wildcard for each character outside of ASCII that has
// several cases.
func (p Pattern) like(anyCase bool) string {
	var b strings.Builder
	for _, c := range p.characters {
		switch {
		case c.wildcard && c.r == '*':
			b.WriteByte('%')
		case c.wildcard, anyCase && len(otherCases(c.r)) > 0:
			b.WriteByte('_')
		case strings.ContainsRune(`\%_`, c.r):
			b.WriteByte('\\')
			b.WriteRune(c.r)
		default:
			b.WriteRune(c.r)
		}
	}
	if !p.wildcards {
		return "%" + b.String() + "%"
	}
	return b.String()
}

// Condition returns the SQL condition that one of the columns matches. parameter adds a parameter to the statement and
// returns its placeholder.
//
// In the collation C, lower changes only the letters of ASCII. For other letters, the pattern names the characters to
// replace. translate takes several times as long as LIKE, so it comes last and only where it is needed.
func (p Pattern) Condition(parameter func(value any) string, columns ...string) string {
	var from, to strings.Builder
	for _, folded := range p.folded {
		for _, other := range otherCases(folded) {
			from.WriteRune(other)
			to.WriteRune(folded)
		}
	}
	match := `lower(%[1]s COLLATE "C") LIKE ` + parameter(p.like(true))
	if from.Len() > 0 {
		match += fmt.Sprintf(` AND translate(lower(%%[1]s COLLATE "C"), %s, %s) LIKE %s`,
			parameter(from.String()), parameter(to.String()), parameter(p.like(false)))
	}
	var conditions []string
	for _, column := range columns {
		conditions = append(conditions, fmt.Sprintf(match, column))
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}

// Matcher returns a function that reports whether a text matches. The text must come from Fold.
func (p Pattern) Matcher() func(folded string) bool {
	var b strings.Builder
	for _, c := range p.characters {
		if p.wildcards && !c.wildcard && strings.ContainsRune(`\*?[`, c.r) {
			b.WriteByte('\\')
		}
		b.WriteRune(c.r)
	}
	if !p.wildcards {
		return func(folded string) bool { return strings.Contains(folded, b.String()) }
	}
	// In path.Match, no wildcard matches a slash, so slashes are replaced by NUL, which no stored text contains.
	glob := strings.ReplaceAll(b.String(), "/", "\x00")
	return func(folded string) bool {
		matched, err := path.Match(glob, strings.ReplaceAll(folded, "/", "\x00"))
		return err == nil && matched
	}
}
