package accounts

import (
	"strconv"
	"strings"
)

// ChangeChannel is the NOTIFY channel for changes of who may do what. ParseChange decodes its payloads.
const ChangeChannel = "snapwatch_access"

// Change is what a notification about changed access says.
type Change struct {
	// All means that anything may have changed. The other fields are then zero.
	All bool
	// Tokens and Sessions are the ids of those that were deleted or changed.
	Tokens, Sessions []int64
	// OnlyAgents means that only tokens of agents have changed, which have no live views.
	OnlyAgents bool
}

// ParseChange decodes the payload of a notification. Of a payload that it does not understand, it returns a change of
// All: another version of the program may have sent it.
func ParseChange(payload string) Change {
	kind, list, _ := strings.Cut(payload, " ")
	if kind == "machines" && list == "" {
		return Change{}
	}
	var ids []int64
	for text := range strings.SplitSeq(list, ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Change{All: true}
		}
		ids = append(ids, id)
	}
	switch kind {
	case "tokens":
		return Change{Tokens: ids}
	case "agent_tokens":
		return Change{Tokens: ids, OnlyAgents: true}
	case "sessions":
		return Change{Sessions: ids}
	}
	return Change{All: true}
}
