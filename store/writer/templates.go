package writer

import "strings"

// Command lines of short-lived processes are stored as templates: texts without the parts that vary, such as the names
// of temporary files. Templates repeat, and the parts are stored with each process. PostgreSQL's function format puts
// them together again, so the rule for what varies can change at any time.

const (
	// varDigits is the number of digits from which a run of letters and digits varies.
	varDigits = 4
	// varLength is the length from which a run varies if it alternates between letters and digits at least
	// varAlternations times, as random names do, or if it is in the name of a temporary file.
	varLength       = 6
	varAlternations = 3
)

// templateSplitter splits command lines. It is reused, because most of them need no new memory.
type templateSplitter struct {
	template []byte // valid until the next split
	vars     []byte // the same: the parts that vary, separated by spaces
}

// split splits a command line. If it returns true, template is a format string with %s for each part that varies and %%
// for %. If it returns false, nothing varies, and template is the command line.
func (t *templateSplitter) split(commandLine string) (hasVars bool) {
	t.template, t.vars = t.template[:0], t.vars[:0]
	isTemporary := false // in a file name directly in a folder tmp
	for i := 0; i < len(commandLine); {
		c := commandLine[i]
		if !isAlphanumeric(c) {
			switch c {
			case '/':
				isTemporary = strings.HasSuffix(commandLine[:i], "/tmp")
			case ' ':
				isTemporary = false
			case '%':
				t.template = append(t.template, c)
			}
			t.template = append(t.template, c)
			i++
			continue
		}
		end, varies := runAt(commandLine, i, isTemporary)
		if varies {
			if len(t.vars) > 0 {
				t.vars = append(t.vars, ' ')
			}
			t.vars = append(t.vars, commandLine[i:end]...)
			t.template = append(t.template, "%s"...)
		} else {
			t.template = append(t.template, commandLine[i:end]...)
		}
		i = end
	}
	if len(t.vars) == 0 {
		t.template = append(t.template[:0], commandLine...)
		return false
	}
	return true
}

// runAt returns the end of the run of letters and digits at i, and whether it varies.
func runAt(text string, i int, isTemporary bool) (end int, varies bool) {
	digits, alternations := 0, 0
	for end = i; end < len(text) && isAlphanumeric(text[end]); end++ {
		if isDigit(text[end]) {
			digits++
		}
		if end > i && isDigit(text[end]) != isDigit(text[end-1]) {
			alternations++
		}
	}
	isLong := end-i >= varLength
	return end, digits >= varDigits || isLong && (isTemporary || alternations >= varAlternations)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlphanumeric(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
