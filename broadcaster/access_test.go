package broadcaster_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// ends waits for the socket's end and returns its code.
func (s *socket) ends() websocket.StatusCode {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	for {
		if _, _, err := s.conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// tell makes the database tell that who may do what has changed.
func (l *live) tell(t *testing.T) {
	t.Helper()
	if _, err := storetest.Connect(t, l.database).Exec(t.Context(), "NOTIFY snapwatch_access"); err != nil {
		t.Fatal(err)
	}
}

// What may not be watched looks as if there were none; when a grant or the session
// ends, the socket does, at once.
func TestAccessEnds(t *testing.T) {
	t.Parallel()
	heard := make(chan bool, 100)
	l := start(t, broadcaster.Config{OnAccessChange: func(hearing bool) { heard <- hearing }})
	if !<-heard {
		t.Error("it does not say that it hears of changes")
	}
	l.write(t, "hidden", 0, 1)
	l.guard.change(func(g *guard) { g.hides["hidden"] = true })

	granted, session := l.dial(t), l.dial(t)
	granted.say(`{"action":"subscribe","machine_id":"hidden"}`)
	if got := granted.want("error"); got.Message.Code != "unknown_machine" {
		t.Errorf("a hidden machine: %+v", got)
	}
	for _, s := range []*socket{granted, session} {
		s.say(`{"action":"subscribe","machine_id":"m"}`)
		s.want("subscribed")
		s.want("snapshot_message")
	}
	session.say(`{"action":"unsubscribe","machine_id":"m"}`)
	session.want("unsubscribed")

	l.guard.change(func(g *guard) { g.hides["m"] = true })
	l.tell(t)
	if code := granted.ends(); code != 4403 {
		t.Errorf("a grant ended, the socket with %d", code)
	}
	session.say(`{"action":"subscribe","machine_id":"m"}`) // which watches nothing, and lives on
	if got := session.want("error"); got.Message.Code != "unknown_machine" {
		t.Errorf("after the grant ended: %+v", got)
	}
	l.guard.change(func(g *guard) { g.ended = true })
	l.tell(t)
	if code := session.ends(); code != 4401 {
		t.Errorf("the session ended, the socket with %d", code)
	}
}

// A caller has so many sockets at the most, and a socket asks so often.
func TestCallerBounds(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxCallerSockets: 2})
	first := l.dial(t)
	l.dial(t)
	if _, response, err := websocket.Dial(t.Context(), l.server.URL, nil); err == nil ||
		response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third socket: %v, %v", response, err)
	}
	for range 500 {
		first.say(`{"action":"unsubscribe","machine_id":"m"}`)
	}
	for range 500 {
		if message := first.hear(); message.Type == "error" && message.Message.Code == "too_many_requests" {
			return
		}
	}
	t.Error("five hundred requests at once were all served")
}
