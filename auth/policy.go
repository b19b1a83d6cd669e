package auth

import "slices"

// Permission is a kind of act, to which a token can be limited.
type Permission string

// The permissions.
const (
	Anyone         Permission = ""                // log-in, health: no credential is asked for
	Self           Permission = "self"            // one's own account and credential
	ReadMachines   Permission = "machines.read"   // machines, snapshots, processes, history, live view
	ChangeMachines Permission = "machines.change" // config, tags, registration, deletion
	WriteSnapshots Permission = "snapshots.write" // what agents send
	ReadConfig     Permission = "config.read"     // what an agent is told to do
	ReadMetrics    Permission = "metrics.read"    // the server's own metrics and the machines' newest values, for Prometheus
	ReadStorage    Permission = "storage.read"    // sizes and retention
	ChangeStorage  Permission = "storage.change"  // retention and budget
	Accounts       Permission = "accounts"        // users, tokens, enrolment keys
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
		Accounts,
		ReadAudit,
	}
}

// Scope is how far a permission goes.
type Scope string

// The extents, each with the machines that it reaches. Of what is not about machines,
// All says yes.
const (
	None    Scope = "none"
	Own     Scope = "own"     // the machine that an agent's token is bound to
	Granted Scope = "granted" // the machines that have a tag granted to the user
	All     Scope = "all"
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
		{"GET /healthz", Anyone, All, All, All},
		{"GET /readyz", Anyone, All, All, All},
		{"GET /api/v1/auth/methods", Anyone, All, All, All},
		{"POST /api/v1/auth/setup", Anyone, All, All, All},
		{"POST /api/v1/auth/login", Anyone, All, All, All},
		{"GET /api/v1/auth/oidc/login", Anyone, All, All, All},
		{"GET /api/v1/auth/oidc/callback", Anyone, All, All, All},
		{"POST /api/v1/enrol", Anyone, All, All, All}, // the key is in the body

		{"GET /api/v1/me", Self, All, All, All},
		{"POST /api/v1/auth/logout", Self, All, All, None},
		{"POST /api/v1/me/password", Self, All, All, None},
		{"POST /api/v1/me/totp", Self, All, All, None},
		{"POST /api/v1/me/totp/confirm", Self, All, All, None},
		{"POST /api/v1/me/totp/remove", Self, All, All, None},
		{"GET /api/v1/me/preferences", Self, All, All, None},
		{"PUT /api/v1/me/preferences", Self, All, All, None},
		{"GET /api/v1/me/sessions", Self, All, All, None},
		{"DELETE /api/v1/me/sessions/{session_id}", Self, All, All, None},
		{"GET /api/v1/openapi.json", Self, All, All, None},
		{"GET /api/v1/openapi.yaml", Self, All, All, None},
		{"GET /api/v1/openapi-3.0.json", Self, All, All, None},
		{"GET /api/v1/openapi-3.0.yaml", Self, All, All, None},

		{"GET /api/v1/machines", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/snapshots", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/at", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/diff", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/metrics", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/processes", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/processes/history", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/processes/trends", ReadMachines, All, Granted, None},
		{"GET /api/v1/trends", ReadMachines, All, Granted, None},
		{"GET /api/v1/machines/{machine_id}/export", ReadMachines, All, Granted, None},
		{"GET /api/v1/processes", ReadMachines, All, Granted, None},
		{"GET /api/v1/processes/top", ReadMachines, All, Granted, None},
		{"GET /api/v1/processes/history", ReadMachines, All, Granted, None},
		{"GET /api/v1/live", ReadMachines, All, Granted, None},
		{"LIVE subscribe", ReadMachines, All, Granted, None},
		{"LIVE unsubscribe", ReadMachines, All, Granted, None},

		{"POST /api/v1/snapshots", WriteSnapshots, All, None, Own},
		{"POST /api/v1/machines", WriteSnapshots, All, None, Own},
		{"GET /api/v1/machines/{machine_id}/config", ReadConfig, All, Granted, Own},
		{"POST /api/v1/machines/{machine_id}/token", Self, None, None, Own},

		{"PATCH /api/v1/machines/{machine_id}", ChangeMachines, All, None, None},
		{"DELETE /api/v1/machines/{machine_id}", ChangeMachines, All, None, None},

		{"GET /metrics", ReadMetrics, All, All, None},
		{"GET /metrics/machines", ReadMetrics, All, Granted, None},
		{"GET /api/v1/storage", ReadStorage, All, None, None},
		{"GET /api/v1/storage/retention", ReadStorage, All, None, None},
		{"PATCH /api/v1/storage/retention", ChangeStorage, All, None, None},

		{"GET /api/v1/users", Accounts, All, None, None},
		{"POST /api/v1/users", Accounts, All, None, None},
		{"PATCH /api/v1/users/{name}", Accounts, All, None, None},
		{"DELETE /api/v1/users/{name}", Accounts, All, None, None},
		{"GET /api/v1/users/{name}/sessions", Accounts, All, None, None},
		{"DELETE /api/v1/users/{name}/sessions/{session_id}", Accounts, All, None, None},
		{"GET /api/v1/tokens", Accounts, All, None, None},
		{"POST /api/v1/tokens", Accounts, All, None, None},
		{"DELETE /api/v1/tokens/{token_id}", Accounts, All, None, None},
		{"GET /api/v1/enrolment-keys", Accounts, All, None, None},
		{"POST /api/v1/enrolment-keys", Accounts, All, None, None},
		{"DELETE /api/v1/enrolment-keys/{key_id}", Accounts, All, None, None},
		{"GET /api/v1/audit", ReadAudit, All, None, None},
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
		return None
	case rule.Permission == Anyone:
		return All
	case who == nil:
		return None
	case who.Scopes != nil && rule.Permission != Self && !slices.Contains(who.Scopes, rule.Permission):
		return None
	}
	switch who.Role {
	case RoleAdmin:
		return rule.Admin
	case RoleUser:
		if rule.User == Granted && who.SeesAll() {
			return All
		}
		return rule.User
	case RoleAgent:
		return rule.Agent
	}
	return None
}

// Open reports whether an operation asks for no credential.
func (p Policy) Open(operation string) bool {
	rule, known := p[operation]
	return known && rule.Permission == Anyone
}
