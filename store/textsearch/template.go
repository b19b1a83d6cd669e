package textsearch

import (
	"strings"
)

// A template stands for many texts: %s is a run of letters and digits that varies, and %% is %. A run that varies is
// not next to another letter or digit. It has at least minDigits digits or minLength characters.
const (
	minDigits = 4
	minLength = 6
)

// maxPlaceholders is the maximum number of parts of a pattern for which all combinations of placeholders are tried.
const maxPlaceholders = 3

// TemplateCondition returns the SQL condition that a text of a template can match in one of the columns, whose values
// are templates. parameter is that of Condition.
func (p Pattern) TemplateCondition(parameter func(value any) string, column string) string {
	conditions := []string{"true"}
	for _, piece := range p.pieces() {
		var alternatives []string
		for _, like := range templateLikes(piece) {
			alternatives = append(alternatives, `lower(`+column+` COLLATE "C") LIKE `+parameter(like))
		}
		conditions = append(conditions, "("+strings.Join(alternatives, " OR ")+")")
	}
	return "(" + strings.Join(conditions, " AND ") + ")"
}

// LiteralCondition returns an SQL condition on a column of templates. If it is true, all texts of the template match.
// It is "false" for a pattern with wildcards, and for one that begins as a placeholder ends or as a literal % does:
// in a template, it could begin inside of these.
func (p Pattern) LiteralCondition(parameter func(value any) string, column string) string {
	if p.wildcards || strings.HasPrefix(p.folded, "s") || strings.HasPrefix(p.folded, "%") {
		return "false"
	}
	literal := Pattern{folded: p.folded}
	for _, c := range p.characters {
		literal.characters = append(literal.characters, c)
		if c.r == '%' {
			literal.characters = append(literal.characters, c)
		}
	}
	return literal.Condition(parameter, column)
}

// pieces returns the parts of a pattern between wildcards.
func (p Pattern) pieces() (pieces [][]rune) {
	var piece []rune
	for _, c := range append(p.characters[:len(p.characters):len(p.characters)], character{wildcard: true}) {
		if !c.wildcard {
			piece = append(piece, c.r)
			continue
		}
		if len(piece) > 0 {
			pieces = append(pieces, piece)
		}
		piece = nil
	}
	return pieces
}

// templatePart is a part of a text: a run of letters and digits, or another character.
type templatePart struct {
	like   string // pattern of LIKE
	varies bool   // whether it can be a placeholder in a template, or a part of one
}

// templateParts returns the parts of a text. A run at an edge can be a part of a longer one.
func templateParts(text []rune) (parts []templatePart, placeholders int) {
	for i := 0; i < len(text); {
		end, digits := i, 0
		for ; end < len(text) && isAlphanumeric(text[end]); end++ {
			if text[end] <= '9' {
				digits++
			}
		}
		if end == i {
			parts = append(parts, templatePart{like: templateLike(text[i : i+1])})
			i++
			continue
		}
		varies := digits >= minDigits || end-i >= minLength || i == 0 || end == len(text)
		if varies {
			placeholders++
		}
		parts = append(parts, templatePart{templateLike(text[i:end]), varies})
		i = end
	}
	return parts, placeholders
}

// templateLikes returns the patterns for LIKE of the templates whose texts can contain a text: each combination of
// placeholders for its runs of letters and digits. If there are too many, it returns a single pattern that also matches
// others.
func templateLikes(text []rune) []string {
	parts, placeholders := templateParts(text)
	likes := []string{"%"}
	for _, one := range parts {
		switch n := len(likes); {
		case !one.varies:
			for i := range likes {
				likes[i] += one.like
			}
		case placeholders > maxPlaceholders:
			likes[0] += "%"
		default:
			for i := range n {
				likes = append(likes, likes[i]+`\%s`)
				likes[i] += one.like
			}
		}
	}
	for i := range likes {
		likes[i] += "%"
	}
	return likes
}

// templateLike returns the pattern of LIKE for a literal part of templates.
func templateLike(text []rune) string {
	var b strings.Builder
	for _, r := range text {
		if r == '%' {
			b.WriteString(`\%\%`)
			continue
		}
		b.WriteString(Pattern{characters: []character{{r: r}}, wildcards: true}.like(true))
	}
	return b.String()
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
