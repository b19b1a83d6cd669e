package broadcaster

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// LiveRequest is a message from a client.
type LiveRequest struct {
	Action    string `json:"action" enum:"subscribe,unsubscribe"`
	MachineID string `json:"machine_id" minLength:"1" maxLength:"128" pattern:"^([.]{0,2}[A-Za-z0-9_:-][A-Za-z0-9._:-]*|[.]{3}[A-Za-z0-9._:-]*)$" patternDescription:"made of A-Z a-z 0-9 . _ : -, and not . or .."`
	// Since is the timestamp of the newest snapshot that the client has. The server sends the later ones.
	Since snapshot.Time `json:"since,omitzero" format:"date-time" doc:"Subscribe: send later snapshots, at most 60"`
	// Changes selects changes_message instead of snapshot_message.
	Changes bool `json:"changes,omitzero" doc:"Subscribe: send every process once and then only changes, as agents do"`
}

// LiveMessage is a message to a client. Its type decides which fields of the content are set.
type LiveMessage struct {
	Type    string      `json:"type" enum:"subscribed,unsubscribed,snapshot_message,changes_message,error"`
	Message LiveContent `json:"message"`
}

// LiveContent is the content of a LiveMessage.
type LiveContent struct {
	MachineID string `json:"machine_id,omitempty"`

	// Fields of a snapshot_message and of a changes_message.

	Timestamp       snapshot.Time             `json:"timestamp,omitzero" format:"date-time" doc:"Time of the snapshot"`
	MachineSnapshot *snapshot.MachineSnapshot `json:"machine_snapshot,omitempty" doc:"System metrics"`
	Ended           *snapshot.EndedProcesses  `json:"ended,omitempty" doc:"The processes that ended since the previous snapshot"`

	// Fields of a snapshot_message.

	ProcessTree []*snapshot.Node `json:"process_tree,omitzero" nullable:"false" doc:"The process tree"`

	// Fields of a changes_message.

	Kind snapshot.Kind `json:"kind,omitempty" enum:"full,changes" doc:"full: processes lists every process"`
	// Previous is the timestamp of the snapshot that the changes apply to. A client that has another snapshot
	// subscribes again.
	Previous snapshot.Time `json:"previous,omitzero" format:"date-time" doc:"The snapshot that the changes apply to"`
	// IntervalMS is the interval of the deltas: CPU times and byte counts.
	IntervalMS int64 `json:"interval_ms,omitzero" doc:"Milliseconds that cpu_ms and the byte counts cover; absent if unknown"`
	// Processes lists every process, or the new and changed ones. See snapshot.Values.CarryForward.
	Processes []snapshot.ProcessSample `json:"processes,omitempty" nullable:"false" doc:"Every process, or the changed ones"`
	Exited    []snapshot.ProcessKey    `json:"exited,omitempty" nullable:"false" doc:"Exited processes"`

	// Fields of an error.

	Code   string `json:"code,omitempty" doc:"error: the kind of error, for programs"`
	Detail string `json:"detail,omitempty" doc:"error: the message, for people"`
}

// encodeSnapshot encodes a state with its process tree as a snapshot_message.
func encodeSnapshot(state *snapshot.State) ([]byte, error) {
	return encodeState(LiveMessage{Type: "snapshot_message", Message: LiveContent{
		MachineID:       state.MachineID,
		Timestamp:       state.Timestamp,
		MachineSnapshot: &state.Machine,
		Ended:           state.Ended,
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
		Ended:           state.Ended,
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
	if err := snapshot.CheckMachineID(request.MachineID); err != nil {
		request.MachineID = ""
		return request, err
	}
	return request, nil
}
