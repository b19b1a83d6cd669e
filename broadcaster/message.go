package broadcaster

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// LiveRequest is a message from a client.
type LiveRequest struct {
	Action    string        `json:"action" enum:"subscribe,unsubscribe"`
	MachineID string        `json:"machine_id" minLength:"1" maxLength:"128"`
	Since     snapshot.Time `json:"since,omitzero" format:"date-time" doc:"Subscribe only: the timestamp of the newest snapshot that the client has. The server sends the snapshots after it, at most the newest 60"`
	Changes   bool          `json:"changes,omitzero" doc:"Subscribe only: receive changes_message instead of snapshot_message: first every process, then only changes, in the form that agents send"`
}

// LiveMessage is a message to a client. Its type decides which fields of the content are set.
type LiveMessage struct {
	Type    string      `json:"type" enum:"subscribed,unsubscribed,snapshot_message,changes_message,error"`
	Message LiveContent `json:"message"`
}

// LiveContent is the content of a LiveMessage.
type LiveContent struct {
	MachineID       string                    `json:"machine_id,omitempty"`
	Timestamp       snapshot.Time             `json:"timestamp,omitzero" format:"date-time" doc:"snapshot_message, changes_message: the time of the snapshot"`
	MachineSnapshot *snapshot.MachineSnapshot `json:"machine_snapshot,omitempty" doc:"snapshot_message, changes_message: the system metrics"`
	ProcessTree     []*snapshot.Node          `json:"process_tree,omitzero" nullable:"false" doc:"snapshot_message: all processes, nested under their parents"`
	Kind            snapshot.Kind             `json:"kind,omitempty" enum:"full,changes" doc:"changes_message: full lists every process, changes only the differences from the previous snapshot"`
	Previous        snapshot.Time             `json:"previous,omitzero" format:"date-time" doc:"changes_message of kind changes: the timestamp of the snapshot that the changes apply to. A client that has another one subscribes again"`
	IntervalMS      int64                     `json:"interval_ms,omitzero" doc:"changes_message: the interval in milliseconds that cpu_ms and the byte counts cover"`
	Processes       []snapshot.ProcessSample  `json:"processes,omitempty" nullable:"false" doc:"changes_message: every process, or the new and changed ones. Processes that are not listed used no CPU time and no I/O"`
	Exited          []snapshot.ProcessKey     `json:"exited,omitempty" nullable:"false" doc:"changes_message: processes that exited"`
	Code            string                    `json:"code,omitempty" doc:"error: what is wrong, for programs"`
	Detail          string                    `json:"detail,omitempty" doc:"error: what is wrong, for people"`
}

// encodeSnapshot encodes a state with its process tree as a snapshot_message.
func encodeSnapshot(state *snapshot.State) ([]byte, error) {
	return encodeState(LiveMessage{Type: "snapshot_message", Message: LiveContent{
		MachineID:       state.MachineID,
		Timestamp:       state.Timestamp,
		MachineSnapshot: &state.Machine,
		ProcessTree:     snapshot.Tree(state.Processes),
	}})
}

// encodeChanges encodes a changes_message: the changes from the state at previous, or the full state if
// previous is 0.
func encodeChanges(
	state *snapshot.State, previous snapshot.Time, processes []snapshot.ProcessSample, exited []snapshot.ProcessKey,
) ([]byte, error) {
	kind := snapshot.KindChanges
	if previous == 0 {
		kind = snapshot.KindFull
	}
	return encodeState(LiveMessage{Type: "changes_message", Message: LiveContent{
		MachineID:       state.MachineID,
		Timestamp:       state.Timestamp,
		MachineSnapshot: &state.Machine,
		Kind:            kind,
		Previous:        previous,
		IntervalMS:      state.IntervalMS,
		Processes:       processes,
		Exited:          exited,
	}})
}

func encodeState(m LiveMessage) ([]byte, error) {
	data, err := json.Marshal(m)
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

// encode encodes a message that only has text fields, which does not fail.
func encode(m LiveMessage) []byte {
	data, err := json.Marshal(m)
	if err != nil {
		return []byte(`{"type":"error","message":{"code":"internal"}}`)
	}
	return data
}

// decodeRequest decodes a client's message. Unknown fields are errors, unlike in posts of agents: the web
// page comes from this server, so both have the same version.
func decodeRequest(data []byte) (LiveRequest, error) {
	var request LiveRequest
	if err := json.Unmarshal(data, &request, json.RejectUnknownMembers(true)); err != nil {
		return LiveRequest{}, errors.New("the message must be a JSON object with the fields action, machine_id, " +
			"since (optional) and changes (optional)")
	}
	if request.Action != "subscribe" && request.Action != "unsubscribe" {
		return request, errors.New("action must be subscribe or unsubscribe")
	}
	if request.MachineID == "" || len(request.MachineID) > snapshot.MaxMachineIDBytes {
		request.MachineID = ""
		return request, fmt.Errorf("machine_id must be 1 to %d bytes long", snapshot.MaxMachineIDBytes)
	}
	return request, nil
}
