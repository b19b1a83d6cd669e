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

// MachineView is a machine.
type MachineView struct {
	MachineID           string                    `json:"machine_id"`
	Hostname            string                    `json:"hostname"`
	HostnameShared      bool                      `json:"hostname_shared" doc:"Whether other machines that you can see have the same host name"`
	OS                  string                    `json:"os"`
	Platform            string                    `json:"platform"`
	Kernel              string                    `json:"kernel"`
	Architecture        string                    `json:"architecture"`
	CPUModel            string                    `json:"cpu_model"`
	CPUCount            int32                     `json:"cpu_count" doc:"Number of logical CPUs"`
	TotalRAM            int64                     `json:"total_ram" doc:"Memory, in bytes"`
	AgentVersion        string                    `json:"agent_version"`
	Enabled             bool                      `json:"enabled" doc:"Whether the agent is configured to take snapshots"`
	PollingInterval     float64                   `json:"polling_interval" doc:"Seconds between two snapshots"`
	Include             []string                  `json:"include" nullable:"false" doc:"Names of the processes to record; * matches any text. Empty for all"`
	Exclude             []string                  `json:"exclude" nullable:"false" doc:"Names of the processes not to record; * matches any text"`
	Omit                []snapshot.Part           `json:"omit" nullable:"false" enum:"command_lines,cgroups,io,open_files,short_lived,cores,disks,interfaces,temperatures" doc:"What the agent does not collect"`
	Tags                []string                  `json:"tags" nullable:"false" doc:"Users may read the machines that have one of their tags"`
	ConfigVersion       int64                     `json:"config_version" doc:"Increases with every change of the configuration; also the ETag"`
	Status              string                    `json:"status" enum:"up,waiting,stale" doc:"waiting if no snapshot has arrived yet, stale if the machine missed two intervals"`
	RegisteredAt        snapshot.Time             `json:"registered_at" format:"date-time"`
	LastSeen            snapshot.Time             `json:"last_seen" format:"date-time" doc:"Time of the last request from the agent"`
	LastSnapshot        *snapshot.Time            `json:"last_snapshot" format:"date-time" doc:"Time of the latest snapshot; null if none has arrived yet"`
	ProcessCount        *int32                    `json:"process_count" doc:"Number of processes in the latest snapshot; null if it is not stored"`
	Latest              *snapshot.MachineSnapshot `json:"latest,omitempty" doc:"System metrics of the latest snapshot, without disks and interfaces; absent if it is not stored"`
	OwnProcessesOnly    bool                      `json:"own_processes_only" doc:"Whether only processes of the agent's own user are visible to it, because /proc is mounted with hidepid"`
	ProcessReader       string                    `json:"process_reader,omitempty" enum:"bpf,proc" doc:"How an agent on Linux reads processes: with BPF or from /proc"`
	ProcessReaderReason string                    `json:"process_reader_reason,omitempty" doc:"Why processes are not read with BPF"`
	CompetingAgents     *CompetingAgentsView      `json:"competing_agents,omitempty" doc:"Several agents that report as this machine in turns, because their state directory was copied. Absent if there is one agent, and an hour after the last turn, or three polling intervals if that is longer"`
	Outdated            bool                      `json:"outdated" doc:"Whether latest and process_count are not current: the machine is stale, or its latest snapshot is older than two intervals and five minutes"`
}

func (a *API) machineView(m *query.Machine) MachineView {
	view := MachineView{
		MachineID:       m.MachineID,
		Hostname:        m.Hostname,
		OS:              m.OS,
		Platform:        m.Platform,
		Kernel:          m.Kernel,
		Architecture:    m.Architecture,
		CPUModel:        m.CPUModel,
		CPUCount:        m.CPUCount,
		TotalRAM:        m.TotalRAM,
		AgentVersion:    m.AgentVersion,
		Enabled:         m.Enabled,
		PollingInterval: m.PollingInterval,
		Include:         m.Include,
		Exclude:         m.Exclude,
		Omit:            m.Omit,
		Tags:            m.Tags,
		ConfigVersion:   m.ConfigVersion,
		Status:          "up",
		RegisteredAt:    m.RegisteredAt,
		LastSeen:        m.LastSeen,
		ProcessCount:    m.ProcessCount,
		Latest:          m.Latest,

		OwnProcessesOnly:    m.OwnProcessesOnly,
		ProcessReader:       m.ProcessReader,
		ProcessReaderReason: m.ProcessReaderReason,
		CompetingAgents:     competingAgentsView(m.CompetingAgents),
	}
	if m.LastSnapshot != 0 {
		view.LastSnapshot = &m.LastSnapshot
	}
	now := a.cfg.Now()
	view.Outdated = m.Outdated(now)
	switch {
	case m.Stale(now):
		view.Status = "stale"
	case m.Waiting():
		view.Status = "waiting"
	}
	return view
}

