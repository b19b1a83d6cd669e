package main

import (
	"context"
	"os"
	"strings"

	"github.com/snapwatch/snapwatch/auth"
)

type userCommand struct {
	Add     accountCommand[userAdd]     `cmd:"" help:"Add a user with a password, which is prompted for or read from standard input."`
	Passwd  accountCommand[userPasswd]  `cmd:"" help:"Set a user's password and end their sessions."`
	List    accountCommand[userList]    `cmd:"" help:"List all users."`
	Disable accountCommand[userDisable] `cmd:"" help:"Disable a user and end their sessions."`
	Enable  accountCommand[userEnable]  `cmd:"" help:"Enable a disabled user."`
	Delete  accountCommand[userDelete]  `cmd:"" help:"Delete a user."`
}

type userName struct {
	Name string `arg:"" help:"Name of the user."`
}

func (u userName) change(ctx context.Context, service *auth.Service, change auth.UserChange) error {
	_, err := service.ChangeUser(ctx, u.Name, change)
	return describeNotFound(err, "user", u.Name)
}

type userAdd struct {
	userName
	Role string   `enum:"admin,user" default:"user" help:"Role: admin, or user, who sees the machines with one of the user's tags."`
	Tags []string `help:"Tags of the machines that the user sees, comma-separated; * is all machines."`
}

func (u userAdd) run(ctx context.Context, service *auth.Service) error {
	password, err := readPassword(os.Stdin, os.Stderr)
	if err != nil {
		return err
	}
	params := auth.UserParams{Name: u.Name, Password: password, Role: auth.Role(u.Role), Tags: u.Tags}
	_, err = service.CreateUser(ctx, params)
	return err
}

type userPasswd struct{ userName }

func (u userPasswd) run(ctx context.Context, service *auth.Service) error {
	password, err := readPassword(os.Stdin, os.Stderr)
	if err != nil {
		return err
	}
	return u.change(ctx, service, auth.UserChange{Password: &password})
}

type userDisable struct{ userName }

func (u userDisable) run(ctx context.Context, service *auth.Service) error {
	disabled := true
	return u.change(ctx, service, auth.UserChange{Disabled: &disabled})
}

type userEnable struct{ userName }

func (u userEnable) run(ctx context.Context, service *auth.Service) error {
	disabled := false
	return u.change(ctx, service, auth.UserChange{Disabled: &disabled})
}

type userDelete struct{ userName }

func (u userDelete) run(ctx context.Context, service *auth.Service) error {
	return describeNotFound(service.DeleteUser(ctx, u.Name), "user", u.Name)
}

type userList struct{}

func (userList) run(ctx context.Context, service *auth.Service) error {
	users, err := service.Users(ctx)
	if err != nil {
		return err
	}
	rows := make([][]string, len(users))
	for i := range users {
		u := &users[i]
		rows[i] = []string{
			u.Name, u.Role, strings.Join(u.Tags, ","), choose(u.Disabled, "disabled", "enabled"),
			choose(u.TOTPSecret != nil, "yes", "no"), formatTime(u.LastLogin),
		}
	}
	return printTable(os.Stdout, []string{"NAME", "ROLE", "TAGS", "STATE", "TOTP", "LAST SIGN-IN"}, rows)
}
