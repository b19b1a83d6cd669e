package broadcaster

import (
	"errors"
	"sync"

	"github.com/snapwatch/snapwatch/snapshot"
)

// errNotEncoded says that a state could not be written; trying again may do.
var errNotEncoded = errors.New("the newest snapshot could not be encoded")

// newest holds a machine's newest state and its messages, each of which is written
// once and only if somebody wants it. Clients that have fallen behind ask for it.
type newest struct {
	mu       sync.Mutex
	state    *snapshot.State
	asTree   []byte
	asSample []byte
}

func (n *newest) set(state *snapshot.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state, n.asTree, n.asSample = state, nil, nil
}

// tree is the state as a snapshot_message.
func (n *newest) tree() ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if n.asTree == nil {
		n.asTree, err = encodeSnapshot(n.state)
	}
	return n.asTree, err
}

// full is the state as a changes_message of kind full; nil if it cannot be written.
func (n *newest) full() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asSample == nil && n.state != nil {
		var encoder snapshot.Encoder
		data, err := encodeChanges(n.state, 0, encoder.Full(n.state.Processes), nil)
		if err != nil {
			return nil
		}
		n.asSample = data
	}
	return n.asSample
}
