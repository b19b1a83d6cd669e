package docstest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// units are the units that measurements have.
const units = `µs|microseconds|ms|%|[KMG]i?B|bytes|posts/s|samples/s|samples a second|process samples`

var (
	// figure matches a number, or a range of two, with a unit.
	figure = regexp.MustCompile(
		`(\d+(?:[.,]\d+)*)(?: (?:µs|ms|%|[KMG]i?B))?(?: to (\d+(?:[.,]\d+)*))? ?((?:million )?(?:` + units + `))`,
	)
	// cellNumber matches a number with the letter before it and the word after it, if there are any.
	cellNumber = regexp.MustCompile(`(\pL?)(\d+(?:[.,]\d+)*)(?: ?([\pL%/]\S*))?`)
	// headingUnit matches a unit in a heading, as a whole word.
	headingUnit = regexp.MustCompile(`(?:^|[^\pL\d/])(` + units + `)(?:$|[^\pL/])`)
)

// source matches a link to a section of the measurements.
var source = regexp.MustCompile(`bench/RESULTS\.md#([a-z0-9-]+)`)

// notMeasured lists figures that are no measurements, by document, with the reason.
var notMeasured = map[string]map[string]string{
	"ARCHITECTURE.md": {
		"10 ms":  "constant in store/writer/notify.go",
		"200 ms": "constant in agent/bpf/tasks_linux.go",
	},
	"docs/agent.md": {
		"64 MiB":      "default of --queue-bytes",
		"16 MiB":      "bound in the code",
		"8 MiB":       "bound in the code",
		"10 %":        "default of --max-cpu",
		"128 MiB":     "default of --max-memory",
		"4,096 bytes": "bound in the code",
		"15 bytes":    "TASK_COMM_LEN of the kernel",
		"4 MB":        "batches of the kernel's counters of memory",
	},
	"docs/alerts.md": {
		"10 %": "threshold of the alert",
		"5 %":  "threshold of the alert",
		"95 %": "threshold of the alert",
	},
	"docs/api.md": {
		"256 MiB": "constant in api/unread_body.go",
	},
	"docs/operations.md": {
		"64 MiB":  "constants in store/embedded/disk.go",
		"2 GiB":   "constant in store/embedded/disk.go",
		"256 MiB": "constant in store/embedded/upgrade.go",
	},
	"docs/faq.md": {
		"64 MiB": "default of --queue-bytes",
	},
	"docs/reverse-proxy.md": {
		"64 MiB": "limit of a post",
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
// bench/RESULTS.md in the same block is its source, and the section must contain the number with the unit.
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
func checkBlock(
	block string, sections map[string]measurements, known map[string]string, unused map[string]bool,
) []string {
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
			return sections[section].has(match[1], match[3]) &&
				(match[2] == "" || sections[section].has(match[2], match[3]))
		})
		if !measured {
			problems = append(problems, text+" is not in bench/RESULTS.md#"+strings.Join(cited, " or #"))
		}
	}
	return problems
}

// measurements are the figures of a section, as number and unit: "15.1 MiB".
type measurements map[string]bool

func (m measurements) add(number, unit string) { m[number+" "+unit] = true }

func (m measurements) has(number, unit string) bool { return m[number+" "+unit] }

// addFigures adds the numbers of a text that have a unit.
func (m measurements) addFigures(text string) {
	for _, match := range figure.FindAllStringSubmatch(text, -1) {
		m.add(match[1], match[3])
		if match[2] != "" {
			m.add(match[2], match[3])
		}
	}
}

// addTable adds the figures of a table. A number without a unit has those that the headings of its row and column
// name. Targets are not measurements.
func (m measurements) addTable(rows [][]string) {
	for _, row := range rows {
		for column, cell := range row {
			heading := rows[0][min(column, len(rows[0])-1)]
			if strings.HasPrefix(heading, "target") {
				continue
			}
			m.addFigures(cell)
			if column == 0 {
				continue
			}
			for _, unit := range append(unitsOf(heading), unitsOf(row[0])...) {
				for _, number := range bareNumbers(cell) {
					m.add(number, unit)
				}
			}
		}
	}
}

// unitsOf returns the units that a heading names. The unit of a figure in the heading, as in "at 6.7 bytes a sample",
// is not one of them.
func unitsOf(heading string) []string {
	var names []string
	for _, match := range headingUnit.FindAllStringSubmatch(figure.ReplaceAllString(heading, "#"), -1) {
		names = append(names, match[1])
	}
	return names
}

// bareNumbers returns the numbers of a cell that neither have a unit nor count something, as in "1 day".
func bareNumbers(cell string) []string {
	var numbers []string
	for _, match := range cellNumber.FindAllStringSubmatch(figure.ReplaceAllString(cell, "#"), -1) {
		if next := match[3]; match[1] == "" && (next == "" || next == "to" || next == "and" || next == "/") {
			numbers = append(numbers, match[2])
		}
	}
	return numbers
}

