package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// KeyView is an enrolment key, without its secret.
type EnrolmentKeyView struct {
	ID        int64          `json:"id"`
	Name      string         `json:"name"`
	Tags      []string       `json:"tags" nullable:"false" doc:"Of the machines that enrol with it"`
	UsesLeft  *int           `json:"uses_left" doc:"null for no limit"`
	TakesOver bool           `json:"takes_over" doc:"May give a new token to a machine that has one, whose old one ends"`
	CreatedAt snapshot.Time  `json:"created_at" format:"date-time"`
	CreatedBy string         `json:"created_by"`
	ExpiresAt *snapshot.Time `json:"expires_at" format:"date-time"`
}

func enrolmentKeyView(k *accounts.Key) EnrolmentKeyView {
	view := EnrolmentKeyView{
		ID:        k.ID,
		Name:      k.Name,
		Tags:      k.Tags,
		UsesLeft:  k.UsesLeft,
		TakesOver: k.TakesOver,
		CreatedAt: snapshot.TimeOf(k.CreatedAt),
		CreatedBy: k.CreatedBy,
		ExpiresAt: timeOrNil(k.ExpiresAt),
	}
	if view.Tags == nil {
		view.Tags = []string{}
	}
	return view
}

type newEnrolmentKey struct {
	Name      string   `json:"name" minLength:"1" maxLength:"64" doc:"What it is for"`
	Tags      []string `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Of the machines that enrol with it"`
	Uses      *int     `json:"uses,omitempty" minimum:"1" maximum:"100000" doc:"How many machines may enrol with it; absent: no limit"`
	TakesOver bool     `json:"takes_over,omitempty" doc:"May give a new token to a machine that has one, for machines that are installed anew"`
	ExpiresAt string   `json:"expires_at,omitempty" format:"date-time" doc:"When it ends by itself; absent: never"`
}

type enrolmentKeyWithSecret struct {
	Body struct {
		EnrolmentKeyView
		Key string `json:"key" doc:"The secret: it is told this once"`
	}
}

type enrolmentKeyList struct {
	Body struct {
		Results []EnrolmentKeyView `json:"results" nullable:"false"`
	}
}

// TokenAnswer is an agent's new token.
type AgentTokenView struct {
	MachineID string `json:"machine_id"`
	Token     string `json:"token" doc:"The secret: it is told this once"`
}

func (a *API) registerEnrolment() {
	tags := []string{"enrolment"}
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "enrol",
			Method:        http.MethodPost,
			Path:          "/api/v1/enrol",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusCreated,
			Summary:       "Turn a use of an enrolment key into a token that is bound to one machine",
		},
		func(ctx context.Context, in *struct {
			Body struct {
				_         struct{} `json:"-" additionalProperties:"true"`
				Key       string   `json:"key" minLength:"1" maxLength:"256"`
				MachineID string   `json:"machine_id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$"`
			}
		}) (*struct{ Body AgentTokenView }, error) {
			secret, err := a.auth.Enrol(ctx, in.Body.Key, in.Body.MachineID)
			if err != nil {
				return nil, a.orFail(ctx, err)
			}
			a.logger.Info(
				"machine enrolled", "request_id", auth.ClientOf(ctx).RequestID, "machine_id", in.Body.MachineID,
			)
			return &struct{ Body AgentTokenView }{AgentTokenView{in.Body.MachineID, secret}}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "rotate-machine-token",
			Method:        http.MethodPost,
			Path:          "/api/v1/machines/{machine_id}/token",
			Tags:          tags,
			DefaultStatus: http.StatusCreated,
			Summary:       "Give an agent a new token",
			Description:   "The token that asks counts until the new one is first used, so that none is lost on the way.",
		},
		func(ctx context.Context, in *MachinePath) (*struct{ Body AgentTokenView }, error) {
			secret, err := a.auth.RotateToken(ctx, auth.PrincipalOf(ctx))
			if err != nil {
				return nil, a.orFail(ctx, err)
			}
			return &struct{ Body AgentTokenView }{AgentTokenView{in.MachineID, secret}}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "list-enrolment-keys",
			Method:      http.MethodGet,
			Path:        "/api/v1/enrolment-keys",
			Tags:        tags,
			Summary:     "The enrolment keys that count",
		},
		func(ctx context.Context, _ *struct{}) (*enrolmentKeyList, error) {
			keys, err := a.auth.EnrolmentKeys(ctx)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			out := &enrolmentKeyList{}
			out.Body.Results = make([]EnrolmentKeyView, len(keys))
			for i := range keys {
				out.Body.Results[i] = enrolmentKeyView(&keys[i])
			}
			return out, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "add-enrolment-key",
			Method:        http.MethodPost,
			Path:          "/api/v1/enrolment-keys",
			Tags:          tags,
			MaxBodyBytes:  maxSmallBody,
			DefaultStatus: http.StatusCreated,
			Summary:       "Make an enrolment key; its secret is told this once",
		},
		func(ctx context.Context, in *struct{ Body newEnrolmentKey }) (*enrolmentKeyWithSecret, error) {
			until, err := parseExpiry("expires_at", in.Body.ExpiresAt)
			if err != nil {
				return nil, err
			}
			secret, key, err := a.auth.CreateEnrolmentKey(
				ctx,
				auth.EnrolmentKeyParams{
					Name:      in.Body.Name,
					Tags:      in.Body.Tags,
					Uses:      in.Body.Uses,
					TakesOver: in.Body.TakesOver,
					ExpiresAt: until,
				},
			)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			out := &enrolmentKeyWithSecret{}
			out.Body.EnrolmentKeyView, out.Body.Key = enrolmentKeyView(key), secret
			return out, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "revoke-enrolment-key",
			Method:        http.MethodDelete,
			Path:          "/api/v1/enrolment-keys/{key_id}",
			Tags:          tags,
			DefaultStatus: http.StatusNoContent,
			Summary:       "End an enrolment key; tokens that were got with it stay",
		},
		func(ctx context.Context, in *struct {
			KeyID int64 `path:"key_id" minimum:"1"`
		}) (*struct{}, error) {
			return nil, a.orFail(ctx, a.auth.RevokeEnrolmentKey(ctx, in.KeyID))
		},
	)
}
