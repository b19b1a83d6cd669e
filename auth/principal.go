package auth

import (
	"context"
	"slices"
	"time"
)

// Role is the role of a user or a token. It determines the permissions, see Rules.
type Role string

// The roles. An admin may do everything. A user reads the machines that have one of the user's tags. An agent writes
// the snapshots of its own machine.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
	RoleAgent Role = "agent"
)

// AllMachines is the tag that grants access to every machine, tagged or not.
const AllMachines = "*"

// Principal is the authenticated caller of a request: a user with a session, or the bearer of a token.
type Principal struct {
	Role Role
	// Name is the actor in the audit log.
	Name string
	// UserID is 0 for tokens. Of SessionID and TokenID, the one that does not apply is 0.
	UserID, SessionID, TokenID int64
	// MachineID is the machine that an agent's token is bound to.
	MachineID string
	// Tags are the tags of the machines that a user may read.
	Tags []string
	// Permissions restrict a token; nil means all permissions of its role. The API and the database call them scopes.
	Permissions []Permission
	// ExpiresAt is when the credential expires; zero means never.
	ExpiresAt time.Time

	credential credential
}

// credential identifies a session or a token in the database.
type credential struct {
	kind SecretKind
	hash []byte
}

// CanReadAllMachines reports whether the principal may read every machine.
func (p *Principal) CanReadAllMachines() bool {
	return p.Role == RoleAdmin || p.Role == RoleUser && slices.Contains(p.Tags, AllMachines)
}

// validAt reports whether the credential has not expired at a time.
func (p *Principal) validAt(t time.Time) bool {
	return p.ExpiresAt.IsZero() || t.Before(p.ExpiresAt)
}

// Client describes where a request comes from.
type Client struct {
	Address   string // IP address without the port
	UserAgent string
	RequestID string
}

type (
	principalKey struct{}
	clientKey    struct{}
)

// WithPrincipal returns a context with the caller of a request.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns the caller of the request, or nil if the request is not authenticated.
func PrincipalOf(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

// WithClient returns a context with the client of a request.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns the client of the request, or the zero Client outside of a request.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
