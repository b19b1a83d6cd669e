//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/bench/product"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/bearer"
)

// watcher is a live view of one machine. It reconnects as the page does.
type watcher struct {
	links     []*link
	token     string
	machineID string

	seen atomic.Int64 // timestamp of the newest snapshot
}

const reconnectPause = 250 * time.Millisecond

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		w.watch(ctx, w.links[i%len(w.links)])
		_ = product.Pause(ctx, reconnectPause)
	}
}

func dialLive(ctx context.Context, url string, transport http.RoundTripper) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/api/v1/live",
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	return conn, err
}

func subscription(machineID string) []byte {
	return fmt.Appendf(nil, `{"action":"subscribe","machine_id":%q,"changes":true}`, machineID)
}

// watch watches until the connection fails.
func (w *watcher) watch(ctx context.Context, through *link) {
	conn, err := dialLive(ctx, through.url(), bearer.Transport{Token: w.token})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(-1)
	for {
		if err := conn.Write(ctx, websocket.MessageText, subscription(w.machineID)); err != nil {
			return
		}
		for again := false; !again; {
			_, data, err := conn.Read(ctx)
			if err != nil {
				return
			}
			var message broadcaster.LiveMessage
			if err := json.Unmarshal(data, &message); err != nil {
				return
			}
			switch message.Type {
			case "changes_message":
				w.seen.Store(int64(message.Message.Timestamp))
			case "error":
				again = product.Pause(ctx, reconnectPause) == nil
			}
		}
	}
}
