// Package finding defines the results of the doctor commands, and prints them.
package finding

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Finding is the result of one check.
type Finding struct {
	// What is the subject of the check.
	What string `json:"what"`
	OK   bool   `json:"ok"`
	// Detail describes the current state. Fix says how to solve the problem, and is empty if OK is true.
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
	// Hint says what could be better, although there is no problem. It is empty if there is nothing to do.
	Hint string `json:"hint,omitempty"`
}

// ErrProblems means that a finding is a problem.
var ErrProblems = errors.New("there are problems")

// Check returns ErrProblems if one of the findings is a problem.
func Check(findings []Finding) error {
	for i := range findings {
		if !findings[i].OK {
			return ErrProblems
		}
	}
	return nil
}

// Print writes each finding, and below it what to do, if anything.
func Print(w io.Writer, findings []Finding) error {
	for i := range findings {
		f := &findings[i]
		mark, advice := "ok   ", ""
		switch {
		case !f.OK:
			mark, advice = "WRONG", f.Fix
		case f.Hint != "":
			mark, advice = "note ", f.Hint
		}
		if _, err := fmt.Fprintf(w, "%s  %-16s %s\n", mark, f.What, f.Detail); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
		if advice != "" {
			if _, err := fmt.Fprintf(w, "       %-16s → %s\n", "", advice); err != nil {
				return fmt.Errorf("write the results: %w", err)
			}
		}
	}
	return nil
}

// PrintJSON writes the findings as a JSON array.
func PrintJSON(w io.Writer, findings []Finding) error {
	err := json.MarshalWrite(w, findings, jsontext.WithIndent(" "))
	if err == nil {
		_, err = fmt.Fprintln(w)
	}
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}
