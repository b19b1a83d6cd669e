//go:build !linux

package agent

// examineSight has nothing to say where permissions work otherwise.
func examineSight() Finding {
	return Finding{What: "permissions", OK: true, Detail: "what the agent's user may see is recorded"}
}