// MachineList is a page of machines.
type MachineList struct {
	Results    []MachineView `json:"results" nullable:"false" doc:"Machines, by hostname"`
	NextCursor *string       `json:"next_cursor" doc:"Cursor of the next page; null on the last page"`
}

// MachinePath is the path parameter of a machine.
type MachinePath struct {
	MachineID string `path:"machine_id" minLength:"1" maxLength:"128" pattern:"^([.]{0,2}[A-Za-z0-9_:-][A-Za-z0-9._:-]*|[.]{3}[A-Za-z0-9._:-]*)$" patternDescription:"made of A-Z a-z 0-9 . _ : -, and not . or .."`
}

type machineResponse struct {
	Status int
	ETag   string `header:"ETag" doc:"Version of the configuration, for If-Match"`
	Body   MachineView
}

// MachineRegistration is what an agent sends about its machine. Unknown fields, from newer agents, are ignored.
type MachineRegistration struct {
	_ struct{} `json:"-" additionalProperties:"true"`
	snapshot.Machine
}

// ConfigPatch is a change of a machine's configuration. Absent fields stay as they are.
type ConfigPatch struct {
	Enabled         *bool            `json:"enabled,omitempty" doc:"Whether the agent takes snapshots"`
	PollingInterval *float64         `json:"polling_interval,omitempty" minimum:"0.5" maximum:"3600" doc:"Seconds between two snapshots"`
	Include         *[]string        `json:"include,omitempty" nullable:"false" maxItems:"100" doc:"Names of the processes to record; * matches any text. Empty for all"`
	Exclude         *[]string        `json:"exclude,omitempty" nullable:"false" maxItems:"100" doc:"Names of the processes not to record; * matches any text"`
	Omit            *[]snapshot.Part `json:"omit,omitempty" nullable:"false" maxItems:"20" enum:"command_lines,cgroups,io,open_files,short_lived,cores,disks,interfaces,temperatures" doc:"What the agent does not collect"`
	Tags            *[]string        `json:"tags,omitempty" nullable:"false" maxItems:"100" doc:"Users may read the machines that have one of their tags"`
}

// ConfigView is the configuration of an agent.
type ConfigView struct {
	snapshot.Config
	ConfigVersion int64 `json:"config_version" doc:"Increases with every change of the configuration"`
	// CompetingAgents is for snapwatch-agent doctor.
	CompetingAgents []string `json:"competing_agents,omitempty" nullable:"false" doc:"Host names of several agents that report as this machine in turns, because their state directory was copied"`
}

type configResponse struct {
	ETag string `header:"ETag" doc:"Version of the configuration"`
	Body ConfigView
}

type machineListInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of machines on a page"`
	Cursor string `query:"cursor" maxLength:"2000" doc:"next_cursor of the previous page"`
}

type machinePatchInput struct {
	MachinePath
	IfMatch string `header:"If-Match" doc:"ETag of the configuration to change. Without it, concurrent changes are overwritten"`
	Body    ConfigPatch
}

func (a *API) registerMachines() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines", "list-machines", tagMachines,
		"List machines"), a.listMachines)
	huma.Register(a.huma, operation(http.MethodPost, "/api/v1/machines", "register-machine", tagMachines,
		"Register or update a machine", status(http.StatusCreated),
		description("Agents call it. The status is 200 if the machine was registered before.")), a.registerMachine)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}", "get-machine", tagMachines,
		"Get a machine"), a.getMachine)
	huma.Register(a.huma, operation(http.MethodPatch, "/api/v1/machines/{machine_id}", "patch-machine", tagMachines,
		"Change a machine's configuration",
		description("The change takes effect at the agent's next report.")), a.patchMachine)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/machines/{machine_id}/config", "get-machine-config",
		tagMachines, "Get a machine's configuration"), a.getConfig)
	huma.Register(a.huma, operation(http.MethodDelete, "/api/v1/machines/{machine_id}", "delete-machine", tagMachines,
		"Delete a machine", status(http.StatusNoContent),
		description("Deletes the machine's history too. An agent that is still running registers the machine again.")),
		a.deleteMachine)
}

func (a *API) listMachines(ctx context.Context, in *machineListInput) (*response[MachineList], error) {
	page := query.MachinePage{View: viewOf(ctx), Limit: in.Limit}
	if in.Cursor != "" {
		if err := decodeCursor(in.Cursor, "machines", &page.AfterHostname, &page.AfterID); err != nil {
			return nil, err
		}
	}
	machines, more, err := a.store.Machines(ctx, page)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	list := MachineList{Results: views(machines, a.machineView)}
	if err := a.markSharedHostnames(ctx, list.Results); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	if more {
		last := machines[len(machines)-1]
		list.NextCursor = encodeCursor("machines", last.Hostname, last.MachineID)
	}
	return &response[MachineList]{list}, nil
}

