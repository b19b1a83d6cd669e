// Package delivery brings snapshots to the server. The Queue keeps them until they are acknowledged, on disk where
// possible (package spool). The Sender posts them, applies the server's responses, and moves snapshots that the server
// refuses for good to the quarantine. The Credential is the agent's token.
package delivery
