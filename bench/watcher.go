package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/bearer"
	"github.com/snapwatch/snapwatch/snapshot"
)

// watcher is a live view of one machine that records when it receives each snapshot.
type watcher struct {
	machineID string
	conn      *websocket.Conn

	mu   sync.Mutex
	seen map[snapshot.Time]time.Time
}

func watch(ctx context.Context, url, machineID, token string) (*watcher, error) {
	conn, _, err := websocket.Dial(
		ctx, strings.Replace(url, "http", "ws", 1)+"/api/v1/live",
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: bearer.Transport{Token: token}}},
	)
	if err != nil {
		return nil, fmt.Errorf("open a live view: %w", err)
	}
	conn.SetReadLimit(-1)
	return &watcher{machineID: machineID, conn: conn, seen: make(map[snapshot.Time]time.Time)}, nil
}

func (w *watcher) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.seen)
}

// run subscribes, repeatedly until the machine has reported, and records until ctx ends.
func (w *watcher) run(ctx context.Context) {
	defer func() { _ = w.conn.CloseNow() }()
	request := fmt.Appendf(nil, `{"action":"subscribe","machine_id":%q}`, w.machineID)
	for {
		if err := w.conn.Write(ctx, websocket.MessageText, request); err != nil {
			return
		}
		for again := false; !again; {
			_, data, err := w.conn.Read(ctx)
			if err != nil {
				return
			}
			now := time.Now()
			var message broadcaster.LiveMessage
			if err := json.Unmarshal(data, &message); err != nil {
				return
			}
			switch message.Type {
			case "snapshot_message":
				w.mu.Lock()
				w.seen[message.Message.Timestamp] = now
				w.mu.Unlock()
			case "error":
				again = product.Pause(ctx, 100*time.Millisecond) == nil
			}
		}
	}
}
