package broadcaster

import (
	"context"
	"time"

	"github.com/snapwatch/snapwatch/store/accounts"
)

// recheckInterval is the time between two checks of all sockets, for sessions whose expiry was postponed after they
// opened a socket.
const recheckInterval = 15 * time.Second

// listeningChanged is called when the listener begins or ceases to receive notifications. When it begins, all that
// notifications announce may have changed before.
func (b *Broadcaster) listeningChanged(listening bool) {
	b.cfg.OnListening(listening)
	b.recheck.Notify()
	if listening {
		b.cfg.OnSettingsChange()
		b.wakeAllTopics()
	}
}

// accessChanged requests a check of all sockets, because permissions have changed.
func (b *Broadcaster) accessChanged(change accounts.Change) {
	b.cfg.OnAccessChange(change)
	if !change.OnlyAgents {
		b.recheck.Notify()
	}
}

// checkAccess closes sockets whose callers are no longer allowed to watch, until ctx is canceled.
func (b *Broadcaster) checkAccess(ctx context.Context) {
	ticker := time.NewTicker(recheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.recheck:
		case <-ticker.C:
		}
		b.mu.Lock()
		clients := make([]*client, 0, len(b.clients))
		for c := range b.clients {
			clients = append(clients, c)
		}
		b.mu.Unlock()
		for _, c := range clients {
			err := b.checkClient(ctx, c)
			if c.session.Request.Context().Err() != nil {
				continue // the client has disconnected
			}
			if err != nil && ctx.Err() == nil {
				b.logger.Warn("could not check access of live connections", "err", err)
				break // the database is unavailable: the next check tries again
			}
		}
	}
}

// checkClient closes a socket if the caller's credential has expired or access to a watched machine was
// revoked.
func (b *Broadcaster) checkClient(ctx context.Context, c *client) error {
	// The authorizer needs the request's context, which identifies the caller, and must stop with ctx too.
	callerCtx, cancel := context.WithTimeout(c.session.Request.Context(), readTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	valid, err := b.authorizer.CredentialValid(callerCtx)
	if err != nil {
		return err
	}
	if !valid {
		c.close(closeCredentialExpired, "the session or token is no longer valid")
		return nil
	}
	for _, machineID := range c.watched() {
		allowed, err := b.authorizer.MayWatch(callerCtx, "subscribe", machineID)
		if err != nil {
			return err
		}
		if !allowed {
			c.close(closeAccessRevoked, "access to a machine was revoked")
			return nil
		}
	}
	return nil
}
