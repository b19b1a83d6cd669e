// Package auth decides who gets in and what they may do: people who log in with a
// password or through an identity provider, programs and agents with tokens.
//
// Every credential is a random secret of which the database has a hash. The table of
// who may do what is in policy.go, and nowhere else.
package auth
