package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// fieldName returns a place in the notation of problems, for example snapshots[0].processes[0].name.
func fieldName(place []any) string {
	var b strings.Builder
	for _, one := range place {
		if name, ok := one.(string); ok {
			b.WriteString("." + name)
		} else {
			fmt.Fprintf(&b, "[%d]", one)
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

// replaced returns a JSON object with another value in a place. value need not be JSON.
func replaced(body string, place []any, value string) string {
	const marker = "the hostile value"
	var root any
	if err := json.Unmarshal([]byte(body), &root); err != nil {
		panic(err)
	}
	text, err := json.Marshal(withValue(root, place, marker))
	if err != nil {
		panic(err)
	}
	return string(bytes.Replace(text, []byte(`"`+marker+`"`), []byte(value), 1))
}

func withValue(container any, place []any, value any) any {
	if len(place) == 0 {
		return value
	}
	if name, ok := place[0].(string); ok {
		object, _ := container.(map[string]any)
		if object == nil {
			object = map[string]any{}
		}
		object[name] = withValue(object[name], place[1:], value)
		return object
	}
	list, _ := container.([]any)
	if len(list) == 0 {
		list = []any{nil}
	}
	list[0] = withValue(list[0], place[1:], value)
	return list
}
