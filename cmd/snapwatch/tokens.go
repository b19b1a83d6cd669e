package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/store/accounts"
)

type tokenCommand struct {
	Add    accountCommand[tokenAdd]    `cmd:"" help:"Create a token for a program, and print it."`
	List   accountCommand[tokenList]   `cmd:"" help:"List all tokens, including those of agents."`
	Revoke accountCommand[tokenRevoke] `cmd:"" help:"Revoke a token at once."`
}

type tokenAdd struct {
	Name      string        `arg:"" help:"Name of the token, for example of the program that uses it."`
	Role      string        `enum:"admin,user,agent" default:"user" help:"Role: admin, user, who sees machines by tag, or agent, who writes the snapshots of one machine."`
	MachineID string        `help:"Machine of an agent's token."`
	Tags      []string      `help:"Tags of the machines that a user's token sees, comma-separated; * is all machines."`
	Scopes    []string      `help:"Limit the token to these permissions of its role, for example machines.read or metrics.read."`
	For       time.Duration `help:"Lifetime of the token. 0: unlimited."`
}

func (t tokenAdd) run(ctx context.Context, service *auth.Service) error {
	params := auth.TokenParams{
		Name:      t.Name,
		Role:      auth.Role(t.Role),
		MachineID: t.MachineID,
		Tags:      t.Tags,
		ExpiresAt: expiry(t.For),
	}
	if t.Scopes != nil {
		params.Permissions = []auth.Permission{} // --scopes ''
	}
	for _, scope := range t.Scopes {
		params.Permissions = append(params.Permissions, auth.Permission(scope))
	}
	secret, _, err := service.CreateToken(ctx, params)
	return printSecret(secret, err)
}

type tokenList struct {
	MachineID string `help:"List the tokens of this machine only."`
}

func (t tokenList) run(ctx context.Context, service *auth.Service) error {
	var rows [][]string
	filter := accounts.TokenFilter{MachineID: t.MachineID, Limit: 1000}
	for {
		page, err := service.Tokens(ctx, filter)
		if err != nil {
			return err
		}
		for i := range page {
			rows = append(rows, tokenRow(&page[i]))
		}
		if len(page) < filter.Limit {
			break
		}
		filter.AfterID = page[len(page)-1].ID
	}
	head := []string{"ID", "NAME", "ROLE", "MACHINE", "TAGS", "SCOPES", "EXPIRES", "LAST USED", "CREATED BY"}
	return printTable(os.Stdout, head, rows)
}

func tokenRow(t *accounts.Token) []string {
	machine := ""
	if t.MachineID != nil {
		machine = *t.MachineID
	}
	return []string{
		fmt.Sprint(t.ID), t.Name, t.Role, machine, strings.Join(t.Tags, ","), strings.Join(t.Scopes, ","),
		formatTime(t.ExpiresAt), formatTime(t.LastUsed), t.CreatedBy,
	}
}

type tokenRevoke struct {
	ID int64 `arg:"" help:"ID of the token, as token list prints it."`
}

func (t tokenRevoke) run(ctx context.Context, service *auth.Service) error {
	return describeNotFound(service.RevokeToken(ctx, t.ID), "token", t.ID)
}
