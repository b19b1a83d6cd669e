package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/store/query"
)

// Access authorizes callers according to a policy. Ingest and the live view use it too.
type Access struct {
	policy  auth.Policy
	service *auth.Service
	queries *query.Queries
}

// NewAccess returns an Access for a policy. It uses the queries of store.Store.Permissions, so that it does not wait
// for reads of the history.
func NewAccess(policy auth.Policy, service *auth.Service, queries *query.Queries) *Access {
	return &Access{policy: policy, service: service, queries: queries}
}

type scopeKey struct{}

// scopeOf returns the caller's scope for the operation of the request.
func scopeOf(ctx context.Context) auth.Scope {
	scope, found := ctx.Value(scopeKey{}).(auth.Scope)
	if !found {
		return auth.ScopeNone
	}
	return scope
}

// viewOf returns the machines that the caller may read.
func viewOf(ctx context.Context) query.View {
	switch scopeOf(ctx) {
	case auth.ScopeAll:
		return query.AllMachines()
	case auth.ScopeGranted:
		return query.View{Tags: auth.PrincipalOf(ctx).Tags}
	}
	return query.View{}
}

// AuthorizeWrite returns nil if the caller may write the snapshots of a machine, and a problem otherwise.
func (*Access) AuthorizeWrite(ctx context.Context, machineID string) error {
	switch scopeOf(ctx) {
	case auth.ScopeAll:
		return nil
	case auth.ScopeOwn:
		return checkOwnMachine(auth.PrincipalOf(ctx), machineID)
	}
	return forbidden()
}

// checkOwnMachine returns nil if an agent's token is bound to a machine, and a problem otherwise.
func checkOwnMachine(agent *auth.Principal, machineID string) error {
	if agent.MachineID == machineID {
		return nil
	}
	return problem.New(http.StatusForbidden, "other_machine", "This token is bound to another machine.")
}

// authorizeMachine returns nil if the scope of the caller's permission includes a machine, and a problem otherwise.
// machineID is "" for operations that do not concern one machine.
func (a *Access) authorizeMachine(
	ctx context.Context, caller *auth.Principal, scope auth.Scope, machineID string,
) error {
	switch {
	case scope == auth.ScopeNone:
		return forbidden()
	case machineID == "" || scope == auth.ScopeAll:
		return nil
	case scope == auth.ScopeOwn:
		return checkOwnMachine(caller, machineID)
	}
	visible, err := a.queries.IsVisible(ctx, query.View{Tags: caller.Tags}, machineID)
	if err != nil {
		return err
	}
	if !visible { // the same response as for an unknown machine, so that callers cannot probe for IDs
		return noMachine()
	}
	return nil
}

// MayWatch reports whether the caller may currently use an action of the live view on a machine.
func (a *Access) MayWatch(ctx context.Context, action, machineID string) (bool, error) {
	caller, err := a.revalidate(ctx)
	if caller == nil {
		return false, err
	}
	switch a.policy.Scope("LIVE "+action, caller) {
	case auth.ScopeAll:
		return true, nil
	case auth.ScopeGranted:
		return a.queries.IsVisible(ctx, query.View{Tags: caller.Tags}, machineID)
	}
	return false, nil
}

// reauthorize returns nil if the caller may still use an operation on a machine.
func (a *Access) reauthorize(ctx context.Context, operation, machineID string) error {
	caller, err := a.revalidate(ctx)
	if caller == nil {
		return cmp.Or(err, auth.ErrInvalidCredential)
	}
	return a.authorizeMachine(ctx, caller, a.policy.Scope(operation, caller), machineID)
}

// CredentialValid reports whether the caller's credential is still valid.
func (a *Access) CredentialValid(ctx context.Context) (bool, error) {
	caller, err := a.revalidate(ctx)
	return caller != nil, err
}

// CredentialExpires returns when the caller's credential expires, zero if it does not.
func (*Access) CredentialExpires(ctx context.Context) time.Time {
	if caller := auth.PrincipalOf(ctx); caller != nil {
		return caller.ExpiresAt
	}
	return time.Time{}
}

// revalidate returns the caller with its current permissions, or nil if its credential is no longer valid.
func (a *Access) revalidate(ctx context.Context) (*auth.Principal, error) {
	caller := auth.PrincipalOf(ctx)
	if caller == nil {
		return nil, nil
	}
	caller, err := a.service.Revalidate(ctx, caller)
	if errors.Is(err, auth.ErrInvalidCredential) {
		return nil, nil
	}
	return caller, err
}

// CallerKey returns the key of the caller for limits per caller.
func (*Access) CallerKey(ctx context.Context) string { return callerKey(auth.PrincipalOf(ctx)) }

func callerKey(caller *auth.Principal) string {
	if caller == nil {
		return ""
	}
	if caller.UserID != 0 {
		return "user " + strconv.FormatInt(caller.UserID, 10)
	}
	return "token " + strconv.FormatInt(caller.TokenID, 10)
}