func (a *API) registerMachine(ctx context.Context, in *struct{ Body MachineRegistration }) (*machineResponse, error) {
	if err := in.Body.Machine.Validate(); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	if err := a.access.AuthorizeWrite(ctx, in.Body.MachineID); err != nil {
		return nil, err
	}
	created, err := a.store.Register(ctx, &in.Body.Machine)
	if err != nil {
		return nil, a.problemOf(ctx, err)
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

func (a *API) machineResponse(ctx context.Context, machineID string, status int) (*machineResponse, error) {
	machine, err := a.store.Machine(ctx, machineID)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	view := []MachineView{a.machineView(machine)}
	if err := a.markSharedHostnames(ctx, view); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	return &machineResponse{Status: status, ETag: etag(machine.ConfigVersion), Body: view[0]}, nil
}

// markSharedHostnames sets HostnameShared.
func (a *API) markSharedHostnames(ctx context.Context, machines []MachineView) error {
	hostnames := views(machines, func(m *MachineView) string { return m.Hostname })
	shared, err := a.store.SharedHostnames(ctx, viewOf(ctx), hostnames)
	if err != nil {
		return err
	}
	for i := range machines {
		machines[i].HostnameShared = shared[machines[i].Hostname]
	}
	return nil
}

func (a *API) getConfig(ctx context.Context, in *MachinePath) (*configResponse, error) {
	machine, err := a.access.queries.Machine(ctx, in.MachineID)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	version := machine.ConfigVersion
	return &configResponse{etag(version), ConfigView{machine.Config, version, machine.CompetingAgents.Names()}}, nil
}

func (a *API) patchMachine(ctx context.Context, in *machinePatchInput) (*machineResponse, error) {
	if in.Body == (ConfigPatch{}) {
		return nil, problem.New(http.StatusUnprocessableEntity, "invalid_field",
			"The body must have at least one of enabled, polling_interval, include, exclude, omit and tags.")
	}
	change, err := configChange(in)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	if err := a.store.Configure(ctx, in.MachineID, change); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	a.logger.Info("configuration changed", "request_id", problem.RequestID(ctx), "machine_id", in.MachineID,
		"enabled", optionalString(change.Enabled), "polling_interval", optionalString(change.PollingInterval))
	a.auth.Record(ctx, "machine.changed", "machine "+in.MachineID, map[string]any{
		"enabled":          change.Enabled,
		"polling_interval": change.PollingInterval,
		"include":          change.Include,
		"exclude":          change.Exclude,
		"omit":             change.Omit,
		"tags":             change.Tags,
	})
	return a.machineResponse(ctx, in.MachineID, http.StatusOK)
}

// configChange validates a change of a machine's configuration.
func configChange(in *machinePatchInput) (store.ConfigChange, error) {
	change := store.ConfigChange{
		Enabled:         in.Body.Enabled,
		PollingInterval: in.Body.PollingInterval,
		Include:         in.Body.Include,
		Exclude:         in.Body.Exclude,
		Omit:            in.Body.Omit,
		Tags:            in.Body.Tags,
	}
	if change.Include != nil {
		if err := snapshot.ValidateNamePatterns("include", *change.Include); err != nil {
			return change, err
		}
	}
	if change.Exclude != nil {
		if err := snapshot.ValidateNamePatterns("exclude", *change.Exclude); err != nil {
			return change, err
		}
	}
	if change.Tags != nil {
		if err := auth.CheckMachineTags(*change.Tags); err != nil {
			return change, err
		}
	}
	var err error
	change.IfVersion, err = parseIfMatch(in.IfMatch)
	return change, err
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// parseIfMatch returns the version in an If-Match header, or 0 for any version.
func parseIfMatch(header string) (int64, error) {
	header = strings.TrimPrefix(strings.TrimSpace(header), "W/")
	if header == "" || header == "*" {
		return 0, nil
	}
	version, err := strconv.ParseInt(strings.Trim(header, `"`), 10, 64)
	if err != nil || version < 1 {
		return 0, problem.New(http.StatusPreconditionFailed, "version_mismatch",
			"If-Match must be the ETag of a machine. Read the machine again.")
	}
	return version, nil
}

func (a *API) deleteMachine(ctx context.Context, in *struct {
	// Earlier versions accepted the ids . and .., so they can be deleted.
	MachineID string `path:"machine_id" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._:-]+$"`
}) (*struct{}, error) {
	if err := a.store.Delete(ctx, in.MachineID); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	a.logger.Info("machine deleted", "request_id", problem.RequestID(ctx), "machine_id", in.MachineID)
	a.auth.Record(ctx, "machine.deleted", "machine "+in.MachineID, nil)
	return nil, nil
}

// optionalString formats a value of a change for the log.
func optionalString[T any](p *T) string {
	if p == nil {
		return "unchanged"
	}
	return fmt.Sprint(*p)
}
