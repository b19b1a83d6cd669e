package broadcaster

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// LiveRequest is what a client may send.
type LiveRequest struct {
	Action    string        `json:"action" enum:"subscribe,unsubscribe"`
	MachineID string        `json:"machine_id" minLength:"1" maxLength:"128"`
	Since     snapshot.Time `json:"since,omitzero" format:"date-time" doc:"Subscribe only: the newest snapshot that the client has; it gets those it has missed since, at most 60"`
	Changes   bool          `json:"changes,omitzero" doc:"Subscribe only: be sent every process once, and then only what changes, as changes_message in the form that agents post"`
}

// LiveMessage is what a client receives: which of the fields of its message are
// there depends on the type.
type LiveMessage struct {
	Type    string      `json:"type" enum:"subscribed,unsubscribed,snapshot_message,changes_message,error"`
	Message LiveContent `json:"message"`
}

// LiveContent is the body of a LiveMessage.
type LiveContent struct {
	MachineID       string                    `json:"machine_id,omitempty"`
	Timestamp       snapshot.Time             `json:"timestamp,omitzero" format:"date-time" doc:"The instant of a snapshot_message or changes_message"`
	MachineSnapshot *snapshot.MachineSnapshot `json:"machine_snapshot,omitempty" doc:"Its system metrics"`
	ProcessTree     []*snapshot.Node          `json:"process_tree,omitzero" nullable:"false" doc:"snapshot_message: every process, nested under its parent"`
	Kind            snapshot.Kind             `json:"kind,omitempty" enum:"full,changes" doc:"changes_message: whether it lists every process"`
	Previous        snapshot.Time             `json:"previous,omitzero" format:"date-time" doc:"changes_message of kind changes: the instant that it continues. Whoever has another asks for all, by subscribing again"`
	IntervalMS      int64                     `json:"interval_ms,omitzero" doc:"changes_message: milliseconds that cpu_ms and the byte counts cover"`
	Processes       []snapshot.ProcessSample  `json:"processes,omitempty" nullable:"false" doc:"changes_message: every process, or the new and changed ones; what is not mentioned has spent nothing"`
	Exited          []snapshot.ProcessKey     `json:"exited,omitempty" nullable:"false" doc:"changes_message: processes that ended"`
	Code            string                    `json:"code,omitempty" doc:"error: what is wrong, for programs"`
	Detail          string                    `json:"detail,omitempty" doc:"error: what is wrong, for people"`
}

// encodeSnapshot writes a state with its tree.
func encodeSnapshot(state *snapshot.State) ([]byte, error) {
	return encodeState(LiveMessage{Type: "snapshot_message", Message: LiveContent{
		MachineID: state.MachineID, Timestamp: state.Timestamp, MachineSnapshot: &state.Machine, ProcessTree: snapshot.Tree(state.Processes),
	}})
}

// encodeChanges writes what leads to a state from the one at previous, or all of it
// where previous is 0.
func encodeChanges(
	state *snapshot.State, previous snapshot.Time, processes []snapshot.ProcessSample, exited []snapshot.ProcessKey,
) ([]byte, error) {
	kind := snapshot.KindChanges
	if previous == 0 {
		kind = snapshot.KindFull
	}
	return encodeState(LiveMessage{Type: "changes_message", Message: LiveContent{
		MachineID: state.MachineID, Timestamp: state.Timestamp, MachineSnapshot: &state.Machine,
		Kind: kind, Previous: previous, IntervalMS: state.IntervalMS, Processes: processes, Exited: exited,
	}})
}

func encodeState(message LiveMessage) ([]byte, error) {
	data, err := json.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode a snapshot: %w", err)
	}
	return data, nil
}

func encodeSubscribed(machineID string) []byte {
	return encode(LiveMessage{Type: "subscribed", Message: LiveContent{MachineID: machineID}})
}

func encodeUnsubscribed(machineID string) []byte {
	return encode(LiveMessage{Type: "unsubscribed", Message: LiveContent{MachineID: machineID}})
}

func encodeError(machineID, code, detail string) []byte {
	return encode(LiveMessage{Type: "error", Message: LiveContent{MachineID: machineID, Code: code, Detail: detail}})
}

// encode writes a message of plain texts, which cannot fail.
func encode(message LiveMessage) []byte {
	data, err := json.Marshal(message)
	if err != nil {
		return []byte(`{"type":"error","message":{"code":"internal"}}`)
	}
	return data
}

// decodeRequest reads a client's message. Unlike a post it must not have fields
// that we do not know: a browser and its server are of one version.
func decodeRequest(data []byte) (LiveRequest, error) {
	var request LiveRequest
	if err := json.Unmarshal(data, &request, json.RejectUnknownMembers(true)); err != nil {
		return LiveRequest{}, fmt.Errorf("not a JSON object with action, machine_id and, at most, since and changes")
	}
	if request.Action != "subscribe" && request.Action != "unsubscribe" {
		return request, fmt.Errorf("action must be subscribe or unsubscribe")
	}
	if request.MachineID == "" || len(request.MachineID) > snapshot.MaxMachineIDBytes {
		request.MachineID = ""
		return request, fmt.Errorf("machine_id must have 1 to %d bytes", snapshot.MaxMachineIDBytes)
	}
	return request, nil
}
