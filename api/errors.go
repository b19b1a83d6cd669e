package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/accounts"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
)

// statusClientClosedRequest is nginx's status for a client that closed the connection before the response.
const statusClientClosedRequest = 499

// problemOf converts an error into a problem. It returns nil for nil, and logs errors that are the server's fault.
func (a *API) problemOf(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	if limit, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return tooManyRequests(limit)
	}
	if p := knownProblem(err); p != nil {
		return p
	}
	if errors.Is(ctx.Err(), context.Canceled) { // then the query was cancelled, which has several errors
		return problem.New(statusClientClosedRequest, "client_gone", "The client closed the connection.")
	}
	if store.IsDiskFull(err) {
		a.logger.Error("the database has no space left", "request_id", problem.RequestID(ctx), "err", err)
		return problem.New(http.StatusInsufficientStorage, "disk_full", "The disk of the database is full.")
	}
	timedOut := errors.Is(err, context.DeadlineExceeded) || store.IsStatementTimeout(err)
	if store.IsUnavailable(err) || timedOut && a.isDatabaseAway() {
		a.logger.Warn("the database is not available", "request_id", problem.RequestID(ctx), "err", err)
		return problem.New(http.StatusServiceUnavailable, "database_unavailable",
			"The database is not available at the moment. Try again later.")
	}
	if timedOut && !hasTurn(ctx) {
		a.logger.Warn("the database did not answer in time", "request_id", problem.RequestID(ctx), "err", err)
		return problem.New(http.StatusServiceUnavailable, "database_unavailable",
			"The database did not answer in time. Try again later.")
	}
	if timedOut {
		a.logger.Warn("query timed out", "request_id", problem.RequestID(ctx), "err", err)
		return problem.New(http.StatusServiceUnavailable, "too_slow", "The query took longer than "+
			a.cfg.QueryTimeout.String()+". Use a shorter time window or fewer machines.")
	}
	if errors.Is(err, context.Canceled) {
		return problem.New(statusClientClosedRequest, "client_gone", "The client closed the connection.")
	}
	a.logger.Error("request failed", "request_id", problem.RequestID(ctx), "err", err)
	return problem.As(err)
}

// isDatabaseAway reports whether the health checks say that the database does not answer.
func (a *API) isDatabaseAway() bool {
	if a.health == nil {
		return false
	}
	for _, result := range a.health() {
		if result.Name == "database" && result.Reason != "" {
			return true
		}
	}
	return false
}

// knownErrors maps errors to problems.
var knownErrors = []struct {
	err          error
	status       int
	code, detail string
}{
	{auth.ErrInvalidCredential, http.StatusUnauthorized, "unauthenticated",
		"The session or token does not exist, has expired or was revoked. Sign in again, or use another token."},
	{auth.ErrLoginFailed, http.StatusUnauthorized, "login_failed", "The name, the password or the code is wrong."},
	{auth.ErrCodeRequired, http.StatusUnauthorized, "code_needed",
		"This account requires a one-time code. Send the request again with the code."},
	{auth.ErrInvalidSetupLink, http.StatusUnauthorized, "bad_setup_link",
		"The setup link is invalid or was used before. Restart the server to get a new link."},
	{auth.ErrInvalidEnrolmentKey, http.StatusUnauthorized, "bad_enrolment_key",
		"The enrolment key does not exist, has expired or has no uses left. Create a new key."},
	{auth.ErrExternalAccount, http.StatusConflict, "logs_in_elsewhere",
		"This account signs in through the identity provider. Change its password and one-time codes there."},
	{auth.ErrNoRole, http.StatusForbidden, "no_role", "The identity provider assigns you no role for snapwatch."},
	{auth.ErrBusy, http.StatusServiceUnavailable, "busy",
		"Too many people are signing in, or too many agents are enrolling. Try again."},
	{accounts.ErrNotFound, http.StatusNotFound, "not_found", "No object with this name or ID exists."},
	{accounts.ErrExists, http.StatusConflict, "name_taken", "This name is taken. Choose another name."},
	{accounts.ErrEnrolled, http.StatusConflict, "already_enrolled",
		"This machine has a token already. Revoke the token, or use a key with takes_over."},
	{accounts.ErrLastAdmin, http.StatusConflict, "last_admin",
		"This is the last administrator who can sign in. Add another administrator first."},
	{snapshot.ErrNoMachine, http.StatusNotFound, "unknown_machine", noMachineDetail},
	{snapshot.ErrNoSnapshot, http.StatusNotFound, "no_snapshot",
		"The machine has no snapshot at or before this time, or retention has deleted it."},
	{store.ErrVersionMismatch, http.StatusPreconditionFailed, "version_mismatch",
		"The machine's configuration has changed since you read it. Read it again."},
	{query.ErrNoProcess, http.StatusNotFound, "unknown_process", "This machine has no record of such a process."},
}

const noMachineDetail = "No machine with this ID exists."

