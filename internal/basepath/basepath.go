// Package basepath handles the path below which a server is reachable, such as /snapwatch if a proxy serves other
// applications of the same host name.
package basepath

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// maxLength is the maximum length of a base path in bytes.
const maxLength = 200

// pattern permits only characters that no URL, cookie or HTML attribute has to escape.
var pattern = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// Parse returns a base path without a final slash. The root is "".
func Parse(text string) (string, error) {
	base := strings.TrimRight(text, "/")
	if base == "" && len(text) <= 1 {
		return "", nil
	}
	if len(base) > maxLength {
		return "", fmt.Errorf("a base path has at most %d characters", maxLength)
	}
	if !pattern.MatchString(base) || strings.Contains(base+"/", "/./") || strings.Contains(base+"/", "/../") {
		return "", fmt.Errorf("%q is not a base path; use one like /snapwatch, of letters, digits and -._~", text)
	}
	return base, nil
}

// Cut removes a base path from a path, and returns false if the path is not below it. The rest begins with a slash.
func Cut(path, base string) (rest string, below bool) {
	rest, found := strings.CutPrefix(path, base)
	if !found {
		return "", false
	}
	if rest == "" {
		return "/", true
	}
	return rest, rest[0] == '/'
}

type contextKey struct{}

// With returns a context that carries the base path by which a client addresses the server.
func With(ctx context.Context, base string) context.Context {
	return context.WithValue(ctx, contextKey{}, base)
}

// Of returns the base path that With stored, or "".
func Of(ctx context.Context) string {
	base, _ := ctx.Value(contextKey{}).(string)
	return base
}
