package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// findOrCreateUser returns the account of the person that claims describe. It creates the account at the first
// sign-in, and updates role and tags at each later one.
func (o *OIDC) findOrCreateUser(ctx context.Context, subject string, claims map[string]any) (*accounts.User, error) {
	role := o.roleOf(claims)
	if role == "" {
		o.service.record(ctx, "unknown", "login.failed", "user "+sanitize(usernameFrom(claims)),
			map[string]any{"by": "identity provider", "reason": "no role"})
		return nil, ErrNoRole
	}
	tags := o.tagsOf(claims)
	user, err := o.service.accounts.UserBySubject(ctx, o.cfg.Issuer, subject)
	if errors.Is(err, accounts.ErrNotFound) {
		return o.createUser(ctx, subject, claims, role, tags)
	}
	if err != nil {
		return nil, err
	}
	if user.Disabled {
		return nil, ErrLoginFailed
	}
	return o.updateUser(ctx, user, role, tags)
}

// updateUser sets the role and, unless tags is nil, the tags of a user.
func (o *OIDC) updateUser(
	ctx context.Context, user *accounts.User, role Role, tags *[]string,
) (*accounts.User, error) {
	newRole := string(role)
	if newRole != user.Role || tags != nil && !slices.Equal(*tags, user.Tags) {
		change := accounts.UserChange{Role: &newRole, Tags: tags}
		if err := o.service.accounts.ChangeUser(ctx, user.ID, change); err != nil {
			return nil, err
		}
		o.service.cache.purge()
		o.service.record(ctx, "identity provider", "user.changed", "user "+user.Name,
			map[string]any{"role": role, "tags": tags})
	}
	return o.service.accounts.UserByID(ctx, user.ID)
}

// createUser creates the account of a person. If the name is taken, a number is appended: an identity provider must
// not be able to take over another account.
func (o *OIDC) createUser(
	ctx context.Context, subject string, claims map[string]any, role Role, tags *[]string,
) (*accounts.User, error) {
	const maxSuffix = 50
	name := usernameFrom(claims)
	user := &accounts.User{
		Name:      name,
		Role:      string(role),
		Issuer:    &o.cfg.Issuer,
		Subject:   &subject,
		CreatedAt: o.service.cfg.Now(),
	}
	if tags != nil {
		user.Tags = *tags
	}
	for i := 2; ; i++ {
		err := o.service.accounts.CreateUser(ctx, user)
		if err == nil {
			break
		}
		if !errors.Is(err, accounts.ErrExists) || i > maxSuffix {
			return nil, err
		}
		found, findErr := o.service.accounts.UserBySubject(ctx, o.cfg.Issuer, subject)
		if findErr == nil {
			return found, nil // another server created the account at the same time
		}
		user.Name = fmt.Sprintf("%s-%d", name, i)
	}
	o.service.record(ctx, "identity provider", "user.added", "user "+user.Name,
		map[string]any{"role": role, "tags": user.Tags})
	return user, nil
}

// roleOf returns the role that claims assign, or "".
func (o *OIDC) roleOf(claims map[string]any) Role {
	values := claimStrings(claims[o.cfg.RoleClaim])
	hasOneOf := func(list []string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(list, v) })
	}
	switch {
	case hasOneOf(o.cfg.AdminValues):
		return RoleAdmin
	case hasOneOf(o.cfg.UserValues), slices.Contains(o.cfg.UserValues, "*"):
		return RoleUser
	}
	return ""
}

// tagsOf returns the valid tags that claims assign, at most MaxTags, or nil if claims do not assign tags.
func (o *OIDC) tagsOf(claims map[string]any) *[]string {
	if o.cfg.TagsClaim == "" {
		return nil
	}
	tags := []string{}
	for _, tag := range claimStrings(claims[o.cfg.TagsClaim]) {
		if tagPattern.MatchString(tag) || tag == AllMachines {
			tags = append(tags, tag)
		}
	}
	tags = sortedUnique(tags)
	tags = tags[:min(len(tags), MaxTags)]
	return &tags
}

// claimStrings returns the values of a claim that is a string or a list of strings.
func claimStrings(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, 0, len(v))
		for _, one := range v {
			if text, ok := one.(string); ok {
				list = append(list, text)
			}
		}
		return list
	case json.Number:
		return []string{v.String()}
	}
	return nil
}

var invalidNameCharacters = regexp.MustCompile(`[^A-Za-z0-9._@+-]+`)

// usernameFrom derives a valid user name from claims. It leaves room for a suffix that makes the name unique.
func usernameFrom(claims map[string]any) string {
	const maxLength = 56
	for _, claim := range []string{"preferred_username", "email", "sub"} {
		text, _ := claims[claim].(string)
		text = strings.Trim(invalidNameCharacters.ReplaceAllString(text, "-"), "._@+-")
		if len(text) > maxLength {
			text = text[:maxLength]
		}
		if namePattern.MatchString(text) {
			return text
		}
	}
	return "user"
}
