package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// TokenView is a token, without its secret.
type TokenView struct {
	ID        int64          `json:"id"`
	Name      string         `json:"name"`
	Role      auth.Role      `json:"role" enum:"admin,user,agent"`
	MachineID *string        `json:"machine_id" doc:"Of an agent: the machine it is bound to"`
	Tags      []string       `json:"tags" nullable:"false" doc:"Which machines a user's token sees; * is all. Of an agent: the tags of its machine"`
	Scopes    []string       `json:"scopes" doc:"Permissions that it is limited to; null for all that its role has"`
	CreatedAt snapshot.Time  `json:"created_at" format:"date-time"`
	CreatedBy string         `json:"created_by"`
	ExpiresAt *snapshot.Time `json:"expires_at" format:"date-time"`
	LastUsed  *snapshot.Time `json:"last_used" format:"date-time" doc:"To the minute"`
}

func tokenView(t *accounts.Token) TokenView {
	return TokenView{
		ID:        t.ID,
		Name:      t.Name,
		Role:      auth.Role(t.Role),
		MachineID: t.MachineID,
		Tags:      t.Tags,
		Scopes:    t.Scopes,
		CreatedAt: snapshot.TimeOf(t.CreatedAt),
		CreatedBy: t.CreatedBy,
		ExpiresAt: timeOrNil(t.ExpiresAt),
		LastUsed:  timeOrNil(t.LastUsed),
	}
}

// SecretTokenView is a token with its secret, which is told once.
type TokenWithSecretView struct {
	TokenView
	Token string `json:"token" doc:"The secret: it is told this once"`
}

type newToken struct {
	Name      string    `json:"name" minLength:"1" maxLength:"64" doc:"What it is for"`
	Role      auth.Role `json:"role" enum:"admin,user,agent"`
	MachineID string    `json:"machine_id,omitempty" maxLength:"128" pattern:"^[A-Za-z0-9._:-]*$" doc:"Of an agent: the machine it is bound to"`
	Tags      []string  `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Which machines a user's token sees; * is all"`
	Scopes    []string  `json:"scopes,omitempty" nullable:"false" minItems:"1" maxItems:"20" enum:"machines.read,machines.change,snapshots.write,config.read,metrics.read,storage.read,storage.change,accounts,audit.read" doc:"Limit it to these permissions of its role"`
	ExpiresAt string    `json:"expires_at,omitempty" format:"date-time" doc:"When it ends by itself; absent: never"`
}

type tokenListInput struct {
	MachineID string `query:"machine_id" maxLength:"128" doc:"Of this machine alone"`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor    string `query:"cursor" maxLength:"2000"`
}

type tokenList struct {
	Body struct {
		Results    []TokenView `json:"results" nullable:"false"`
		NextCursor *string     `json:"next_cursor"`
	}
}

func (a *API) registerTokens() {
	tags := []string{"accounts"}
	huma.Register(
		a.huma,
		huma.Operation{OperationID: "list-tokens", Method: http.MethodGet, Path: "/api/v1/tokens", Tags: tags,
			Summary: "Tokens of programs and agents, the oldest first"},
		a.listTokens,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "add-token",
			Method:        http.MethodPost,
			Path:          "/api/v1/tokens",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusCreated,
			Summary:       "Make a token; its secret is told this once",
		},
		func(ctx context.Context, in *struct{ Body newToken }) (*struct{ Body TokenWithSecretView }, error) {
			until, err := parseExpiry("expires_at", in.Body.ExpiresAt)
			if err != nil {
				return nil, err
			}
			wanted := auth.TokenParams{
				Name:      in.Body.Name,
				Role:      in.Body.Role,
				MachineID: in.Body.MachineID,
				Tags:      in.Body.Tags,
				ExpiresAt: until,
			}
			for _, scope := range in.Body.Scopes {
				wanted.Permissions = append(wanted.Permissions, auth.Permission(scope))
			}
			secret, token, err := a.auth.CreateToken(ctx, wanted)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			if token.Tags == nil {
				token.Tags = []string{}
			}
			return &struct{ Body TokenWithSecretView }{TokenWithSecretView{tokenView(token), secret}}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "revoke-token",
			Method:        http.MethodDelete,
			Path:          "/api/v1/tokens/{token_id}",
			Tags:          tags,
			DefaultStatus: http.StatusNoContent,
			Summary:       "End a token, at once",
		},
		func(ctx context.Context, in *struct {
			TokenID int64 `path:"token_id" minimum:"1"`
		}) (*struct{}, error) {
			return nil, a.orFail(ctx, a.auth.RevokeToken(ctx, in.TokenID))
		},
	)
}

func (a *API) listTokens(ctx context.Context, in *tokenListInput) (*tokenList, error) {
	filter := accounts.TokenFilter{MachineID: in.MachineID, Limit: in.Limit + 1}
	if err := decodeIDCursor(in.Cursor, "tokens", &filter.AfterID); err != nil {
		return nil, err
	}
	tokens, err := a.auth.Tokens(ctx, filter)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &tokenList{}
	out.Body.Results = make([]TokenView, 0, len(tokens))
	for i := range tokens {
		if i == in.Limit {
			out.Body.NextCursor = encodeIDCursor("tokens", tokens[i-1].ID)
			break
		}
		out.Body.Results = append(out.Body.Results, tokenView(&tokens[i]))
	}
	return out, nil
}

// after reads the id that a page goes on after; 0 for the first page.
func decodeIDCursor(cursor, list string, id *int64) error {
	if cursor == "" {
		return nil
	}
	var text string
	if err := decodeCursor(cursor, list, &text); err != nil {
		return err
	}
	var err error
	if *id, err = strconv.ParseInt(text, 10, 64); err != nil {
		return invalid("cursor", "is not a next_cursor of this list")
	}
	return nil
}

func encodeIDCursor(list string, id int64) *string {
	cursor := encodeCursor(list, strconv.FormatInt(id, 10))
	return &cursor
}
