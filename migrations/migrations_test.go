package migrations_test

import (
	"io/fs"
	"regexp"
	"slices"
	"testing"

	"github.com/snapwatch/snapwatch/migrations"
)

// Each version is there once, up and down, without gaps: golang-migrate takes
// the first of two files with one version without a word.
func TestVersionsFormOneSequence(t *testing.T) {
	for _, profile := range migrations.Profiles() {
		t.Run(profile, func(t *testing.T) {
			folder, err := migrations.For(profile)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := fs.ReadDir(folder, ".")
			if err != nil {
				t.Fatal(err)
			}
			var ups, downs []string
			for _, entry := range entries {
				match := regexp.MustCompile(`^(\d{4})_\w+\.(up|down)\.sql$`).FindStringSubmatch(entry.Name())
				if match == nil {
					t.Fatalf("%s is not named like 0001_what.up.sql", entry.Name())
				}
				if match[2] == "up" {
					ups = append(ups, match[1])
				} else {
					downs = append(downs, match[1])
				}
			}
			if !slices.Equal(ups, downs) || len(slices.Compact(slices.Clone(ups))) != len(ups) {
				t.Fatalf("ups %v, downs %v: want the same versions, each once", ups, downs)
			}
		})
	}
}

func TestUnknownProfile(t *testing.T) {
	if _, err := migrations.For("mysql"); err == nil {
		t.Fatal("an unknown profile was accepted")
	}
}
