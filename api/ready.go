package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/snapwatch/snapwatch/internal/health"
	"github.com/snapwatch/snapwatch/internal/problem"
)

// ReadyView is the response of a server that is ready.
type ReadyView struct {
	Status        string      `json:"status" enum:"ready,degraded" doc:"degraded: a check gives a warning"`
	Profile       string      `json:"profile" doc:"Storage profile of the database"`
	ProfileReason string      `json:"profile_reason" doc:"Why the database has this profile"`
	Checks        []CheckView `json:"checks" nullable:"false"`
}

// CheckView is the result of a health check.
type CheckView struct {
	Name   string `json:"name" example:"database"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty" doc:"Why the check failed"`
}

// ready serves the readiness check. It answers at once with the last results of the health checks. A server is not
// ready if it cannot store snapshots or notices no changes. With warnings it is ready, because taking it out of service
// would not help.
func (a *API) ready(c *gin.Context) {
	results := a.healthResults(c.Request.Context())
	detected := a.store.Profile()
	view := ReadyView{Status: "ready", Profile: detected.Profile, ProfileReason: detected.Reason}
	var failures []problem.Detail
	for _, result := range results {
		view.Checks = append(view.Checks, CheckView{result.Name, result.Reason == "", result.Reason})
		switch {
		case result.Reason == "":
		case result.Severity == health.Failure:
			failures = append(failures, problem.Detail{Field: result.Name, Message: result.Reason})
		default:
			view.Status = "degraded"
		}
	}
	if len(failures) > 0 {
		notReady(failures).Write(c.Writer, c.Request)
		return
	}
	c.JSON(http.StatusOK, view)
}

// notReady returns the problem of a server that is not ready, with the reason of each check that fails.
func notReady(failures []problem.Detail) *problem.Problem {
	var text strings.Builder
	text.WriteString("The server is not ready.")
	for _, failure := range failures {
		text.WriteString(" " + failure.Field + ": " + strings.TrimSuffix(failure.Message, ".") + ".")
	}
	p := problem.New(http.StatusServiceUnavailable, "not_ready", text.String())
	p.Errors = failures
	return p
}

// healthResults returns the results of the health checks, or of a check of the database if there are none.
func (a *API) healthResults(ctx context.Context) []health.Result {
	if a.health != nil {
		return a.health()
	}
	result := health.Result{Name: "database", Severity: health.Failure}
	if err := a.store.Ping(ctx); err != nil {
		result.Reason = err.Error()
	}
	return []health.Result{result}
}
