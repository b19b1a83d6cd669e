package broadcaster

import (
	"errors"
	"sync"

	"github.com/snapwatch/snapwatch/snapshot"
)

// errEncode is returned when the newest state could not be encoded.
var errEncode = errors.New("could not encode the newest snapshot")

// newestState holds a machine's newest state and its encoded messages. Each message is encoded at most once,
// when it is first needed. It is safe for concurrent use.
type newestState struct {
	mu          sync.Mutex
	state       *snapshot.State
	treeMessage []byte
	fullMessage []byte
}

func (n *newestState) set(state *snapshot.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state, n.treeMessage, n.fullMessage = state, nil, nil
}

// tree returns the state as a snapshot_message.
func (n *newestState) tree() ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if n.treeMessage == nil {
		n.treeMessage, err = encodeSnapshot(n.state)
	}
	return n.treeMessage, err
}

// full returns the state as a changes_message of kind full, or nil if it cannot be encoded.
func (n *newestState) full() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fullMessage == nil && n.state != nil {
		var encoder snapshot.Encoder
		data, err := encodeChanges(n.state, 0, encoder.Full(n.state.Processes), nil)
		if err != nil {
			return nil
		}
		n.fullMessage = data
	}
	return n.fullMessage
}