var code = regexp.MustCompile("`[^`]*`")

// splitSections returns the measurements of each section of a document, by the anchor of its heading.
func splitSections(text string) map[string]measurements {
	sections := make(map[string]measurements)
	for _, section := range strings.Split("\n"+text, "\n## ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		found := make(measurements)
		for _, block := range strings.Split(code.ReplaceAllString(body, ""), "\n\n") {
			block = strings.TrimSpace(strings.ReplaceAll(block, "**", ""))
			if strings.HasPrefix(block, "|") {
				found.addTable(splitTable(block))
			} else {
				found.addFigures(strings.Join(strings.Fields(block), " "))
			}
		}
		sections[strings.ReplaceAll(strings.ToLower(heading), " ", "-")] = found
	}
	return sections
}

// splitTable returns the cells of a table. The first row is the headings.
func splitTable(block string) [][]string {
	var rows [][]string
	for _, line := range strings.Split(block, "\n") {
		if strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
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
	sections := splitSections(`
## The agent

| program | CPU | memory |
|---|---|---|
| snapwatch-agent | 13.4 µs | 15.1 MiB |
| atop | 76.2 µs | 8.4 MiB |

It took 13.4 to 15.7 µs, and 2,500 ms for 300 processes.
`)
	known := map[string]string{"64 MiB": "a default"}
	for _, test := range []struct {
		name, block string
		problems    int
	}{
		{"a figure with a source", "It takes 13.4 µs ([x](bench/RESULTS.md#the-agent)).", 0},
		{"a range with a source", "It takes 13.4 to 15.7 µs ([x](bench/RESULTS.md#the-agent)).", 0},
		{"a range of two cells", "It takes 8.4 to 15.1 MiB ([x](bench/RESULTS.md#the-agent)).", 0},
		{"a range with the unit of another number", "It takes 13.4 to 15.1 MiB ([x](bench/RESULTS.md#the-agent)).", 1},
		{"the unit of another cell", "It takes 13.4 MiB or 15.1 µs ([x](bench/RESULTS.md#the-agent)).", 2},
		{"a number that counts something", "It takes 300 ms ([x](bench/RESULTS.md#the-agent)).", 1},
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

// TestMeasurements checks which figures of a section documents may quote.
func TestMeasurements(t *testing.T) {
	t.Parallel()
	const table = `
| read | target, ms | p50 / p99, ms | size | rows |
|---|---|---|---|---|
| any instant | 25 | 9.2 / 17.5 | 8 MB, once compressed | 314 |
| last 24 h | 50 | **31.3 to 53.6** (1 day) | 0.2 GB | not run |
| bytes a sample | ≤ 2 | | 1.49 | 18.99, see below |
| a day, at 6.7 bytes a sample | | | 35 MB | 4 |
| p95 of a program | | | 60 to 71 MB; p95 83 | |
`
	for _, test := range []struct {
		name, section, figure string
		want                  bool
	}{
		{"number and unit in a cell", table, "8 MB", true},
		{"a range in a cell", table, "60 MB", true},
		{"the unit of the column", table, "9.2 ms", true},
		{"the second number of a cell", table, "17.5 ms", true},
		{"a range with the unit of the column", table, "53.6 ms", true},
		{"the unit of the row", table, "1.49 bytes", true},
		{"the unit of the row, with a note", table, "18.99 bytes", true},
		{"a figure in the heading of a row", table, "6.7 bytes", true},
		{"the unit of another column", table, "314 ms", false},
		{"the unit of another row", table, "314 bytes", false},
		{"a different unit in the cell", table, "35 bytes", false},
		{"the unit of a figure in the heading", table, "4 bytes", false},
		{"a target", table, "25 ms", false},
		{"the target of a row with a unit", table, "2 bytes", false},
		{"a number of days", table, "1 ms", false},
		{"a number in the heading of a row", table, "24 ms", false},
		{"a percentile", table, "95 MB", false},
		{"a unit inside a word", "| programs | CPU |\n|---|---|\n| atop | 7 |", "7 ms", false},
		{"prose", "It took 15.1 MiB\nof memory.", "15.1 MiB", true},
		{"a range in prose", "It took 13.4 to 15.7 µs.", "15.7 µs", true},
		{"millions", "These are 5.2 million process samples.", "5.2 million process samples", true},
		{"not millions", "These are 5.2 million process samples.", "5.2 process samples", false},
		{"the unit elsewhere in prose", "18 programs ran. The agent took 15.1 MiB.", "18 MiB", false},
		{"a paragraph before a table", "All times are in ms.\n\n| a | b |\n|---|---|\n| c | 9.2 |", "9.2 ms", false},
	} {
		number, unit, _ := strings.Cut(test.figure, " ")
		if got := splitSections("## S\n" + test.section)["s"].has(number, unit); got != test.want {
			t.Errorf("%s: %s is quotable: %v, want %v", test.name, test.figure, got, test.want)
		}
	}
}
