package api

import (
	"context"
	"net/http"

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
	MachineID *string        `json:"machine_id" doc:"Machine that an agent's token is bound to"`
	Tags      []string       `json:"tags" nullable:"false" doc:"Role user: tags of the machines it may read; * for all. Role agent: tags of its machine"`
	Scopes    []string       `json:"scopes" nullable:"false" doc:"Scopes that restrict the token; none for everything its role may do"`
	CreatedAt snapshot.Time  `json:"created_at" format:"date-time"`
	CreatedBy string         `json:"created_by"`
	ExpiresAt *snapshot.Time `json:"expires_at" format:"date-time" doc:"null if the token does not expire"`
	LastUsed  *snapshot.Time `json:"last_used" format:"date-time" doc:"Last use, to the minute"`
}

func tokenView(t *accounts.Token) TokenView {
	return TokenView{
		ID:        t.ID,
		Name:      t.Name,
		Role:      auth.Role(t.Role),
		MachineID: t.MachineID,
		Tags:      notNil(t.Tags),
		Scopes:    notNil(t.Scopes),
		CreatedAt: snapshot.TimeOf(t.CreatedAt),
		CreatedBy: t.CreatedBy,
		ExpiresAt: optionalTime(t.ExpiresAt),
		LastUsed:  optionalTime(t.LastUsed),
	}
}

// TokenWithSecretView is a new token with its secret.
type TokenWithSecretView struct {
	TokenView
	Token string `json:"token" doc:"The secret. It is shown only in this response"`
}

// TokenList is a page of tokens.
type TokenList struct {
	Results    []TokenView `json:"results" nullable:"false" doc:"Tokens, oldest first"`
	NextCursor *string     `json:"next_cursor" doc:"Cursor of the next page; null on the last page"`
}

type newToken struct {
	Name      string            `json:"name" minLength:"1" maxLength:"64" doc:"What the token is for"`
	Role      auth.Role         `json:"role" enum:"admin,user,agent"`
	MachineID string            `json:"machine_id,omitempty" maxLength:"128" pattern:"^([.]{0,2}[A-Za-z0-9_:-][A-Za-z0-9._:-]*|[.]{3}[A-Za-z0-9._:-]*)?$" patternDescription:"made of A-Z a-z 0-9 . _ : -, and not . or .." doc:"Role agent: machine to bind the token to"`
	Tags      []string          `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Role user: tags of the machines it may read; * for all"`
	Scopes    []auth.Permission `json:"scopes,omitempty" nullable:"false" minItems:"1" maxItems:"20" enum:"machines.read,machines.change,snapshots.write,config.read,metrics.read,storage.read,storage.change,accounts,audit.read" doc:"Restrict the token to these scopes. Default: everything its role may do"`
	ExpiresAt timeText          `json:"expires_at,omitempty" doc:"When the token expires. Default: never"`
}

type tokenListInput struct {
	MachineID string `query:"machine_id" maxLength:"128" doc:"Only tokens of this machine's agent"`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of tokens on a page"`
	Cursor    string `query:"cursor" maxLength:"2000" doc:"next_cursor of the previous page"`
}

func (a *API) registerTokens() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/tokens", "list-tokens", tagAccounts,
		"List the tokens of programs and agents"), a.listTokens)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/tokens", "add-token", tagAccounts,
		"Create a token", status(http.StatusCreated),
		description("A restricted token cannot create one with more rights than it has.")), a.createToken)
	huma.Register(a.huma, operation(http.MethodDelete, "/api/v1/tokens/{token_id}", "revoke-token", tagAccounts,
		"Revoke a token", status(http.StatusNoContent),
		description("The token is invalid at once.")), a.revokeToken)
}

func (a *API) createToken(ctx context.Context, in *struct{ Body newToken }) (*response[TokenWithSecretView], error) {
	expiresAt, err := parseOptionalTime("expires_at", in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	secret, token, err := a.auth.CreateToken(ctx, auth.TokenParams{
		Name:        in.Body.Name,
		Role:        in.Body.Role,
		MachineID:   in.Body.MachineID,
		Tags:        in.Body.Tags,
		Permissions: in.Body.Scopes,
		ExpiresAt:   expiresAt,
	})
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[TokenWithSecretView]{TokenWithSecretView{tokenView(token), secret}}, nil
}

func (a *API) revokeToken(ctx context.Context, in *struct {
	TokenID int64 `path:"token_id" minimum:"1"`
}) (*struct{}, error) {
	return nil, a.problemOf(ctx, a.auth.RevokeToken(ctx, in.TokenID))
}

func (a *API) listTokens(ctx context.Context, in *tokenListInput) (*response[TokenList], error) {
	filter := accounts.TokenFilter{MachineID: in.MachineID, Limit: in.Limit + 1}
	if in.Cursor != "" {
		if err := decodeInts(in.Cursor, "tokens", &filter.AfterID); err != nil {
			return nil, err
		}
	}
	tokens, err := a.auth.Tokens(ctx, filter)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	tokens, next := pageByID("tokens", tokens, in.Limit, func(t *accounts.Token) int64 { return t.ID })
	return &response[TokenList]{TokenList{Results: views(tokens, tokenView), NextCursor: next}}, nil
}
