package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/auth"
)

type keyCommand struct {
	Add    accountCommand[keyAdd]    `cmd:"" help:"Create an enrolment key, and print it. Agents get their tokens with it."`
	List   accountCommand[keyList]   `cmd:"" help:"List the active enrolment keys."`
	Revoke accountCommand[keyRevoke] `cmd:"" help:"Revoke an enrolment key. Tokens of agents that enrolled with it stay valid."`
}

type keyAdd struct {
	Name      string        `arg:"" help:"Name of the key."`
	Uses      int           `default:"1" help:"Number of machines that may enrol with the key. 0: unlimited."`
	For       time.Duration `default:"24h" help:"Lifetime of the key. 0: unlimited."`
	Tags      []string      `help:"Tags for the machines that enrol with the key, comma-separated."`
	TakesOver bool          `help:"Allow reinstalled machines to re-enrol: the key may replace the token of a machine that has one."`
}

func (k keyAdd) run(ctx context.Context, service *auth.Service) error {
	params := auth.EnrolmentKeyParams{Name: k.Name, Tags: k.Tags, TakesOver: k.TakesOver, ExpiresAt: expiry(k.For)}
	if k.Uses != 0 {
		params.Uses = &k.Uses
	}
	secret, _, err := service.CreateEnrolmentKey(ctx, params)
	return printSecret(secret, err)
}

type keyList struct{}

func (keyList) run(ctx context.Context, service *auth.Service) error {
	keys, err := service.EnrolmentKeys(ctx)
	if err != nil {
		return err
	}
	rows := make([][]string, len(keys))
	for i := range keys {
		k := &keys[i]
		uses := "unlimited"
		if k.UsesLeft != nil {
			uses = fmt.Sprint(*k.UsesLeft)
		}
		rows[i] = []string{
			fmt.Sprint(k.ID), k.Name, strings.Join(k.Tags, ","), uses, choose(k.TakesOver, "yes", "no"),
			formatTime(k.ExpiresAt), k.CreatedBy,
		}
	}
	head := []string{"ID", "NAME", "TAGS", "USES LEFT", "RE-ENROL", "EXPIRES", "CREATED BY"}
	return printTable(os.Stdout, head, rows)
}

type keyRevoke struct {
	ID int64 `arg:"" help:"ID of the key, as key list prints it."`
}

func (k keyRevoke) run(ctx context.Context, service *auth.Service) error {
	return describeNotFound(service.RevokeEnrolmentKey(ctx, k.ID), "enrolment key", k.ID)
}
