package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// EnrolmentKeyView is an enrolment key, without its secret.
type EnrolmentKeyView struct {
	ID        int64          `json:"id"`
	Name      string         `json:"name"`
	Tags      []string       `json:"tags" nullable:"false" doc:"Tags of the machines that enrol with the key"`
	UsesLeft  *int           `json:"uses_left" doc:"How many machines may still enrol; null for unlimited"`
	TakesOver bool           `json:"takes_over" doc:"Whether the key replaces the token of an enrolled machine"`
	CreatedAt snapshot.Time  `json:"created_at" format:"date-time"`
	CreatedBy string         `json:"created_by"`
	ExpiresAt *snapshot.Time `json:"expires_at" format:"date-time" doc:"null if the key does not expire"`
}

func enrolmentKeyView(k *accounts.Key) EnrolmentKeyView {
	return EnrolmentKeyView{
		ID:        k.ID,
		Name:      k.Name,
		Tags:      notNil(k.Tags),
		UsesLeft:  k.UsesLeft,
		TakesOver: k.TakesOver,
		CreatedAt: snapshot.TimeOf(k.CreatedAt),
		CreatedBy: k.CreatedBy,
		ExpiresAt: optionalTime(k.ExpiresAt),
	}
}

// EnrolmentKeyWithSecretView is a new enrolment key with its secret.
type EnrolmentKeyWithSecretView struct {
	EnrolmentKeyView
	Key string `json:"key" doc:"The secret. It is shown only in this response"`
}

// EnrolmentKeyList lists enrolment keys.
type EnrolmentKeyList struct {
	Results []EnrolmentKeyView `json:"results" nullable:"false"`
}

// AgentTokenView is a new token of an agent.
type AgentTokenView struct {
	MachineID string `json:"machine_id"`
	Token     string `json:"token" doc:"The secret. It is shown only in this response"`
}

type newEnrolmentKey struct {
	Name      string   `json:"name" minLength:"1" maxLength:"64" doc:"What the key is for"`
	Tags      []string `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Tags of the machines that enrol with the key"`
	Uses      *int     `json:"uses,omitempty" minimum:"1" maximum:"100000" doc:"How many machines may enrol with the key. Default: unlimited"`
	TakesOver bool     `json:"takes_over,omitempty" doc:"Whether the key replaces the token of an enrolled machine, to re-enrol reinstalled machines"`
	ExpiresAt timeText `json:"expires_at,omitempty" doc:"When the key expires. Default: never"`
}

type enrolInput struct {
	Body struct {
		_         struct{} `json:"-" additionalProperties:"true"`
		Key       string   `json:"key" minLength:"1" maxLength:"256" doc:"Enrolment key"`
		MachineID string   `json:"machine_id" minLength:"1" maxLength:"128" pattern:"^([.]{0,2}[A-Za-z0-9_:-][A-Za-z0-9._:-]*|[.]{3}[A-Za-z0-9._:-]*)$" patternDescription:"made of A-Z a-z 0-9 . _ : -, and not . or .."`
	}
}

func (a *API) registerEnrolment() {
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/enrol", "enrol", tagEnrolment,
		"Exchange an enrolment key for a token", status(http.StatusCreated),
		description("Uses up one use of the key. The token is bound to the machine.")), a.enrol)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/machines/{machine_id}/token", "rotate-machine-token",
		tagEnrolment, "Rotate an agent's token", status(http.StatusCreated),
		description("The current token stays valid until the new one is first used.")), a.rotateMachineToken)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/enrolment-keys", "list-enrolment-keys", tagEnrolment,
		"List active enrolment keys"), a.listEnrolmentKeys)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/enrolment-keys", "add-enrolment-key", tagEnrolment,
		"Create an enrolment key", status(http.StatusCreated),
		description("A restricted token needs the scopes snapshots.write and config.read too, and machines.change for "+
			"tags.")), a.createEnrolmentKey)
	huma.Register(a.huma, operation(http.MethodDelete, "/api/v1/enrolment-keys/{key_id}", "revoke-enrolment-key",
		tagEnrolment, "Revoke an enrolment key", status(http.StatusNoContent),
		description("Tokens that agents received for the key stay valid.")), a.revokeEnrolmentKey)
}

func (a *API) enrol(ctx context.Context, in *enrolInput) (*response[AgentTokenView], error) {
	secret, err := a.auth.Enrol(ctx, in.Body.Key, in.Body.MachineID)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	a.logger.Info("machine enrolled", "request_id", auth.ClientOf(ctx).RequestID, "machine_id", in.Body.MachineID)
	return &response[AgentTokenView]{AgentTokenView{in.Body.MachineID, secret}}, nil
}

func (a *API) rotateMachineToken(ctx context.Context, in *MachinePath) (*response[AgentTokenView], error) {
	secret, err := a.auth.RotateToken(ctx, auth.PrincipalOf(ctx))
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[AgentTokenView]{AgentTokenView{in.MachineID, secret}}, nil
}

func (a *API) listEnrolmentKeys(ctx context.Context, _ *struct{}) (*response[EnrolmentKeyList], error) {
	keys, err := a.auth.EnrolmentKeys(ctx)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[EnrolmentKeyList]{EnrolmentKeyList{views(keys, enrolmentKeyView)}}, nil
}

func (a *API) createEnrolmentKey(
	ctx context.Context, in *struct{ Body newEnrolmentKey },
) (*response[EnrolmentKeyWithSecretView], error) {
	expiresAt, err := parseOptionalTime("expires_at", in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	secret, key, err := a.auth.CreateEnrolmentKey(ctx, auth.EnrolmentKeyParams{
		Name:      in.Body.Name,
		Tags:      in.Body.Tags,
		Uses:      in.Body.Uses,
		TakesOver: in.Body.TakesOver,
		ExpiresAt: expiresAt,
	})
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &response[EnrolmentKeyWithSecretView]{EnrolmentKeyWithSecretView{enrolmentKeyView(key), secret}}, nil
}

func (a *API) revokeEnrolmentKey(ctx context.Context, in *struct {
	KeyID int64 `path:"key_id" minimum:"1"`
}) (*struct{}, error) {
	return nil, a.problemOf(ctx, a.auth.RevokeEnrolmentKey(ctx, in.KeyID))
}
