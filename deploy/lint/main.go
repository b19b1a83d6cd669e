// Command lint reports words of banned.txt in the texts of the repository: in comments and strings of
// Go files, and in all lines of other text files. Run it with: go run -C deploy/lint . ../..
package main

import (
	_ "embed"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed banned.txt
var banned string

var (
	// checked are the names of files with text that people read.
	checked = regexp.MustCompile(`\.(go|md|ts|tsx|mjs|js|css|html|sh|ya?ml|sql|env|service)$|(^|/)(Makefile|Dockerfile)$`)
	// generated are files that have no text of their own.
	generated = regexp.MustCompile(`(^|/)(package-lock\.json|schema\.d\.ts|testdata/.*)$`)
	allowed   = regexp.MustCompile(`words:allow:?\s*(\S*)`)
)

// rule is a line of banned.txt.
type rule struct {
	pattern *regexp.Regexp
	instead string
}

func parseRules(text string) ([]rule, error) {
	var rules []rule
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, instead, ok := strings.Cut(line, " => ")
		if !ok {
			return nil, fmt.Errorf("a rule needs => and what to write instead: %s", line)
		}
		compiled, err := regexp.Compile("(?i)" + pattern)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", line, err)
		}
		rules = append(rules, rule{compiled, instead})
	}
	return rules, nil
}

// check returns a message for each banned word in a file's content.
func check(rules []rule, name string, content []byte) []string {
	lines := strings.Split(string(content), "\n")
	texts := lines
	if strings.HasSuffix(name, ".go") {
		texts = goTexts(content, len(lines))
	}
	var found []string
	for i, text := range texts {
		for _, rule := range rules {
			word := rule.pattern.FindString(text)
			if word == "" {
				continue
			}
			if allow := allowed.FindStringSubmatch(lines[i]); allow == nil {
				found = append(found, fmt.Sprintf("%s:%d: %q; instead: %s", name, i+1, word, rule.instead))
			} else if allow[1] == "" {
				found = append(found, fmt.Sprintf("%s:%d: words:allow needs a reason", name, i+1))
			}
		}
	}
	return found
}

// goTexts returns the comments and strings of each line of a Go file.
func goTexts(content []byte, lines int) []string {
	texts := make([]string, lines)
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(content))
	var s scanner.Scanner
	s.Init(file, content, nil, scanner.ScanComments)
	for {
		pos, kind, literal := s.Scan()
		if kind == token.EOF {
			return texts
		}
		if kind == token.COMMENT || kind == token.STRING {
			first := file.Line(pos) - 1
			for i, text := range strings.Split(literal, "\n") {
				texts[first+i] += " " + text
			}
		}
	}
}

func run(root string) (problems []string, err error) {
	rules, err := parseRules(banned)
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").Output()
	if err != nil {
		return nil, fmt.Errorf("list the files: %w", err)
	}
	names := strings.Split(strings.Trim(string(out), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !checked.MatchString(name) || generated.MatchString(name) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted and not committed yet
			continue
		}
		if err != nil {
			return nil, err
		}
		problems = append(problems, check(rules, name, content)...)
	}
	return problems, nil
}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	problems, err := run(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(2)
	}
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if len(problems) > 0 {
		fmt.Fprintf(os.Stderr, "%d banned words; deploy/lint/banned.txt has the rules\n", len(problems))
		os.Exit(1)
	}
}
