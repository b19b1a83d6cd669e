package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
)

// MachineView is a machine in an answer.
type MachineView struct {
	MachineID       string                    `json:"machine_id"`
	Hostname        string                    `json:"hostname"`
	OS              string                    `json:"os"`
	Platform        string                    `json:"platform"`
	Kernel          string                    `json:"kernel"`
	Architecture    string                    `json:"architecture"`
	CPUModel        string                    `json:"cpu_model"`
	CPUCount        int32                     `json:"cpu_count"`
	TotalRAM        int64                     `json:"total_ram" doc:"Bytes"`
	AgentVersion    string                    `json:"agent_version"`
	Enabled         bool                      `json:"enabled" doc:"Whether its agent takes snapshots"`
	PollingInterval float64                   `json:"polling_interval" doc:"Seconds between two snapshots"`
	Include         []string                  `json:"include" nullable:"false" doc:"Names of the only processes that the agent records; * stands for any text, and none for all processes"`
	Exclude         []string                  `json:"exclude" nullable:"false" doc:"Names of processes that the agent does not record; * stands for any text"`
	Omit            []snapshot.Part           `json:"omit" nullable:"false" enum:"command_lines,cgroups,io,open_files,short_lived,cores,disks,interfaces,temperatures" doc:"What the agent does not collect"`
	Tags            []string                  `json:"tags" nullable:"false" doc:"Users see the machines that have a tag granted to them"`
	ConfigVersion   int64                     `json:"config_version" doc:"Rises with every change of the config; also the ETag"`
	Status          string                    `json:"status" enum:"up,stale" doc:"stale: not heard of for two intervals"`
	RegisteredAt    snapshot.Time             `json:"registered_at" format:"date-time"`
	LastSeen        snapshot.Time             `json:"last_seen" format:"date-time"`
	LastSnapshot    *snapshot.Time            `json:"last_snapshot" format:"date-time"`
	ProcessCount    *int32                    `json:"process_count" doc:"At the latest snapshot"`
	Latest          *snapshot.MachineSnapshot `json:"latest,omitempty" doc:"System metrics of the latest snapshot, without devices"`
}

