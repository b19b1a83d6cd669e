// Package migrations holds the database schema as golang-migrate files.
//
// A database is migrated with the union of two folders: common, which both
// storage profiles share, and the one named after the profile. Their versions
// form one sequence, so a version number belongs to one folder or, where the
// profiles differ, to each profile's folder.
package migrations

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed common/*.sql postgres/*.sql timescale/*.sql
var files embed.FS

// Profiles lists the storage profiles that have migrations.
func Profiles() []string { return []string{"postgres", "timescale"} }

// For returns the migrations of a profile as one flat folder.
func For(profile string) (fs.FS, error) {
	if !slices.Contains(Profiles(), profile) {
		return nil, fmt.Errorf("no migrations for storage profile %q; there are %v", profile, Profiles())
	}
	common, err := fs.Sub(files, "common")
	if err != nil {
		return nil, fmt.Errorf("open common migrations: %w", err)
	}
	own, err := fs.Sub(files, profile)
	if err != nil {
		return nil, fmt.Errorf("open %s migrations: %w", profile, err)
	}
	return union{common, own}, nil
}

// union shows the files of two flat folders as one.
type union [2]fs.FS

// Open opens the file from the folder that has it.
func (u union) Open(name string) (fs.File, error) {
	if file, err := u[0].Open(name); err == nil {
		return file, nil
	}
	return u[1].Open(name)
}

// ReadDir lists both folders.
func (u union) ReadDir(name string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry
	for _, folder := range u {
		entries, err := fs.ReadDir(folder, name)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return all, nil
}
