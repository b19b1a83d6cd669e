package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
)

// EffectiveSetting is a setting with the value that is in effect.
type EffectiveSetting struct {
	Name string `json:"name"`
	// Value is the value, or one of the placeholders "(not set)", "(set, secret)" and "(set, hidden)".
	Value   string `json:"value"`
	Default bool   `json:"default"`
}

// Effective returns the values of settings, without those of secrets. Names of machines, users and files are only
// included if names is true. The arguments are pointers to settings structs. The second result has the hidden values,
// so that a caller can remove them from other texts too.
func Effective(names bool, settings ...any) (all []EffectiveSetting, hidden Hidden, err error) {
	for _, group := range settings {
		flags, err := Flags(group)
		if err != nil {
			return nil, Hidden{}, err
		}
		for _, flag := range flags {
			s := EffectiveSetting{Name: flag.Envs[0], Value: textOf(flag.Target)}
			s.Default = s.Value == flag.Default || sameDuration(s.Value, flag.Default)
			kind := flag.Tag.Get("redact")
			switch {
			case s.Value == "":
				s.Value = "(not set)"
			case kind == "secret":
				hidden.Secrets = append(hidden.Secrets, s.Value)
				s.Value = "(set, secret)"
			case kind == "url":
				s.Value = hidden.addURL(s.Value, names)
			case (kind == "name" || kind == "hide") && !s.Default:
				if kind == "name" { // others are words that can be in any text
					hidden.Names = append(hidden.Names, strings.Split(s.Value, ",")...)
				}
				if !names {
					s.Value = "(set, hidden)"
				}
			}
			all = append(all, s)
		}
	}
	return all, hidden, nil
}

// Hidden has the values that Effective hides.
type Hidden struct {
	Secrets []string
	// Names are the names of machines, users and files.
	Names []string
}

// addURL adds the parts of a connection URL, and returns what may be shown of it.
func (h *Hidden) addURL(text string, names bool) string {
	address, err := url.Parse(text)
	if err != nil || address.Scheme == "" {
		h.Secrets = append(h.Secrets, text)
		return "(set, hidden)" // keywords and values, such as password=
	}
	if password, set := address.User.Password(); set {
		h.Secrets = append(h.Secrets, password, url.QueryEscape(password), url.PathEscape(password))
	}
	for name, values := range address.Query() {
		if strings.Contains(strings.ToLower(name), "password") || strings.HasPrefix(strings.ToLower(name), "ssl") {
			h.Secrets = append(h.Secrets, values...)
		}
	}
	h.Names = append(h.Names, address.Hostname(), address.User.Username(), strings.TrimPrefix(address.Path, "/"))
	if !names {
		return "(set, hidden)"
	}
	return (&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}).String()
}

// textOf returns a value in the form of its environment variable.
func textOf(value reflect.Value) string {
	if value.Kind() != reflect.Slice {
		text := fmt.Sprint(value.Interface())
		if value.Kind() == reflect.Bool && text == "false" {
			return ""
		}
		return text
	}
	parts := make([]string, value.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(value.Index(i).Interface())
	}
	return strings.Join(parts, ",")
}