// view shows a machine.
func (a *API) machineView(m *query.Machine) MachineView {
	view := MachineView{MachineID: m.MachineID, Hostname: m.Hostname, OS: m.OS, Platform: m.Platform, Kernel: m.Kernel,
		Architecture: m.Architecture, CPUModel: m.CPUModel, CPUCount: m.CPUCount, TotalRAM: m.TotalRAM, AgentVersion: m.AgentVersion,
		Enabled: m.Enabled, PollingInterval: m.PollingInterval, Include: m.Include, Exclude: m.Exclude, Omit: m.Omit, Tags: m.Tags, ConfigVersion: m.ConfigVersion, Status: "up",
		RegisteredAt: m.RegisteredAt, LastSeen: m.LastSeen, Latest: m.Latest}
	if m.LastSnapshot != 0 {
		view.LastSnapshot, view.ProcessCount = &m.LastSnapshot, &m.ProcessCount
	}
	if m.Stale(a.cfg.Now()) {
		view.Status = "stale"
	}
	return view
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// MachinePath is the part of a path that names a machine.
type MachinePath struct {
	MachineID string `path:"machine_id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$"`
}

type machineList struct {
	Body struct {
		Results    []MachineView `json:"results" nullable:"false"`
		NextCursor *string       `json:"next_cursor" doc:"Give it as cursor to get the next page; null on the last"`
	}
}

type machineResponse struct {
	Status int
	ETag   string `header:"ETag" doc:"The config's version, for If-Match"`
	Body   MachineView
}

// Registration is what an agent says of its machine. What a newer agent says
// beyond that is ignored.
type MachineRegistration struct {
	_ struct{} `json:"-" additionalProperties:"true"`
	snapshot.Machine
}

// ConfigPatch is the part of a machine that can be changed.
type ConfigPatch struct {
	Enabled         *bool            `json:"enabled,omitempty" doc:"Whether the agent takes snapshots"`
	PollingInterval *float64         `json:"polling_interval,omitempty" minimum:"0.5" maximum:"3600" doc:"Seconds between two snapshots"`
	Include         *[]string        `json:"include,omitempty" nullable:"false" maxItems:"100" doc:"Names of the only processes that the agent records; * stands for any text, and none for all processes"`
	Exclude         *[]string        `json:"exclude,omitempty" nullable:"false" maxItems:"100" doc:"Names of processes that the agent does not record; * stands for any text"`
	Omit            *[]snapshot.Part `json:"omit,omitempty" nullable:"false" maxItems:"20" enum:"command_lines,cgroups,io,open_files,short_lived,cores,disks,interfaces,temperatures" doc:"What the agent does not collect"`
	Tags            *[]string        `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Users see the machines that have a tag granted to them"`
}

// ConfigView is what an agent is told to do.
type ConfigView struct {
	snapshot.Config
	ConfigVersion int64 `json:"config_version"`
}

func (a *API) registerMachines() {
	tags := []string{"machines"}
	huma.Register(
		a.huma,
		huma.Operation{OperationID: "list-machines", Method: http.MethodGet, Path: "/api/v1/machines", Tags: tags,
			Summary: "List machines, by hostname"},
		a.listMachines,
	)
	huma.Register(
		a.huma,
		huma.Operation{OperationID: "register-machine", Method: http.MethodPost, Path: "/api/v1/machines", Tags: tags,
			Summary: "Register a machine, or tell what has changed about it", DefaultStatus: http.StatusCreated, MaxBodyBytes: maxSmallBody},
		a.registerMachine,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-machine",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}",
			Tags:        tags,
			Summary:     "One machine",
		},
		a.getMachine,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:  "patch-machine",
			Method:       http.MethodPatch,
			Path:         "/api/v1/machines/{machine_id}",
			Tags:         tags,
			Summary:      "Change a machine's config; its agent learns of it with its next post",
			MaxBodyBytes: maxSmallBody,
		},
		a.patchMachine,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-machine-config",
			Method:      http.MethodGet,
			Path:        "/api/v1/machines/{machine_id}/config",
			Tags:        tags,
			Summary:     "What a machine's agent is told to do",
		},
		a.getConfig,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID:   "delete-machine",
			Method:        http.MethodDelete,
			Path:          "/api/v1/machines/{machine_id}",
			Tags:          tags,
			Summary:       "Forget a machine and its history; an agent that still runs registers it anew",
			DefaultStatus: http.StatusNoContent,
		},
		a.deleteMachine,
	)
}

// maxSmallBody bounds the bodies that are not snapshots.
const maxSmallBody = 64 << 10

func (a *API) listMachines(ctx context.Context, in *struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Machines on a page"`
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the page before"`
}) (*machineList, error) {
	page := query.MachinePage{View: viewOf(ctx), Limit: in.Limit}
	if in.Cursor != "" {
		if err := decodeCursor(in.Cursor, "machines", &page.AfterHostname, &page.AfterID); err != nil {
			return nil, err
		}
	}
	machines, more, err := a.store.Machines(ctx, page)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &machineList{}
	out.Body.Results = make([]MachineView, len(machines))
	for i := range machines {
		out.Body.Results[i] = a.machineView(&machines[i])
	}
	if more {
		last := machines[len(machines)-1]
		cursor := encodeCursor("machines", last.Hostname, last.MachineID)
		out.Body.NextCursor = &cursor
	}
	return out, nil
}

func (a *API) registerMachine(ctx context.Context, in *struct{ Body MachineRegistration }) (*machineResponse, error) {
	if err := in.Body.Machine.Validate(); err != nil {
		return nil, a.fail(ctx, err)
	}
	if err := a.access.AuthorizeWrite(ctx, in.Body.MachineID); err != nil {
		return nil, err
	}
	created, err := a.store.Register(ctx, &in.Body.Machine)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return a.machineResponse(ctx, in.Body.MachineID, status)
}

