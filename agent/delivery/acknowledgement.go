package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/snapshot"
)

// acknowledgement is a snapshot.Ack together with the settings that this agent does not support.
type acknowledgement struct {
	snapshot.Ack
	Config struct {
		snapshot.Config
		Unknown map[string]jsontext.Value `json:",embed"`
	} `json:"config"`
}

// unknownSettings returns the names of the settings of a newer server that this agent does not support.
func (a *acknowledgement) unknownSettings() []string {
	names := slices.Collect(maps.Keys(a.Config.Unknown))
	for _, part := range a.Config.Omit {
		if !slices.Contains(snapshot.Parts(), part) {
			names = append(names, "omit "+string(part))
		}
	}
	slices.Sort(names)
	return names
}

// apply applies the config in an acknowledgement.
func (s *Sender) apply(ack *acknowledgement) {
	s.recorder.Configure(ack.Config.Config)
	if names := ack.unknownSettings(); !slices.Equal(names, s.ignoredSettings) {
		s.ignoredSettings = names
		if len(names) > 0 {
			s.logger.Warn("the server has settings that this agent does not support; update the agent to use them",
				"settings", names)
		}
	}
	s.warnOfCompetitors(ack.CompetingAgents)
	// If the machine was deleted on the server, register it again.
	s.registered = !ack.Unregistered || s.machine.Hostname == ""
}

// warnOfCompetitors logs that other agents report as this machine, once for each set of them.
func (s *Sender) warnOfCompetitors(names []string) {
	if slices.Equal(names, s.competitors) {
		return
	}
	s.competitors = names
	if len(names) == 0 {
		s.logger.Info("no other agent reports as this machine any more", "machine_id", s.machine.MachineID)
		return
	}
	s.logger.Warn(
		"several agents report as this machine, so their snapshots are mixed: their state directory was copied; "+
			"on the copy, stop the agent, empty its state directory and start it with an enrolment key",
		"machine_id", s.machine.MachineID, "hosts", names,
	)
}

// updateDescription registers the machine again if its description has changed, for example its host name.
func (s *Sender) updateDescription(ctx context.Context) {
	if s.describe == nil {
		return
	}
	machine := s.describe(ctx)
	if machine == s.machine {
		return
	}
	if s.registered {
		s.logger.Info("the description of this machine has changed",
			"hostname", machine.Hostname, "own_processes_only", machine.OwnProcessesOnly)
	}
	s.machine, s.registered = machine, false
}

// register sends the description of this machine, and applies the config in the response.
func (s *Sender) register(ctx context.Context) error {
	body, err := json.Marshal(&s.machine)
	if err != nil {
		return fmt.Errorf("encode the machine: %w", err)
	}
	var config snapshot.Config
	if err := s.client.post(ctx, "/api/v1/machines", body, "", &config); err != nil {
		return err
	}
	s.logger.Info("registered", "machine_id", s.machine.MachineID, "server", s.client.server.Redacted())
	s.recorder.Configure(config)
	return nil
}
