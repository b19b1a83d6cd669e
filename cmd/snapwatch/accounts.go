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
	"github.com/snapwatch/snapwatch/store/embedded"
)

// withAuth calls do with the accounts of the database. A server may run beside it: its
// private cluster is used, and else one is started meanwhile.
func withAuth(
	ctx context.Context, database config.Database, logger *slog.Logger,
	do func(ctx context.Context, service *auth.Service) error,
) error {
	if dir, err := database.Dir(); err == nil && database.DatabaseURL == "" {
		if url, err := embedded.FindURL(dir); err == nil && store.Answers(ctx, url) {
			database.DatabaseURL = url
		}
	}
	return withURL(ctx, database, logger, func(ctx context.Context, url string) error {
		tables, closeTables, err := store.OpenAccounts(ctx, url)
		if err != nil {
			return err
		}
		defer closeTables()
		service, err := auth.New(auth.Config{}, tables, logger)
		if err != nil {
			return err
		}
		return do(ctx, service)
	})
}

type userCommand struct {
	Add     userAddCommand    `cmd:"" help:"Add somebody who logs in with a password; it is asked for, or read from standard input."`
	Passwd  userPasswdCommand `cmd:"" help:"Set somebody's password; their sessions end."`
	List    userListCommand   `cmd:"" help:"List all users."`
	Disable userSwitchCommand `cmd:"" help:"Keep somebody out; their sessions end at once."`
	Enable  userEnableCommand `cmd:"" help:"Let somebody in again."`
	Delete  userDeleteCommand `cmd:"" help:"Remove somebody."`
}

type userAddCommand struct {
	config.Database
	Name string   `arg:"" help:"What they log in as."`
	Role string   `enum:"admin,user" default:"user" help:"admin may do everything; user reads the machines that have a tag of theirs."`
	Tags []string `help:"Tags of the machines that a user sees, separated by commas; * is all."`
}

// Run adds a user.
func (c *userAddCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		password, err := askPassword(os.Stdin, os.Stderr)
		if err != nil {
			return err
		}
		_, err = service.CreateUser(
			ctx, auth.UserParams{Name: c.Name, Password: password, Role: auth.Role(c.Role), Tags: c.Tags},
		)
		return err
	})
}

type userPasswdCommand struct {
	config.Database
	Name string `arg:"" help:"Whose password."`
}

// Run sets a password.
func (c *userPasswdCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		password, err := askPassword(os.Stdin, os.Stderr)
		if err != nil {
			return err
		}
		return changeUser(ctx, service, c.Name, auth.UserChange{Password: &password})
	})
}

func changeUser(ctx context.Context, service *auth.Service, name string, change auth.UserChange) error {
	_, err := service.ChangeUser(ctx, name, change)
	return named(err, "user", name)
}

// named says what was not found.
func named(err error, what string, which any) error {
	if errors.Is(err, accounts.ErrNotFound) {
		return fmt.Errorf("there is no %s %v", what, which)
	}
	return err
}

type userListCommand struct{ config.Database }

// Run lists users.
func (c *userListCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		users, err := service.Users(ctx)
		if err != nil {
			return err
		}
		return table(os.Stdout, "NAME\tROLE\tTAGS\tSTATE\tCODES\tLAST LOG-IN", func(row func(...string)) {
			for i := range users {
				u := &users[i]
				row(
					u.Name, u.Role, strings.Join(u.Tags, ","),
					map[bool]string{true: "disabled", false: "enabled"}[u.Disabled],
					map[bool]string{true: "yes", false: "no"}[u.TOTPSecret != nil], when(u.LastLogin),
				)
			}
		})
	})
}

type userSwitchCommand struct {
	config.Database
	Name string `arg:"" help:"Whom."`
}

func (c *userSwitchCommand) set(ctx context.Context, logger *slog.Logger, disabled bool) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		return changeUser(ctx, service, c.Name, auth.UserChange{Disabled: &disabled})
	})
}

// Run disables a user.
func (c *userSwitchCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return c.set(ctx, logger, true)
}

type userEnableCommand struct{ userSwitchCommand }

// Run enables a user.
func (c *userEnableCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return c.set(ctx, logger, false)
}

type userDeleteCommand struct {
	config.Database
	Name string `arg:"" help:"Whom."`
}

// Run removes a user.
func (c *userDeleteCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		return named(service.DeleteUser(ctx, c.Name), "user", c.Name)
	})
}

type tokenCommand struct {
	Add    tokenAddCommand    `cmd:"" help:"Make a token for a program, and print it."`
	List   tokenListCommand   `cmd:"" help:"List tokens, of agents too."`
	Revoke tokenRevokeCommand `cmd:"" help:"End a token, at once."`
}

type tokenAddCommand struct {
	config.Database
	Name      string        `arg:"" help:"What it is for."`
	Role      string        `enum:"admin,user,agent" default:"user" help:"admin may do everything, user reads machines by tag, agent writes one machine's snapshots."`
	MachineID string        `help:"Of an agent: the machine it is bound to."`
	Tags      []string      `help:"Tags of the machines that a user's token sees; * is all."`
	Scopes    []string      `help:"Limit it to these permissions of its role, for example machines.read or metrics.read."`
	For       time.Duration `help:"How long it lasts; 0: for ever."`
}