func (a *API) getMachine(ctx context.Context, in *MachinePath) (*machineResponse, error) {
	return a.machineResponse(ctx, in.MachineID, http.StatusOK)
}

func (a *API) getConfig(ctx context.Context, in *MachinePath) (*struct {
	ETag string `header:"ETag"`
	Body ConfigView
}, error) {
	machine, err := a.store.Machine(ctx, in.MachineID)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return &struct {
		ETag string `header:"ETag"`
		Body ConfigView
	}{etag(machine.ConfigVersion), ConfigView{machine.Config, machine.ConfigVersion}}, nil
}

func (a *API) machineResponse(ctx context.Context, machineID string, status int) (*machineResponse, error) {
	machine, err := a.store.Machine(ctx, machineID)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	return &machineResponse{Status: status, ETag: etag(machine.ConfigVersion), Body: a.machineView(machine)}, nil
}

func (a *API) patchMachine(ctx context.Context, in *struct {
	MachinePath
	IfMatch string `header:"If-Match" doc:"The ETag that the change is based on; without it the change is made whatever happened meanwhile"`
	Body    ConfigPatch
}) (*machineResponse, error) {
	change := store.ConfigChange{
		Enabled:         in.Body.Enabled,
		PollingInterval: in.Body.PollingInterval,
		Include:         in.Body.Include,
		Exclude:         in.Body.Exclude,
		Omit:            in.Body.Omit,
		Tags:            in.Body.Tags,
	}
	if change == (store.ConfigChange{}) {
		return nil, problem.New(
			http.StatusUnprocessableEntity, "invalid_field",
			"Give enabled, polling_interval, include, exclude, omit, tags or several of them.",
		)
	}
	for field, names := range map[string]*[]string{"include": change.Include, "exclude": change.Exclude} {
		if names != nil {
			if err := snapshot.ValidateNamePatterns(field, *names); err != nil {
				return nil, a.fail(ctx, err)
			}
		}
	}
	if change.Tags != nil {
		if err := auth.CheckMachineTags(*change.Tags); err != nil {
			return nil, a.fail(ctx, err)
		}
	}
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	change.IfVersion = version
	if err := a.store.Configure(ctx, in.MachineID, change); err != nil {
		return nil, a.fail(ctx, err)
	}
	a.logger.Info(
		"config changed", "request_id", problem.RequestID(ctx), "machine_id", in.MachineID,
		"enabled", optionalString(change.Enabled), "polling_interval", optionalString(change.PollingInterval),
	)
	a.auth.Record(
		ctx,
		"machine.changed",
		"machine "+in.MachineID,
		map[string]any{
			"enabled":          change.Enabled,
			"polling_interval": change.PollingInterval,
			"include":          change.Include,
			"exclude":          change.Exclude,
			"omit":             change.Omit,
			"tags":             change.Tags,
		},
	)
	return a.machineResponse(ctx, in.MachineID, http.StatusOK)
}

// ifMatch reads a version out of an If-Match header; 0 means any.
func ifMatch(header string) (int64, error) {
	header = strings.TrimPrefix(strings.TrimSpace(header), "W/")
	if header == "" || header == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || version < 1 {
		return 0, problem.New(
			http.StatusPreconditionFailed, "version_mismatch", "If-Match is not an ETag of this machine.",
		)
	}
	return version, nil
}

func (a *API) deleteMachine(ctx context.Context, in *MachinePath) (*struct{}, error) {
	if err := a.store.Delete(ctx, in.MachineID); err != nil {
		return nil, a.fail(ctx, err)
	}
	a.logger.Info("machine deleted", "request_id", problem.RequestID(ctx), "machine_id", in.MachineID)
	a.auth.Record(ctx, "machine.deleted", "machine "+in.MachineID, nil)
	return nil, nil
}

func optionalString[T any](p *T) string {
	if p == nil {
		return "unchanged"
	}
	return fmt.Sprint(*p)
}
