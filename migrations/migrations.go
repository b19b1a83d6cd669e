// Package migrations contains the database schema as files for golang-migrate.
//
// A database is migrated with the files of two folders: common, and the folder of the storage profile.
// Their versions form one sequence. A version is either in common or in the folder of each profile.
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

// For returns the migrations of a profile as one folder without subfolders.
func For(profile string) (fs.FS, error) {
	if !slices.Contains(Profiles(), profile) {
		return nil, fmt.Errorf("no migrations for the storage profile %q, only for %v", profile, Profiles())
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

// union is the union of two folders without subfolders.
type union [2]fs.FS

// Open opens the file from the folder that contains it.
func (u union) Open(name string) (fs.File, error) {
	if file, err := u[0].Open(name); err == nil {
		return file, nil
	}
	return u[1].Open(name)
}

// ReadDir returns the entries of both folders, sorted by name.
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
