package auth

import "slices"

// Permission is a kind of operation. A token can be restricted to some permissions.
type Permission string

// The permissions.
const (
	Public         Permission = ""                // health and sign-in, without a credential
	Self           Permission = "self"            // the caller's own account and credential
	ReadMachines   Permission = "machines.read"   // machines, snapshots, processes, history, live view
	ChangeMachines Permission = "machines.change" // configuration, tags and deletion of machines
	WriteSnapshots Permission = "snapshots.write" // registration and snapshots from agents
	ReadConfig     Permission = "config.read"     // configuration of an agent
	ReadMetrics    Permission = "metrics.read"    // Prometheus metrics of the server and of machines
	ReadStorage    Permission = "storage.read"    // database size and retention
	ChangeStorage  Permission = "storage.change"  // retention and disk budget
	ManageAccounts Permission = "accounts"        // users, tokens and enrolment keys
	ReadAudit      Permission = "audit.read"      // the audit log
)

// Permissions returns the permissions that a token can be restricted to.
func Permissions() []Permission {
	return []Permission{
		ReadMachines,
		ChangeMachines,
		WriteSnapshots,
		ReadConfig,
		ReadMetrics,
		ReadStorage,
		ChangeStorage,
		ManageAccounts,
		ReadAudit,
	}
}

// Scope is the set of machines that a role may use an operation on. For an operation that does not concern machines,
// ScopeAll means that it is allowed. The scopes of a token in the API are Permissions, not Scopes.
type Scope string

// The scopes.
const (
	ScopeNone    Scope = "none"
	ScopeOwn     Scope = "own"     // the machine that an agent's token is bound to
	ScopeGranted Scope = "granted" // the machines that have one of the user's tags
	ScopeAll     Scope = "all"
)

// Rule defines the scope of each role for one operation.
type Rule struct {
	// Operation is a method and a path as in the OpenAPI document, or LIVE and an action of the live view.
	Operation  string
	Permission Permission
	Admin      Scope
	User       Scope
	Agent      Scope
}

