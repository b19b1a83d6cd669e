package accounts_test

import (
	"reflect"
	"testing"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// A payload that is not understood means that anything may have changed.
func TestParseChange(t *testing.T) {
	t.Parallel()
	all := accounts.Change{All: true}
	for payload, want := range map[string]accounts.Change{
		"":                  all,
		"tokens 12":         {Tokens: []int64{12}},
		"tokens 12,13":      {Tokens: []int64{12, 13}},
		"agent_tokens 5":    {Tokens: []int64{5}, OnlyAgents: true},
		"sessions 1":        {Sessions: []int64{1}},
		"machines":          {},
		"machines 7":        all,
		"tokens":            all,
		"tokens ":           all,
		"tokens 1,":         all,
		"tokens 1,x":        all,
		"tokens 1 2":        all,
		"users 4":           all,
		"something else 12": all,
	} {
		if got := accounts.ParseChange(payload); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", payload, got, want)
		}
	}
}
