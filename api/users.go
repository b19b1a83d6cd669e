package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// UserView is a user.
type UserView struct {
	Name      string         `json:"name"`
	Role      auth.Role      `json:"role" enum:"admin,user"`
	Tags      []string       `json:"tags" nullable:"false" doc:"Tags of the machines that a user may read; * for all"`
	Disabled  bool           `json:"disabled" doc:"Whether the user is blocked from signing in"`
	TOTP      bool           `json:"totp" doc:"Whether the account requires one-time codes"`
	Elsewhere bool           `json:"elsewhere" doc:"Whether the user signs in through the identity provider"`
	CreatedAt snapshot.Time  `json:"created_at" format:"date-time"`
	LastLogin *snapshot.Time `json:"last_login" format:"date-time"`
}

func userView(u *accounts.User) UserView {
	return UserView{
		Name:      u.Name,
		Role:      auth.Role(u.Role),
		Tags:      notNil(u.Tags),
		Disabled:  u.Disabled,
		TOTP:      u.TOTPSecret != nil,
		Elsewhere: u.Issuer != nil,
		CreatedAt: snapshot.TimeOf(u.CreatedAt),
		LastLogin: optionalTime(u.LastLogin),
	}
}

// UserList lists the users.
type UserList struct {
	Results []UserView `json:"results" nullable:"false" doc:"Users, by name"`
}

// UserPath is the path parameter of a user.
type UserPath struct {
	Name string `path:"name" minLength:"1" maxLength:"64"`
}

type newUser struct {
	Name     string    `json:"name" minLength:"1" maxLength:"64" doc:"A-Z a-z 0-9 . _ @ + -, beginning with a letter or digit"`
	Password string    `json:"password" minLength:"1" maxLength:"256" doc:"At least 12 characters, and not a common password"`
	Role     auth.Role `json:"role,omitempty" enum:"admin,user" default:"user"`
	Tags     []string  `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Tags of the machines that the user may read; * for all"`
}

type userPatch struct {
	Role       *auth.Role `json:"role,omitempty" enum:"admin,user"`
	Tags       *[]string  `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Tags of the machines that the user may read; * for all"`
	Disabled   *bool      `json:"disabled,omitempty" doc:"Whether the user is blocked from signing in; true ends all sessions"`
	Password   *string    `json:"password,omitempty" minLength:"1" maxLength:"256" doc:"New password, at least 12 characters, and not a common one; ends all sessions"`
	RemoveTOTP bool       `json:"remove_totp,omitempty" doc:"Turn off one-time codes, for a user who lost the key"`
}

func (a *API) registerUsers() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/users", "list-users", tagAccounts,
		"List users"), a.listUsers)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/users", "add-user", tagAccounts,
		"Create a user with a password", status(http.StatusCreated),
		description("A restricted token cannot create a user with more rights than it has.")), a.createUser)
	huma.Register(a.huma, operation(http.MethodPatch, "/api/v1/users/{name}", "change-user", tagAccounts,
		"Update a user",
		description("Changes take effect at once. A restricted token cannot change users with more rights than it "+
			"has, except to disable them.")), a.updateUser)
	huma.Register(a.huma, operation(http.MethodDelete, "/api/v1/users/{name}", "delete-user", tagAccounts,
		"Delete a user", status(http.StatusNoContent),
		description("Ends the user's sessions.")), a.deleteUser)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/users/{name}/sessions", "list-user-sessions", tagAccounts,
		"List a user's sessions"), a.listUserSessions)
	huma.Register(a.huma, operation(http.MethodDelete, "/api/v1/users/{name}/sessions/{session_id}", "end-user-session",
		tagAccounts, "End a user's session", status(http.StatusNoContent)), a.endUserSession)
}

func (a *API) listUsers(ctx context.Context, _ *struct{}) (*response[UserList], error) {
	users, err := a.auth.Users(ctx)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[UserList]{UserList{views(users, userView)}}, nil
}

func (a *API) createUser(ctx context.Context, in *struct{ Body newUser }) (*response[UserView], error) {
	user, err := a.auth.CreateUser(ctx, auth.UserParams(in.Body))
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[UserView]{userView(user)}, nil
}

func (a *API) updateUser(ctx context.Context, in *struct {
	UserPath
	Body userPatch
}) (*response[UserView], error) {
	change := auth.UserChange(in.Body)
	if change == (auth.UserChange{}) {
		return nil, problem.New(http.StatusUnprocessableEntity, "invalid_field",
			"The body must have at least one of role, tags, disabled, password and remove_totp.")
	}
	user, err := a.auth.ChangeUser(ctx, in.Name, change)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[UserView]{userView(user)}, nil
}

func (a *API) deleteUser(ctx context.Context, in *UserPath) (*struct{}, error) {
	return nil, a.problemOf(ctx, a.auth.DeleteUser(ctx, in.Name))
}

func (a *API) listUserSessions(ctx context.Context, in *UserPath) (*response[SessionList], error) {
	user, err := a.auth.User(ctx, in.Name)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return a.listSessions(ctx, user.ID)
}

func (a *API) endUserSession(ctx context.Context, in *struct {
	UserPath
	SessionPath
}) (*struct{}, error) {
	user, err := a.auth.User(ctx, in.Name)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return nil, a.problemOf(ctx, a.auth.EndSession(ctx, user, in.SessionID))
}