// knownProblem returns the problem of a known error, or nil.
func knownProblem(err error) *problem.Problem {
	if invalid, ok := errors.AsType[*auth.FieldError](err); ok {
		return invalidField(invalid.Field, "%s", invalid.Problem)
	}
	if invalid, ok := errors.AsType[*snapshot.ValidationError](err); ok {
		return problem.FromValidationError(invalid)
	}
	if grant, ok := errors.AsType[*auth.GrantError](err); ok {
		p := invalidField(grant.Field, "%s", grant.Problem)
		p.Status, p.Title, p.Code = http.StatusForbidden, http.StatusText(http.StatusForbidden), "exceeds_own_rights"
		return p
	}
	if invalid, ok := errors.AsType[*backend.RetentionError](err); ok {
		return invalidField(invalid.Field, "%s", invalid.Problem)
	}
	for _, known := range knownErrors {
		if errors.Is(err, known.err) {
			return problem.New(known.status, known.code, known.detail)
		}
	}
	return nil
}

// invalidField returns a problem with status 422 about a field or parameter. The message continues a sentence that
// begins with the field's name, such as "must be at most 100".
func invalidField(field, format string, args ...any) *problem.Problem {
	message := fmt.Sprintf(format, args...)
	p := problem.New(http.StatusUnprocessableEntity, "invalid_field", field+" "+message+".")
	p.Field = field
	p.Errors = []problem.Detail{{Field: field, Message: message}}
	return p
}

func noMachine() *problem.Problem {
	return problem.New(http.StatusNotFound, "unknown_machine", noMachineDetail)
}

func forbidden() *problem.Problem {
	return problem.New(http.StatusForbidden, "forbidden",
		"Your role, or the scopes of your token, do not allow this request.")
}

func unauthenticated(detail string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "unauthenticated", detail)
}

func certificateRequired() *problem.Problem {
	return problem.New(http.StatusForbidden, "certificate_needed",
		"This server requires a client certificate from agents (--agent-ca).")
}

// tooManyRequests returns a problem with the time to wait in its text and in the Retry-After header.
func tooManyRequests(e *auth.RateLimitError) error {
	wait := max(e.RetryAfter, time.Second).Round(time.Second)
	p := problem.New(http.StatusTooManyRequests, "too_many_requests",
		"Too many requests. Try again in "+wait.String()+".")
	seconds := strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds())))
	return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {seconds}})
}

// transformProblem converts huma's errors into problems, and adds the request's ID to problems.
func transformProblem(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*problem.Problem)
	if model, isModel := v.(*huma.ErrorModel); isModel {
		p, ok = fromHuma(model), true
	}
	if ok {
		p.RequestID = problem.RequestID(ctx.Context())
		return p, nil
	}
	return v, nil
}

// fromHuma converts an error of huma's validation into a problem.
func fromHuma(model *huma.ErrorModel) *problem.Problem {
	code := "invalid_field"
	switch {
	case model.Detail == unreadableBody:
		return problem.New(http.StatusBadRequest, "unreadable_body",
			"The body is incomplete, or its chunks are not as HTTP requires.")
	case model.Status >= http.StatusInternalServerError:
		return problem.As(model)
	case model.Status == http.StatusBadRequest:
		code = "malformed_json"
	case model.Status != http.StatusUnprocessableEntity:
		code = strings.ReplaceAll(strings.ToLower(http.StatusText(model.Status)), " ", "_")
	}
	p := problem.New(model.Status, code, sentence(strings.ToValidUTF8(model.Detail, "\ufffd")))
	for _, fault := range model.Errors {
		// huma's messages may quote the request.
		field := strings.ToValidUTF8(fieldOf(fault), "\ufffd")
		message := strings.ToValidUTF8(messageOf(fault), "\ufffd")
		p.Errors = append(p.Errors, problem.Detail{Field: field, Message: message})
		if len(p.Errors) == 1 {
			p.Field = field
			p.Detail = sentence(message)
			if field != "" {
				p.Detail = field + " " + message + "."
			}
		}
	}
	return p
}

// sentence begins text with a capital letter and ends it with a full stop.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// messages replaces messages of huma, so that they continue a sentence that begins with the field's name.
var messages = map[string]string{
	"unknown query parameter":             "is not a parameter of this operation",
	"unexpected property":                 "is not a field of this object",
	"invalid integer":                     "must be an integer",
	"invalid boolean":                     "must be true or false",
	"required query parameter is missing": "is required",
}

func messageOf(fault *huma.ErrorDetail) string {
	if missingPattern.MatchString(fault.Message) {
		return "is required"
	}
	if message, found := messages[fault.Message]; found {
		return message
	}
	return messageReplacer.Replace(fault.Message)
}

// messageReplacer rewords the messages of huma's validation, such as "expected number >= 1".
var messageReplacer = strings.NewReplacer(
	"jsontext: ", "",
	"unexpected ", "unexpected ", // not "expected "
	"expected array length", "must have a length",
	"expected array", "must be an array",
	"expected at most", "must have at most",
	"expected integer", "must be an integer",
	"expected length", "must have a length",
	"expected object", "must be an object",
	"expected string to", "must",
	"expected value to", "must",
	"expected ", "must be a ",
)

var missingPattern = regexp.MustCompile(`^expected required property (\S+) to be present$`)

// fieldOf returns the field that an error is about, without the part of the request that it is in. It returns "" for
// the body as a whole.
func fieldOf(fault *huma.ErrorDetail) string {
	part, field, _ := strings.Cut(fault.Location, ".")
	if match := missingPattern.FindStringSubmatch(fault.Message); match != nil {
		return strings.TrimPrefix(field+"."+match[1], ".")
	}
	if field == "" && part != "body" {
		return part
	}
	return field
}
