// Package auth authenticates people, programs and agents, and holds the table of their permissions.
//
// People sign in with a password or through an identity provider. Programs and agents send tokens.
// Every credential is a random secret, and the database stores only its hash. The table of permissions
// is in policy.go.
package auth
