package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// GrantError is returned if a caller tries to give away rights that its own credential does not have.
type GrantError struct {
	Field   string
	Problem string // continues a sentence that begins with the field's name
}

// Error returns the field and the problem.
func (e *GrantError) Error() string { return e.Field + ": " + e.Problem }

// grant is the rights that an operation gives to somebody: by a token, an enrolment key or an account.
type grant struct {
	principal Principal
	// tagsMachines is whether machines get tags, which lets other users read them.
	tagsMachines bool
	// scopesField is the field that errors about missing permissions name.
	scopesField string
	// expires is whether the grant can have an expiry. Users have none.
	expires   bool
	expiresAt *time.Time // nil for never
}

// checkGrant returns a *GrantError if a grant has rights that the caller does not have. So a restricted token cannot
// get more rights through other credentials: each operation that a grant allows, the caller's own credential must allow
// for the same machines. A grant must also expire no later than the caller's token. The expiry of a session does not
// count, because its user can sign in again. Commands in a shell have all rights.
func checkGrant(ctx context.Context, g grant) error {
	caller := PrincipalOf(ctx)
	if caller == nil {
		if ClientOf(ctx) == (Client{}) {
			return nil
		}
		return ErrInvalidCredential // a request without a credential grants nothing
	}
	if missing := missingPermissions(caller, &g.principal); len(missing) > 0 {
		return &GrantError{g.scopesField, fmt.Sprintf("must not exceed the rights of your own token, which lacks %s",
			strings.Join(missing, ", "))}
	}
	if g.tagsMachines && !caller.hasPermission(ChangeMachines) {
		return &GrantError{"tags", "must be empty: your own token lacks " + string(ChangeMachines) +
			", which is required to tag machines"}
	}
	return checkGrantExpiry(caller, g)
}

// checkGrantExpiry returns a *GrantError if a grant outlives the caller's token.
func checkGrantExpiry(caller *Principal, g grant) error {
	switch {
	case caller.TokenID == 0 || caller.ExpiresAt.IsZero():
		return nil
	case !g.expires:
		return &GrantError{g.scopesField, "must not be granted with a token that expires: an account does not expire"}
	case g.expiresAt == nil || g.expiresAt.After(caller.ExpiresAt):
		return &GrantError{"expires_at", "must be at most " + caller.ExpiresAt.UTC().Format(time.RFC3339) +
			", when your own token expires"}
	}
	return nil
}

// missingPermissions returns the permissions that a granted principal would have and the caller does not have, or has
// for fewer machines. Every credential may access its own account, so Self is not compared.
func missingPermissions(caller, granted *Principal) (missing []string) {
	rules := Rules()
	policy := NewPolicy(rules)
	for _, rule := range rules {
		name := string(rule.Permission)
		if rule.Permission == Public || rule.Permission == Self || slices.Contains(missing, name) {
			continue
		}
		has, gets := policy.Scope(rule.Operation, caller), policy.Scope(rule.Operation, granted)
		if !includesScope(caller, has, granted, gets) {
			missing = append(missing, name)
		}
	}
	return missing
}

// includesScope reports whether the caller's scope includes all machines of the granted scope.
func includesScope(caller *Principal, has Scope, granted *Principal, gets Scope) bool {
	switch {
	case gets == ScopeNone, has == ScopeAll:
		return true
	case has != gets:
		return false
	case gets == ScopeOwn:
		return caller.MachineID == granted.MachineID
	}
	return !slices.ContainsFunc(granted.Tags, func(tag string) bool { return !slices.Contains(caller.Tags, tag) })
}

// checkUserGrant returns a *GrantError if an account has rights that the caller does not have.
func checkUserGrant(ctx context.Context, role Role, tags []string) error {
	return checkGrant(ctx, grant{principal: Principal{Role: role, Tags: tags}, scopesField: "role"})
}

// checkChangeGrant returns a *GrantError unless the caller has the rights of the user both before and after a change.
// It always allows a change that only disables the user, because that gives no rights to anybody.
func checkChangeGrant(ctx context.Context, user *accounts.User, c UserChange) error {
	if c.Disabled != nil && *c.Disabled && c.Role == nil && c.Tags == nil && c.Password == nil && !c.RemoveTOTP {
		return nil
	}
	role, tags := Role(user.Role), user.Tags
	if err := checkUserGrant(ctx, role, tags); err != nil {
		return err
	}
	if c.Role != nil {
		role = *c.Role
	}
	if c.Tags != nil {
		tags = *c.Tags
	}
	return checkUserGrant(ctx, role, tags)
}
