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

// UserView is a person.
type UserView struct {
	Name      string         `json:"name"`
	Role      auth.Role      `json:"role" enum:"admin,user"`
	Tags      []string       `json:"tags" nullable:"false" doc:"Which machines a user sees; * is all. An admin sees all"`
	Disabled  bool           `json:"disabled" doc:"May not log in"`
	TOTP      bool           `json:"totp" doc:"Asked for one-time codes"`
	Elsewhere bool           `json:"elsewhere" doc:"Logs in through the identity provider"`
	CreatedAt snapshot.Time  `json:"created_at" format:"date-time"`
	LastLogin *snapshot.Time `json:"last_login" format:"date-time"`
}

func userView(u *accounts.User) UserView {
	return UserView{
		Name:      u.Name,
		Role:      auth.Role(u.Role),
		Tags:      u.Tags,
		Disabled:  u.Disabled,
		TOTP:      u.TOTPSecret != nil,
		Elsewhere: u.Issuer != nil,
		CreatedAt: snapshot.TimeOf(u.CreatedAt),
		LastLogin: timeOrNil(u.LastLogin),
	}
}

// UserPath names a person.
type UserPath struct {
	Name string `path:"name" minLength:"1" maxLength:"64"`
}

type userResponse struct{ Body UserView }

type newUser struct {
	Name     string    `json:"name" minLength:"1" maxLength:"64" doc:"Of A-Z a-z 0-9 . _ @ + -, beginning with a letter or digit"`
	Password string    `json:"password" minLength:"1" maxLength:"256" doc:"At least 12 characters"`
	Role     auth.Role `json:"role,omitempty" enum:"admin,user" default:"user"`
	Tags     []string  `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Which machines a user sees; * is all"`
}

type userPatch struct {
	Role       *auth.Role `json:"role,omitempty" enum:"admin,user"`
	Tags       *[]string  `json:"tags,omitempty" nullable:"false" maxItems:"100"`
	Disabled   *bool      `json:"disabled,omitempty" doc:"true ends all sessions at once"`
	Password   *string    `json:"password,omitempty" minLength:"1" maxLength:"256" doc:"A new one; ends all sessions"`
	RemoveTOTP bool       `json:"remove_totp,omitempty" doc:"For somebody who has lost the key"`
}

func (a *API) registerUsers() {
	tags := []string{"accounts"}
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-users",
			Method:      http.MethodGet,
			Path:        "/api/v1/users",
			Tags:        tags,
			Summary:     "All people, by name",
		},
		func(ctx context.Context, _ *struct{}) (*struct {
			Body struct {
				Results []UserView `json:"results" nullable:"false"`
			}
		}, error) {
			users, err := a.auth.Users(ctx)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			out := &struct {
				Body struct {
					Results []UserView `json:"results" nullable:"false"`
				}
			}{}
			out.Body.Results = make([]UserView, len(users))
			for i := range users {
				out.Body.Results[i] = userView(&users[i])
			}
			return out, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "add-user",
			Method:        http.MethodPost,
			Path:          "/api/v1/users",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusCreated,
			Summary:       "Add a person who logs in with a password",
		},
		func(ctx context.Context, in *struct{ Body newUser }) (*userResponse, error) {
			user, err := a.auth.CreateUser(
				ctx,
				auth.UserParams{Name: in.Body.Name, Password: in.Body.Password, Role: in.Body.Role, Tags: in.Body.Tags},
			)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			if user.Tags == nil {
				user.Tags = []string{}
			}
			return &userResponse{userView(user)}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:  "change-user",
			Method:       http.MethodPatch,
			Path:         "/api/v1/users/{name}",
			Tags:         tags,
			MaxBodyBytes: maxSmallBody,
			Summary:      "Change what a person is, sees or logs in with; it counts at once",
		},
		func(ctx context.Context, in *struct {
			UserPath
			Body userPatch
		}) (*userResponse, error) {
			b := &in.Body
			if b.Role == nil && b.Tags == nil && b.Disabled == nil && b.Password == nil && !b.RemoveTOTP {
				return nil, problem.New(
					http.StatusUnprocessableEntity, "invalid_field",
					"Give role, tags, disabled, password, remove_totp or several of them.",
				)
			}
			user, err := a.auth.ChangeUser(
				ctx,
				in.Name,
				auth.UserChange{
					Role:       b.Role,
					Tags:       b.Tags,
					Disabled:   b.Disabled,
					Password:   b.Password,
					RemoveTOTP: b.RemoveTOTP,
				},
			)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return &userResponse{userView(user)}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "delete-user",
			Method:        http.MethodDelete,
			Path:          "/api/v1/users/{name}",
			Tags:          tags,
			DefaultStatus: http.StatusNoContent,
			Summary:       "Remove a person; their sessions end at once",
		},
		func(ctx context.Context, in *UserPath) (*struct{}, error) {
			return nil, a.orFail(ctx, a.auth.DeleteUser(ctx, in.Name))
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-user-sessions",
			Method:      http.MethodGet,
			Path:        "/api/v1/users/{name}/sessions",
			Tags:        tags,
			Summary:     "A person's sessions",
		},
		func(ctx context.Context, in *UserPath) (*sessionList, error) {
			user, err := a.auth.User(ctx, in.Name)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return a.listSessions(ctx, user.ID)
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "end-user-session",
			Method:        http.MethodDelete,
			Path:          "/api/v1/users/{name}/sessions/{session_id}",
			Tags:          tags,
			DefaultStatus: http.StatusNoContent,
			Summary:       "End one of a person's sessions, at once",
		},
		func(ctx context.Context, in *struct {
			UserPath
			SessionPath
		}) (*struct{}, error) {
			user, err := a.auth.User(ctx, in.Name)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return nil, a.orFail(ctx, a.auth.EndSession(ctx, user, in.SessionID))
		},
	)
}
