package auth

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"unicode"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// NamePattern is the regular expression that user names match.
	NamePattern = `^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`
	// TagPattern is the regular expression that tags match.
	TagPattern = `^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$`
	// MaxTags is the maximum number of tags of a machine, a user or a token.
	MaxTags = 100
	// maxLabelBytes is the maximum length of the name of a token or an enrolment key.
	maxLabelBytes = 64
)

var namePattern, tagPattern = regexp.MustCompile(NamePattern), regexp.MustCompile(TagPattern)

// CheckMachineTags returns a *FieldError if tags are not valid tags of a machine.
func CheckMachineTags(tags []string) error { return checkTags("tags", tags, false) }

// checkTags returns a *FieldError unless tags are valid. allowAll permits AllMachines among them.
func checkTags(field string, tags []string, allowAll bool) error {
	if len(tags) > MaxTags {
		return &FieldError{field, fmt.Sprintf("must have at most %d entries; it has %d", MaxTags, len(tags))}
	}
	for _, tag := range tags {
		if !tagPattern.MatchString(tag) && (!allowAll || tag != AllMachines) {
			return &FieldError{field, "must begin with a letter or digit, and consist of at most 64 characters " +
				"of A-Z a-z 0-9 . _ : -"}
		}
	}
	return nil
}

// checkMachineID returns a *FieldError unless id is a valid machine id.
func checkMachineID(id string) error {
	if invalid, ok := errors.AsType[*snapshot.ValidationError](snapshot.CheckMachineID(id)); ok {
		return &FieldError{invalid.Field, invalid.Reason}
	}
	return nil
}

// checkUser returns a *FieldError unless the properties of a user are valid.
func checkUser(name string, role Role, tags []string) error {
	if !namePattern.MatchString(name) {
		return &FieldError{"name", "must begin with a letter or digit, and consist of at most 64 characters " +
			"of A-Z a-z 0-9 . _ @ + -"}
	}
	if role != RoleAdmin && role != RoleUser {
		return &FieldError{"role", "must be admin or user"}
	}
	return checkTags("tags", tags, true)
}

// checkLabel returns a *FieldError unless name is a valid name of a token or an enrolment key.
func checkLabel(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if name == "" || len(name) > maxLabelBytes || slices.ContainsFunc([]rune(name), unprintable) {
		return &FieldError{"name", fmt.Sprintf("must have 1 to %d bytes of printable characters", maxLabelBytes)}
	}
	return nil
}

// sortedUnique returns the tags in order, without duplicates.
func sortedUnique(tags []string) []string { return slices.Compact(slices.Sorted(slices.Values(tags))) }
