package docstest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// figure matches a number, or a range of two, with a unit that measurements have.
var figure = regexp.MustCompile(
	`(\d[\d,.]*)(?: (?:µs|ms|%|[KMG]i?B))?(?: to (\d[\d,.]*))?(?: million)? ?` +
		`(µs|microseconds|ms|%|[KMG]i?B|bytes|posts/s|samples/s|samples a second|process samples)`,
)

// source matches a link to a section of the measurements.
var source = regexp.MustCompile(`bench/RESULTS\.md#([a-z0-9-]+)`)

// notMeasured lists figures that are no measurements, by document, with the reason.
var notMeasured = map[string]map[string]string{
	"ARCHITECTURE.md": {
		"10 ms": "constant in store/writer/notify.go",
	},
	"docs/agent.md": {
		"64 MiB":  "default of --queue-bytes",
		"16 MiB":  "bound in the code",
		"8 MiB":   "bound in the code",
		"10 %":    "default of --max-cpu",
		"128 MiB": "default of --max-memory",
	},
	"docs/alerts.md": {
		"10 %": "threshold of the alert",
		"5 %":  "threshold of the alert",
		"95 %": "threshold of the alert",
	},
	"docs/faq.md": {
		"64 MiB": "default of --queue-bytes",
	},
	"docs/security.md": {
		"64 MiB":  "parameter of argon2id; limit of a post",
		"32 KiB":  "limit of a header",
		"64 KiB":  "limit of a body",
		"8 MiB":   "limit of a post",
		"192 MiB": "default of --body-bytes",
	},
	"docs/sizing.md": {
		"192 MiB":                  "default of --body-bytes",
		"8 GB":                     "example of shared_buffers",
		"600,000 samples a second": "arithmetic of the example",
	},
}

// TestFiguresHaveASource checks each figure of the documents. A link to a section of
// bench/RESULTS.md in the same block is its source, and the section must contain the figure.
// A figure without such a link must be listed above, with the reason.
func TestFiguresHaveASource(t *testing.T) {
	t.Parallel()
	results, err := os.ReadFile(root + "/bench/RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := splitSections(string(results))
	for name, text := range documents(t) {
		if name == "bench/RESULTS.md" {
			continue
		}
		unused := make(map[string]bool)
		for known := range notMeasured[name] {
			unused[known] = true
		}
		for _, block := range splitBlocks(text) {
			for _, problem := range checkBlock(block, sections, notMeasured[name], unused) {
				t.Errorf("%s: %s", name, problem)
			}
		}
		for known := range unused {
			t.Errorf("%s does not contain %q, which notMeasured lists for it", name, known)
		}
	}
}

// checkBlock returns what is wrong with the figures of a block. It removes the figures that
// it finds in known from unused.
func checkBlock(block string, sections, known map[string]string, unused map[string]bool) []string {
	var problems, cited []string
	for _, link := range source.FindAllStringSubmatch(block, -1) {
		if _, ok := sections[link[1]]; !ok {
			problems = append(problems, "bench/RESULTS.md has no section #"+link[1])
		}
		cited = append(cited, link[1])
	}
	line := strings.Join(strings.Fields(code.ReplaceAllString(block, "")), " ")
	for _, match := range figure.FindAllStringSubmatch(line, -1) {
		text := strings.TrimSpace(match[0])
		if _, ok := known[text]; ok {
			delete(unused, text)
			continue
		}
		if len(cited) == 0 {
			problems = append(problems, "no source for "+text+": link to its section of bench/RESULTS.md")
			continue
		}
		measured := slices.ContainsFunc(cited, func(section string) bool {
			return contains(sections[section], match[1], match[3]) &&
				(match[2] == "" || contains(sections[section], match[2], match[3]))
		})
		if !measured {
			problems = append(problems, text+" is not in bench/RESULTS.md#"+strings.Join(cited, " or #"))
		}
	}
	return problems
}

// contains reports whether a section has the number as a whole, and the unit somewhere.
func contains(section, number, unit string) bool {
	number = strings.TrimRight(number, ".,")
	whole := regexp.MustCompile(`(^|[^\d.,])` + regexp.QuoteMeta(number) + `($|[^\d.,]|[.,]\D|[.,]$)`)
	return whole.MatchString(section) && strings.Contains(section, unit)
}

var code = regexp.MustCompile("`[^`]*`")

// splitSections returns the text of each section of a document, as one line, by the anchor
// of its heading.
func splitSections(text string) map[string]string {
	sections := make(map[string]string)
	for _, section := range strings.Split("\n"+text, "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		sections[strings.ReplaceAll(strings.ToLower(heading), " ", "-")] = strings.Join(strings.Fields(body), " ")
	}
	return sections
}

// splitBlocks returns the paragraphs, lists and tables of a document. A table, or an
// indented list, belongs to the paragraph before it.
func splitBlocks(text string) []string {
	var blocks []string
	for _, block := range strings.Split(strings.Join(withoutCode(text), "\n"), "\n\n") {
		block = strings.TrimLeft(block, "\n")
		if strings.HasPrefix(block, "|") && len(blocks) > 0 {
			blocks[len(blocks)-1] += "\n" + block
			continue
		}
		blocks = append(blocks, block)
	}
	return blocks
}

// TestCheckBlockFindsProblems shows that the check above can fail.
func TestCheckBlockFindsProblems(t *testing.T) {
	t.Parallel()
	sections := map[string]string{"the-agent": "| snapwatch-agent | 13.4 µs | 15.1 MiB |\nand 2,500 ms"}
	known := map[string]string{"64 MiB": "a default"}
	for _, test := range []struct {
		name, block string
		problems    int
	}{
		{"a figure with a source", "It takes 13.4 µs ([x](bench/RESULTS.md#the-agent)).", 0},
		{"a range with a source", "It takes 13.4 to 15.1 MiB ([x](bench/RESULTS.md#the-agent)).", 0},
		{"a figure of many digits", "It takes 2,500 ms ([x](bench/RESULTS.md#the-agent)).", 0},
		{"a figure without a source", "It takes 13.4 µs.", 1},
		{"a different figure", "It takes 21 µs ([x](bench/RESULTS.md#the-agent)).", 1},
		{"a part of a figure", "It takes 3.4 µs or 13 µs or 500 ms ([x](bench/RESULTS.md#the-agent)).", 3},
		{"a range with a different end", "It takes 13.4 to 16 µs ([x](bench/RESULTS.md#the-agent)).", 1},
		{"a missing section", "It takes 13.4 µs ([x](bench/RESULTS.md#agents)).", 2},
		{"a figure over two lines", "It takes 21\nµs.", 1},
		{"a default", "It keeps 64 MiB.", 0},
		{"code", "Set `--max 21 MB`.", 0},
		{"a table after its source", "[x](bench/RESULTS.md#the-agent)\n| CPU |\n|---|\n| 21 µs |", 1},
	} {
		if problems := checkBlock(test.block, sections, known, map[string]bool{}); len(problems) != test.problems {
			t.Errorf("%s: %d problems, expected %d: %q", test.name, len(problems), test.problems, problems)
		}
	}
}
