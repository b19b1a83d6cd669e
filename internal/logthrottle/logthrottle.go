// Package logthrottle limits how often a log repeats a message, so that a fault that affects every request does not
// fill the disk.
package logthrottle

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// interval is the time in which a message is logged once.
	interval = time.Second
	// maxMessages is the maximum number of messages whose repetitions are counted. Others are all logged.
	maxMessages = 1000
)

// New returns a handler that passes each message with level warn or error to next at most once a second. The last of
// those that it leaves out is passed at the end of the second, with their number as the attribute "repeated".
func New(next slog.Handler) slog.Handler {
	return &handler{next, &messages{windows: make(map[string]*window)}}
}

// handler is a slog.Handler. Handlers with further attributes share the messages.
type handler struct {
	next slog.Handler
	seen *messages
}

// messages are the messages of the past second.
type messages struct {
	mu      sync.Mutex
	windows map[string]*window
}

// window is the second after a message was logged.
type window struct {
	repeated int
	last     slog.Record
	handler  slog.Handler // that of the last record, with its attributes
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.next.WithAttrs(attrs), h.seen}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.next.WithGroup(name), h.seen}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelWarn || h.seen.add(record, h.next) {
		return h.next.Handle(ctx, record)
	}
	return nil
}

// add reports whether a record is to be logged now. If not, it is counted.
func (m *messages) add(record slog.Record, next slog.Handler) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.windows[record.Message]; w != nil {
		w.repeated++
		w.last, w.handler = record.Clone(), next
		return false
	}
	if len(m.windows) < maxMessages {
		m.windows[record.Message] = &window{}
		time.AfterFunc(interval, func() { m.end(record.Message) })
	}
	return true
}

// end logs the last record of a window, if there is one. Then the next window begins.
func (m *messages) end(message string) {
	m.mu.Lock()
	w := m.windows[message]
	if w.repeated == 0 {
		delete(m.windows, message)
		m.mu.Unlock()
		return
	}
	m.windows[message] = &window{}
	time.AfterFunc(interval, func() { m.end(message) })
	m.mu.Unlock()
	w.last.AddAttrs(slog.Int("repeated", w.repeated))
	_ = w.handler.Handle(context.Background(), w.last)
}