// Run makes a token.
func (c *tokenAddCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		wanted := auth.TokenParams{
			Name:      c.Name,
			Role:      auth.Role(c.Role),
			MachineID: c.MachineID,
			Tags:      c.Tags,
			ExpiresAt: in(c.For),
		}
		for _, scope := range c.Scopes {
			wanted.Permissions = append(wanted.Permissions, auth.Permission(scope))
		}
		secret, _, err := service.CreateToken(ctx, wanted)
		if err == nil {
			fmt.Println(secret)
		}
		return err
	})
}

// in is an instant that long from now; nil for never.
func in(d time.Duration) *time.Time {
	if d == 0 {
		return nil
	}
	t := time.Now().Add(d)
	return &t
}

type tokenListCommand struct {
	config.Database
	MachineID string `help:"Of this machine alone."`
}

// Run lists tokens.
func (c *tokenListCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		var failed error
		err := table(
			os.Stdout,
			"ID\tNAME\tROLE\tMACHINE\tTAGS\tSCOPES\tEXPIRES\tLAST USED\tMADE BY",
			func(row func(...string)) {
				filter := accounts.TokenFilter{MachineID: c.MachineID, Limit: 1000}
				for {
					tokens, err := service.Tokens(ctx, filter)
					if err != nil {
						failed = err
						return
					}
					for i := range tokens {
						t := &tokens[i]
						machine := ""
						if t.MachineID != nil {
							machine = *t.MachineID
						}
						row(
							fmt.Sprint(t.ID), t.Name, t.Role, machine, strings.Join(t.Tags, ","),
							strings.Join(t.Scopes, ","), when(t.ExpiresAt), when(t.LastUsed), t.CreatedBy,
						)
					}
					if len(tokens) < filter.Limit {
						return
					}
					filter.AfterID = tokens[len(tokens)-1].ID
				}
			},
		)
		return errors.Join(failed, err)
	})
}

type tokenRevokeCommand struct {
	config.Database
	ID int64 `arg:"" help:"The token's id, as list tells."`
}

// Run ends a token.
func (c *tokenRevokeCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		return named(service.RevokeToken(ctx, c.ID), "token", c.ID)
	})
}

type keyCommand struct {
	Add    keyAddCommand    `cmd:"" help:"Make an enrolment key, and print it: agents turn it into tokens of their own."`
	List   keyListCommand   `cmd:"" help:"List the enrolment keys that count."`
	Revoke keyRevokeCommand `cmd:"" help:"End an enrolment key; the tokens that were got with it stay."`
}

type keyAddCommand struct {
	config.Database
	Name      string        `arg:"" help:"What it is for."`
	Uses      int           `default:"1" help:"How many machines may enrol with it; 0: any number."`
	For       time.Duration `default:"24h" help:"How long it lasts; 0: for ever."`
	Tags      []string      `help:"Tags of the machines that enrol with it."`
	TakesOver bool          `help:"It may give a new token to a machine that has one: for machines that are installed anew."`
}

// Run makes a key.
func (c *keyAddCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		wanted := auth.EnrolmentKeyParams{Name: c.Name, Tags: c.Tags, TakesOver: c.TakesOver, ExpiresAt: in(c.For)}
		if c.Uses != 0 {
			wanted.Uses = &c.Uses
		}
		secret, _, err := service.CreateEnrolmentKey(ctx, wanted)
		if err == nil {
			fmt.Println(secret)
		}
		return err
	})
}

type keyListCommand struct{ config.Database }

// Run lists keys.
func (c *keyListCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		keys, err := service.EnrolmentKeys(ctx)
		if err != nil {
			return err
		}
		return table(os.Stdout, "ID\tNAME\tTAGS\tUSES LEFT\tTAKES OVER\tEXPIRES\tMADE BY", func(row func(...string)) {
			for i := range keys {
				k := &keys[i]
				uses := "any"
				if k.UsesLeft != nil {
					uses = fmt.Sprint(*k.UsesLeft)
				}
				row(
					fmt.Sprint(k.ID), k.Name, strings.Join(k.Tags, ","), uses,
					map[bool]string{true: "yes", false: "no"}[k.TakesOver], when(k.ExpiresAt), k.CreatedBy,
				)
			}
		})
	})
}

type keyRevokeCommand struct {
	config.Database
	ID int64 `arg:"" help:"The key's id, as list tells."`
}

// Run ends a key.
func (c *keyRevokeCommand) Run(ctx context.Context, logger *slog.Logger) error {
	return withAuth(ctx, c.Database, logger, func(ctx context.Context, service *auth.Service) error {
		return named(service.RevokeEnrolmentKey(ctx, c.ID), "enrolment key", c.ID)
	})
}

// askPassword asks for a password twice on a terminal, and else reads one line.
func askPassword(from *os.File, to io.Writer) (string, error) {
	if !term.IsTerminal(int(from.Fd())) {
		text, err := io.ReadAll(io.LimitReader(from, 4096))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		_, _ = fmt.Fprint(to, prompt)
		text, err := term.ReadPassword(int(from.Fd()))
		_, _ = fmt.Fprintln(to)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two are not the same")
	}
	return typed[0], nil
}

// table prints rows in columns. What is not printable is quoted: names come from
// outside, and a terminal obeys some characters.
func table(w io.Writer, head string, rows func(row func(...string))) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, head)
	rows(func(cells ...string) {
		for i, cell := range cells {
			cells[i] = printable(cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	})
	return t.Flush()
}

// printable quotes a text that has more than printable characters.
func printable(text string) string {
	quoted := fmt.Sprintf("%+q", text)
	if plain := quoted[1 : len(quoted)-1]; plain == text ||
		!strings.ContainsFunc(
			text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e },
		) {
		return text
	}
	return quoted
}

func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}
