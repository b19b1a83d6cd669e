package auth

import (
	"context"
	"slices"
	"time"
)

// Role is what somebody is.
type Role string

// The roles. An admin may do everything; a user reads the machines granted to them;
// an agent writes its own machine's snapshots.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
	RoleAgent Role = "agent"
)

// AllMachines is the tag that grants every machine, tagged or not.
const AllMachines = "*"

// Principal is who makes a request: a person in a session, or the bearer of a token.
type Principal struct {
	Role Role
	// Name is what the audit log calls them.
	Name string
	// UserID is the person's, 0 for tokens. SessionID and TokenID name the credential;
	// one of them is 0.
	UserID, SessionID, TokenID int64
	// MachineID is an agent's own machine.
	MachineID string
	// Tags are those granted to a user.
	Tags []string
	// Scopes limits a token to some permissions; nil for all that its role has.
	Permissions []Permission
	// ExpiresAt is when the credential ends by itself; zero for never.
	ExpiresAt time.Time

	credential credential
}

// credential finds a session or a token in the database.
type credential struct {
	kind SecretKind
	hash []byte
}

// SeesAll reports whether every machine may be read.
func (p *Principal) CanReadAllMachines() bool {
	return p.Role == RoleAdmin || p.Role == RoleUser && slices.Contains(p.Tags, AllMachines)
}

// holdsAt reports whether the credential has not ended by itself by an instant.
func (p *Principal) validAt(now time.Time) bool {
	return p.ExpiresAt.IsZero() || now.Before(p.ExpiresAt)
}

// Client is where a request comes from.
type Client struct {
	Address   string // without the port
	UserAgent string
	RequestID string
}

type (
	principalKey struct{}
	clientKey    struct{}
)

// WithPrincipal puts who makes a request into its context.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who makes the request, nil for a stranger.
func PrincipalOf(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

// WithClient puts where a request comes from into its context.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns where the request comes from; empty outside one.
func ClientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	return c
}
