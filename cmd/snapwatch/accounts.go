package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// accountAction is what a command does with the accounts. Its fields are the command's arguments.
type accountAction interface {
	run(ctx context.Context, service *auth.Service) error
}

// accountCommand is a command that runs an action with the accounts of a database.
type accountCommand[A accountAction] struct {
	config.Database
	Action A `embed:""`
}

// Run opens the accounts and runs the action. If a server runs, the command uses its database. Otherwise it starts the
// private cluster for as long as the action takes.
func (c *accountCommand[A]) Run(ctx context.Context, logger *slog.Logger) error {
	return withURL(ctx, c.Database, logger, func(ctx context.Context, url string) error {
		tables, closeTables, err := store.OpenAccounts(ctx, url)
		if errors.Is(err, store.ErrNoSchema) {
			return fmt.Errorf("%w; if the server uses another database, set its DATABASE_URL or --data-dir", err)
		}
		if err != nil {
			return err
		}
		defer closeTables()
		service, err := auth.New(auth.Config{}, tables, logger)
		if err != nil {
			return err
		}
		return c.Action.run(ctx, service)
	})
}

// describeNotFound names the object that an operation did not find.
func describeNotFound(err error, kind string, name any) error {
	if errors.Is(err, accounts.ErrNotFound) {
		return fmt.Errorf("there is no %s %v", kind, name)
	}
	return err
}

// printSecret prints a new secret. It is shown this once.
func printSecret(secret string, err error) error {
	if err == nil {
		fmt.Println(secret)
	}
	return err
}

// expiry returns the time after a lifetime from now; nil, which is never, for 0.
func expiry(lifetime time.Duration) *time.Time {
	if lifetime == 0 {
		return nil
	}
	t := time.Now().Add(lifetime)
	return &t
}

// readPassword prompts for a password twice on a terminal. From anything else it reads one line.
func readPassword(from *os.File, to io.Writer) (string, error) {
	if !term.IsTerminal(int(from.Fd())) {
		text, err := io.ReadAll(io.LimitReader(from, 4096))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Repeat the password: "} {
		_, _ = fmt.Fprint(to, prompt)
		text, err := term.ReadPassword(int(from.Fd()))
		_, _ = fmt.Fprintln(to)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the passwords differ")
	}
	return typed[0], nil
}

// printTable prints rows in columns. Texts with unprintable characters are quoted: names come from
// outside, and terminals interpret some of these characters.
func printTable(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.Join(head, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// printable quotes a text that contains control or formatting characters.
func printable(text string) string {
	unprintable := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e }
	if strings.ContainsFunc(text, unprintable) {
		return fmt.Sprintf("%+q", text)
	}
	return text
}

// formatTime returns a time in UTC, to the minute; "-" for nil.
func formatTime(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// choose returns yes or no, by a condition.
func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}