// Rules returns the rules of all operations. An operation without a rule is refused.
func Rules() []Rule {
	return []Rule{
		{"GET /healthz", Public, ScopeAll, ScopeAll, ScopeAll},
		{"GET /readyz", Public, ScopeAll, ScopeAll, ScopeAll},
		{"GET /api/v1/auth/methods", Public, ScopeAll, ScopeAll, ScopeAll},
		{"POST /api/v1/auth/setup", Public, ScopeAll, ScopeAll, ScopeAll},
		{"POST /api/v1/auth/login", Public, ScopeAll, ScopeAll, ScopeAll},
		{"GET /api/v1/auth/oidc/login", Public, ScopeAll, ScopeAll, ScopeAll},
		{"GET /api/v1/auth/oidc/callback", Public, ScopeAll, ScopeAll, ScopeAll},
		{"POST /api/v1/enrol", Public, ScopeAll, ScopeAll, ScopeAll}, // the key is in the body

		{"GET /api/v1/me", Self, ScopeAll, ScopeAll, ScopeAll},
		{"POST /api/v1/auth/logout", Self, ScopeAll, ScopeAll, ScopeNone},
		{"POST /api/v1/me/password", Self, ScopeAll, ScopeAll, ScopeNone},
		{"POST /api/v1/me/totp", Self, ScopeAll, ScopeAll, ScopeNone},
		{"POST /api/v1/me/totp/confirm", Self, ScopeAll, ScopeAll, ScopeNone},
		{"POST /api/v1/me/totp/remove", Self, ScopeAll, ScopeAll, ScopeNone},
		{"GET /api/v1/me/preferences", Self, ScopeAll, ScopeAll, ScopeNone},
		{"PUT /api/v1/me/preferences", Self, ScopeAll, ScopeAll, ScopeNone},
		{"GET /api/v1/me/sessions", Self, ScopeAll, ScopeAll, ScopeNone},
		{"DELETE /api/v1/me/sessions/{session_id}", Self, ScopeAll, ScopeAll, ScopeNone},
		{"GET /api/v1/openapi.json", Self, ScopeAll, ScopeAll, ScopeNone},
		{"GET /api/v1/openapi.yaml", Self, ScopeAll, ScopeAll, ScopeNone},
		{"GET /api/v1/openapi-3.0.json", Self, ScopeAll, ScopeAll, ScopeNone},
		{"GET /api/v1/openapi-3.0.yaml", Self, ScopeAll, ScopeAll, ScopeNone},

		{"GET /api/v1/machines", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/snapshots", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/at", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/diff", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/metrics", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/processes", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/processes/history", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/processes/trends", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/trends", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/machines/{machine_id}/export", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/processes", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/processes/nearest", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/processes/top", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/processes/history", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/live", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"LIVE subscribe", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},
		{"LIVE unsubscribe", ReadMachines, ScopeAll, ScopeGranted, ScopeNone},

		{"POST /api/v1/snapshots", WriteSnapshots, ScopeAll, ScopeNone, ScopeOwn},
		{"POST /api/v1/machines", WriteSnapshots, ScopeAll, ScopeNone, ScopeOwn},
		{"GET /api/v1/machines/{machine_id}/config", ReadConfig, ScopeAll, ScopeGranted, ScopeOwn},
		{"POST /api/v1/machines/{machine_id}/token", Self, ScopeNone, ScopeNone, ScopeOwn},

		{"PATCH /api/v1/machines/{machine_id}", ChangeMachines, ScopeAll, ScopeNone, ScopeNone},
		{"DELETE /api/v1/machines/{machine_id}", ChangeMachines, ScopeAll, ScopeNone, ScopeNone},

		{"GET /metrics", ReadMetrics, ScopeAll, ScopeAll, ScopeNone},
		{"GET /metrics/machines", ReadMetrics, ScopeAll, ScopeGranted, ScopeNone},
		{"GET /api/v1/storage", ReadStorage, ScopeAll, ScopeNone, ScopeNone},
		{"GET /api/v1/storage/retention", ReadStorage, ScopeAll, ScopeNone, ScopeNone},
		{"PATCH /api/v1/storage/retention", ChangeStorage, ScopeAll, ScopeNone, ScopeNone},

		{"GET /api/v1/users", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"POST /api/v1/users", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"PATCH /api/v1/users/{name}", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"DELETE /api/v1/users/{name}", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"GET /api/v1/users/{name}/sessions", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"DELETE /api/v1/users/{name}/sessions/{session_id}", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"GET /api/v1/tokens", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"POST /api/v1/tokens", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"DELETE /api/v1/tokens/{token_id}", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"GET /api/v1/enrolment-keys", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"POST /api/v1/enrolment-keys", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"DELETE /api/v1/enrolment-keys/{key_id}", ManageAccounts, ScopeAll, ScopeNone, ScopeNone},
		{"GET /api/v1/audit", ReadAudit, ScopeAll, ScopeNone, ScopeNone},
	}
}

// Policy is a set of rules, by operation.
type Policy map[string]Rule

// NewPolicy returns a Policy of rules.
func NewPolicy(rules []Rule) Policy {
	p := make(Policy, len(rules))
	for _, rule := range rules {
		p[rule.Operation] = rule
	}
	return p
}

// Scope returns the scope of a caller for an operation. A nil principal is a caller without a credential.
// Scope returns ScopeNone for an operation without a rule.
func (p Policy) Scope(operation string, principal *Principal) Scope {
	rule, found := p[operation]
	switch {
	case !found:
		return ScopeNone
	case rule.Permission == Public:
		return ScopeAll
	case principal == nil:
		return ScopeNone
	case !principal.hasPermission(rule.Permission):
		return ScopeNone
	}
	switch principal.Role {
	case RoleAdmin:
		return rule.Admin
	case RoleUser:
		if rule.User == ScopeGranted && principal.CanReadAllMachines() {
			return ScopeAll
		}
		return rule.User
	case RoleAgent:
		return rule.Agent
	}
	return ScopeNone
}

// hasPermission reports whether the token's restriction, if it has one, includes a permission. Every token may access
// its own account.
func (p *Principal) hasPermission(permission Permission) bool {
	return p.Permissions == nil || permission == Self || slices.Contains(p.Permissions, permission)
}

// IsPublic reports whether an operation requires no credential.
func (p Policy) IsPublic(operation string) bool {
	rule, found := p[operation]
	return found && rule.Permission == Public
}
