// Package supportbundle collects what is needed to find a fault of a server, without secrets and without the recorded
// data. By default, it also leaves out the names of machines, users and files.
package supportbundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/doctor"
)

// Config says what a bundle is about.
type Config struct {
	Doctor doctor.Config
	// Version describes the build of this program.
	Version string
	// Settings are the settings in effect, and Hidden the values that no file of the bundle may contain.
	Settings []config.EffectiveSetting
	Hidden   config.Hidden
	// WithNames keeps the names of machines, users and files.
	WithNames bool
	// ProfileSeconds is the duration of the CPU profile.
	ProfileSeconds int
}

const (
	// partTimeout is the time that each part has, besides the duration of a profile.
	partTimeout = 15 * time.Second
	folder      = "snapwatch-support/"
)

const readme = `This archive describes a snapwatch server. It was made by snapwatch support-bundle.

It does not contain: passwords, tokens, keys and other secrets; recorded snapshots, processes and command lines;
values in SQL statements; certificates and private keys.
%s
Please look through the files before you pass them on.

version.txt       version of the program that made the archive
settings.json     settings of this command; start it with the settings of the server
doctor.txt        result of snapwatch doctor
system.json       operating system, processor, memory and disk
readyz.json       readiness of the running server, with reasons
metrics.txt       metrics of the running server (needs --admin-listen or SNAPWATCH_METRICS_TOKEN)
goroutines.txt    what the running server does (needs --admin-listen)
heap.pb.gz        memory profile (needs --admin-listen)
cpu.pb.gz         CPU profile (needs --admin-listen)
database/         schema, settings, sizes and sessions of the database
postgres.log      last messages of the private database, without statements and values
logs.txt          where to find the log of the server

A part that could not be collected has the reason in a file with the ending .error.txt.
`

const logs = `The log of the server is not in this archive, because it can contain names of machines and users.

Package:        journalctl -u snapwatch --since -1h
Docker Compose: docker compose logs --since 1h server
Kubernetes:     kubectl logs deployment/snapwatch --since 1h
snapwatch up:   the terminal in which it runs
`

// bundle is an archive that is being written.
type bundle struct {
	cfg     Config
	scrub   *scrubber
	archive *tar.Writer
	now     time.Time
}

// part is a file of the archive.
type part struct {
	name string
	// collect returns the content. Nil means that there is none.
	collect func(ctx context.Context) ([]byte, error)
	// compressed says that the content is compressed with gzip.
	compressed bool
}

// Write collects everything and writes the archive, compressed with gzip. A part that cannot be collected does not fail
// it.
func Write(ctx context.Context, w io.Writer, cfg Config) error {
	compressed := gzip.NewWriter(w)
	b := &bundle{cfg: cfg, scrub: newScrubber(cfg), archive: tar.NewWriter(compressed), now: time.Now()}
	for _, p := range b.parts() {
		if err := b.add(ctx, p); err != nil {
			return err
		}
	}
	if err := errors.Join(b.archive.Close(), compressed.Close()); err != nil {
		return fmt.Errorf("write the support bundle: %w", err)
	}
	return nil
}

func (b *bundle) parts() []part {
	names := "It also does not contain the names of machines, users, hosts and files."
	if b.cfg.WithNames {
		names = "It contains the names of machines, users, hosts and files that are in the settings."
	}
	parts := []part{
		{name: "README.txt", collect: text(fmt.Sprintf(readme, names))},
		{name: "version.txt", collect: text(b.cfg.Version + "\n")},
		{name: "logs.txt", collect: text(logs)},
		{name: "settings.json", collect: func(context.Context) ([]byte, error) { return encode(b.cfg.Settings) }},
		{name: "system.json", collect: b.system},
		{name: "doctor.txt", collect: b.doctor},
		{name: "readyz.json", collect: b.readiness},
	}
	parts = append(parts, b.serverParts()...)
	return append(parts, b.databaseParts()...)
}

// add collects a part, removes secrets from it, and writes it.
func (b *bundle) add(ctx context.Context, p part) error {
	limited, cancel := context.WithTimeout(ctx, partTimeout+time.Duration(b.cfg.ProfileSeconds)*time.Second)
	defer cancel()
	content, err := p.collect(limited)
	if err == nil && p.compressed {
		content, err = b.scrub.compressed(content)
	} else if err == nil {
		content = []byte(b.scrub.text(string(content)))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.name += ".error.txt"
		content = []byte(b.scrub.text(err.Error()) + "\n")
	}
	if content == nil {
		return nil
	}
	header := &tar.Header{Name: folder + p.name, Mode: 0o600, Size: int64(len(content)), ModTime: b.now}
	if err := b.archive.WriteHeader(header); err != nil {
		return fmt.Errorf("write the support bundle: %w", err)
	}
	if _, err := b.archive.Write(content); err != nil {
		return fmt.Errorf("write the support bundle: %w", err)
	}
	return nil
}

func text(content string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(content), nil }
}

// encode returns a value as JSON for people.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return out.Bytes(), nil
}

// fetch returns the body of a response with status 200.
func fetch(ctx context.Context, client *http.Client, address, token string) ([]byte, error) {
	got, err := doctor.Get(ctx, client, address, token)
	if err != nil {
		return nil, err
	}
	if got.Status != http.StatusOK {
		return nil, fmt.Errorf("the server responds with %d to %s", got.Status, address)
	}
	return got.Body, nil
}
