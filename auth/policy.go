package auth

import "slices"

// Permission is a kind of act, to which a token can be limited.
type Permission string

// The permissions.
const (
	Public         Permission = ""                // log-in, health: no credential is asked for
	Self           Permission = "self"            // one's own account and credential
	ReadMachines   Permission = "machines.read"   // machines, snapshots, processes, history, live view
	ChangeMachines Permission = "machines.change" // config, tags, registration, deletion
	WriteSnapshots Permission = "snapshots.write" // what agents send
	ReadConfig     Permission = "config.read"     // what an agent is told to do
	ReadMetrics    Permission = "metrics.read"    // the server's own metrics and the machines' newest values, for Prometheus
	ReadStorage    Permission = "storage.read"    // sizes and retention
	ChangeStorage  Permission = "storage.change"  // retention and budget
	ManageAccounts Permission = "accounts"        // users, tokens, enrolment keys
	ReadAudit      Permission = "audit.read"      // the audit log
)

// Permissions lists those that a token can be limited to.
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

// Scope is how far a permission goes.
type Scope string

// The extents, each with the machines that it reaches. Of what is not about machines,
// All says yes.
const (
	ScopeNone    Scope = "none"
	ScopeOwn     Scope = "own"     // the machine that an agent's token is bound to
	ScopeGranted Scope = "granted" // the machines that have a tag granted to the user
	ScopeAll     Scope = "all"
)

// Rule says who may do one thing.
type Rule struct {
	// Operation is a method and a route as the OpenAPI document has it, or an action
	// of the live view after LIVE.
	Operation  string
	Permission Permission
	Admin      Scope
	User       Scope
	Agent      Scope
}

// Rules returns who may do what. What is not in this table is refused.
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

// Policy finds rules by operation.
type Policy map[string]Rule

// NewPolicy indexes rules.
func NewPolicy(rules []Rule) Policy {
	p := make(Policy, len(rules))
	for _, rule := range rules {
		p[rule.Operation] = rule
	}
	return p
}

// Scope tells how far somebody may do an operation: nil is a stranger. What has no
// rule nobody may do.
func (p Policy) Scope(operation string, who *Principal) Scope {
	rule, known := p[operation]
	switch {
	case !known:
		return ScopeNone
	case rule.Permission == Public:
		return ScopeAll
	case who == nil:
		return ScopeNone
	case who.Permissions != nil && rule.Permission != Self && !slices.Contains(who.Permissions, rule.Permission):
		return ScopeNone
	}
	switch who.Role {
	case RoleAdmin:
		return rule.Admin
	case RoleUser:
		if rule.User == ScopeGranted && who.CanReadAllMachines() {
			return ScopeAll
		}
		return rule.User
	case RoleAgent:
		return rule.Agent
	}
	return ScopeNone
}

// Open reports whether an operation asks for no credential.
func (p Policy) IsPublic(operation string) bool {
	rule, known := p[operation]
	return known && rule.Permission == Public
}
