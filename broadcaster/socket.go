package broadcaster

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/olahol/melody"

	"github.com/snapwatch/snapwatch/internal/problem"
)

// clientKey is the key of a melody session's client.
const clientKey = "client"

func clientOf(s *melody.Session) *client { return s.MustGet(clientKey).(*client) }

// Handle upgrades a request to a WebSocket connection and serves it until it closes.
func (b *Broadcaster) Handle(c *gin.Context) {
	if !c.IsWebsocket() {
		problem.New(
			http.StatusUpgradeRequired, "websocket_needed", "This endpoint only accepts WebSocket connections.",
		).Write(c.Writer, c.Request)
		return
	}
	if b.sockets.Add(1) > int64(b.cfg.MaxSockets) || b.melody.IsClosed() {
		b.sockets.Add(-1)
		c.Header("Retry-After", "5")
		problem.New(
			http.StatusServiceUnavailable, "too_many_sockets",
			"The server has reached its maximum number of live connections. Try again later.",
		).Write(c.Writer, c.Request)
		return
	}
	b.running.Add(1)
	defer func() {
		b.sockets.Add(-1)
		b.running.Done()
	}()
	caller := b.authorizer.CallerKey(c.Request.Context())
	if !b.reserveSocket(caller) {
		c.Header("Retry-After", "5")
		p := problem.New(
			http.StatusTooManyRequests, "too_many_sockets",
			"You have reached the maximum number of live connections per user. Close one and try again.",
		)
		p.Limit = int64(b.cfg.MaxCallerSockets)
		p.Write(c.Writer, c.Request)
		return
	}
	defer b.releaseSocket(caller)
	if at := b.authorizer.CredentialExpires(c.Request.Context()); !at.IsZero() {
		defer time.AfterFunc(time.Until(at), b.recheck.Notify).Stop()
	}
	if err := b.melody.HandleRequest(c.Writer, c.Request); err != nil {
		b.logger.Info(
			"could not open a live connection", "request_id", problem.RequestID(c.Request.Context()), "err", err,
		)
	}
}

// reserveSocket counts a socket of a caller. It returns false if the caller has MaxCallerSockets already.
func (b *Broadcaster) reserveSocket(caller string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.callerSockets[caller] >= b.cfg.MaxCallerSockets {
		return false
	}
	b.callerSockets[caller]++
	return true
}

func (b *Broadcaster) releaseSocket(caller string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.callerSockets[caller]--; b.callerSockets[caller] <= 0 {
		delete(b.callerSockets, caller)
	}
}

// connect registers a new socket.
func (b *Broadcaster) connect(s *melody.Session) {
	c := newClient(s, b.cfg.MaxQueuedBytes, b.metrics)
	s.Set(clientKey, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[c] = true
}

// receive handles one message from a client.
func (b *Broadcaster) receive(c *client, data []byte) {
	if !c.requests.AllowN(b.cfg.Now(), 1) {
		c.send(message{data: encodeError(
			"", "too_many_requests", "This connection sends too many requests. Wait a second.",
		)})
		return
	}
	request, err := decodeRequest(data)
	if err != nil {
		c.send(message{data: encodeError(request.MachineID, "bad_request", err.Error())})
		return
	}
	ctx, cancel := context.WithTimeout(c.session.Request.Context(), readTimeout)
	defer cancel()
	allowed, err := b.authorizer.MayWatch(ctx, request.Action, request.MachineID)
	if err != nil {
		b.logger.Warn("could not check access to a machine", "machine_id", request.MachineID, "err", err)
		c.send(message{data: encodeError(
			request.MachineID, "unavailable", "The server could not check your access to this machine. Try again.",
		)})
		return
	}
	if !allowed { // the same answer as for a machine that does not exist, so that ids cannot be guessed
		c.send(unknownMachine(request.MachineID))
		return
	}
	if request.Action == "unsubscribe" {
		b.unsubscribe(c, request.MachineID)
		c.send(message{data: encodeUnsubscribed(request.MachineID)})
		return
	}
	if !b.subscribe(c, request) {
		c.send(message{data: encodeError(
			request.MachineID, "too_many_subscriptions",
			"This connection has reached its maximum number of subscriptions.",
		)})
	}
}

func unknownMachine(machineID string) message {
	return message{data: encodeError(machineID, "unknown_machine", "No machine with this ID exists.")}
}
