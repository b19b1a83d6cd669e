package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// hostileLiveMessages returns messages with a hostile value in each place of a request of the live view.
func hostileLiveMessages() []string {
	messages := append([]string{"\x00", "[]", `{"action":"subscribe"}{}`}, hostileBodies...)
	const valid = `{"action":"subscribe","machine_id":"m","since":"2026-11-25T10:00:00Z","changes":true}`
	values := append([]string{}, hostileJSON...)
	for _, text := range hostileTexts {
		if quoted, err := json.Marshal(text); err == nil {
			values = append(values, string(quoted))
		}
	}
	for i, name := range []string{"action", "machine_id", "since", "changes"} {
		for k, value := range values {
			if name == "machine_id" || k%4 == i {
				messages = append(messages, replaced(valid, []any{name}, value))
			}
		}
	}
	return messages
}

// Hostile messages to the live view get an error or close their own connection.
func TestHostileLiveMessages(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.postSnapshots("m", recentTime(), 1)
	ctx, cancel := testwait.Context(t)
	defer cancel()
	var socket *websocket.Conn
	defer func() { _ = socket.CloseNow() }()
	connect := func() {
		var err error
		socket, _, err = websocket.Dial(ctx, strings.Replace(s.url, "http", "ws", 1)+"/api/v1/live",
			&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + s.token}}})
		if err != nil {
			t.Fatal(err)
		}
		socket.SetReadLimit(-1)
	}
	connect()
	for _, message := range hostileLiveMessages() {
		if socket.Write(ctx, websocket.MessageText, []byte(message)) != nil && ctx.Err() == nil {
			connect() // the message is too large
			continue
		}
		reply, err := nextLiveReply(ctx, socket)
		switch {
		case err != nil && ctx.Err() != nil:
			t.Fatalf("%.80q: %v", message, err)
		case err != nil: // the message closed the connection
			connect()
		case reply.Message.Code == "too_many_requests" || reply.Message.Code == "unavailable":
			t.Errorf("%.80q: %+v", message, reply)
		case reply.Type != "error" && (strings.Contains(message, `\u0000`) || strings.Contains(message, `\ud800`)):
			t.Errorf("%.80q is accepted: %+v", message, reply)
		}
	}
	// Binary messages are ignored.
	if err := socket.Write(ctx, websocket.MessageBinary, []byte("\xff")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{".", "..", "a b"} {
		request := []byte(`{"action":"subscribe","machine_id":"` + id + `"}`)
		if err := socket.Write(ctx, websocket.MessageText, request); err != nil {
			t.Fatal(err)
		}
		if reply, err := nextLiveReply(ctx, socket); err != nil || reply.Message.Code != "bad_request" {
			t.Errorf("machine id %s: %+v, %v", id, reply, err)
		}
	}
}

// nextLiveReply returns the next message that is not a snapshot.
func nextLiveReply(ctx context.Context, socket *websocket.Conn) (message broadcaster.LiveMessage, err error) {
	for {
		_, data, err := socket.Read(ctx)
		if err != nil {
			return message, err
		}
		message = broadcaster.LiveMessage{}
		if err := json.Unmarshal(data, &message); err != nil {
			return message, err
		}
		if !strings.HasSuffix(message.Type, "_message") {
			return message, nil
		}
	}
}
