package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/textsearch"
)

// The texts of short-lived processes are templates: the parts of a command line that vary are stored with each process.
// A search first finds the templates with texts that can match. Where that depends on what varies, the command line of
// each process is compared.

// parameterOf returns a function that adds a parameter to those of a query, and returns its placeholder.
func parameterOf(args *[]any) func(value any) string {
	return func(value any) string {
		*args = append(*args, value)
		return fmt.Sprintf("$%d", len(*args))
	}
}

// hasText reports whether the match depends on the name or command line.
func (m Match) hasText() bool { return m.Name != "" || m.Command != "" || m.Text != "" }

// textCondition returns the condition on a name and a command line, which are SQL expressions.
func (m Match) textCondition(parameter func(any) string, name, commandLine string) string {
	conditions := []string{"true"}
	if m.Name != "" {
		conditions = append(conditions, name+" = "+parameter(m.Name))
	}
	if m.Command != "" {
		conditions = append(conditions, textsearch.Parse(m.Command).Condition(parameter, commandLine))
	}
	if m.Text != "" {
		conditions = append(conditions, textsearch.Parse(m.Text).Condition(parameter, commandLine, name))
	}
	return strings.Join(conditions, " AND ")
}

// templateCondition returns the condition that processes with a row c of commands can match. With literal, it is that
// all of them match.
func (m Match) templateCondition(parameter func(any) string, literal bool) string {
	line := func(text string) string {
		pattern := textsearch.Parse(text)
		ofTemplate := pattern.TemplateCondition
		if literal {
			ofTemplate = pattern.LiteralCondition
		}
		return fmt.Sprintf("CASE WHEN c.has_vars THEN %s ELSE %s END",
			ofTemplate(parameter, "c.command_line"), pattern.Condition(parameter, "c.command_line"))
	}
	conditions := []string{"true"}
	if m.Name != "" {
		conditions = append(conditions, "c.name = "+parameter(m.Name))
	}
	if m.Command != "" {
		conditions = append(conditions, line(m.Command))
	}
	if m.Text != "" {
		conditions = append(conditions, fmt.Sprintf("(%s OR %s)",
			textsearch.Parse(m.Text).Condition(parameter, "c.name"), line(m.Text)))
	}
	return "(" + strings.Join(conditions, " AND ") + ")"
}

// matchingTexts are rows of commands whose processes match.
type matchingTexts struct {
	// all processes of these rows match.
	all []int64
	// Each process of some must be compared.
	some []int64
}

// textsOf returns the rows of commands of a machine whose processes after a time can match, none if the match does not
// depend on texts. ok is false if no process can match.
func (q *Queries) textsOf(
	ctx context.Context, machine int32, match Match, from snapshot.Time,
) (texts matchingTexts, ok bool, err error) {
	if !match.hasText() {
		return texts, true, nil
	}
	args := []any{machine, firstDay(from)}
	parameter := parameterOf(&args)
	rows, err := q.pool.Query(ctx, `SELECT c.id, `+match.templateCondition(parameter, true)+` FROM commands c
		WHERE c.machine = $1 AND c.last_day >= $2 AND `+match.templateCondition(parameter, false), args...)
	if err != nil {
		return texts, false, fmt.Errorf("find the texts of short-lived processes: %w", err)
	}
	var id int64
	var matches bool
	if _, err := pgx.ForEachRow(rows, []any{&id, &matches}, func() error {
		if matches {
			texts.all = append(texts.all, id)
		} else {
			texts.some = append(texts.some, id)
		}
		return nil
	}); err != nil {
		return texts, false, fmt.Errorf("find the texts of short-lived processes: %w", err)
	}
	return texts, len(texts.all)+len(texts.some) > 0, nil
}

// maxIndexedTexts is the maximum number of texts for which an index of short-lived processes is used.
const maxIndexedTexts = 10_000

// shortLivedCondition returns the condition that a row s of the view short_lived with the row c of commands matches.
// Run the statement with pgx.QueryExecModeExec: its plan then has the texts as constants, which PostgreSQL puts into a
// hash table, and TimescaleDB compares with compressed columns.
func (m Match) shortLivedCondition(texts matchingTexts, args *[]any) string {
	parameter := parameterOf(args)
	conditions := []string{m.Exit.shortLivedCondition(parameter)}
	if m.hasText() {
		if n := len(texts.all) + len(texts.some); n <= maxIndexedTexts {
			conditions = append(conditions,
				"batch_has(s.commands, "+parameter(append(texts.all[:len(texts.all):len(texts.all)], texts.some...))+"::bigint[])")
		}
		byText := "s.command = ANY(" + parameter(append([]int64{}, texts.all...)) + "::bigint[])"
		if len(texts.some) > 0 {
			byText = "(" + byText + " OR s.command = ANY(" + parameter(texts.some) + "::bigint[]) AND " +
				m.textCondition(parameter, "c.name", "("+commandLineSQL+")") + ")"
		}
		conditions = append(conditions, byText)
	}
	return strings.Join(conditions, " AND ")
}
