package broadcaster

import (
	"context"
	"time"
)

// recheckEvery is how often sockets are looked at without a reason: sessions and
// tokens also end by the clock.
const recheckEvery = 15 * time.Second

// accessChanged asks for a look at the sockets: somebody may have lost what they
// could do.
func (b *Broadcaster) accessChanged(hearing bool) {
	b.cfg.OnAccessChange(hearing)
	select {
	case b.recheck <- struct{}{}:
	default:
	}
}

// watchAccess closes the sockets of those who may not watch any more, until ctx ends.
func (b *Broadcaster) watchAccess(ctx context.Context) {
	ticker := time.NewTicker(recheckEvery)
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
			err := b.review(ctx, c)
			if c.session.Request.Context().Err() != nil {
				continue // it has gone by itself
			}
			if err != nil && ctx.Err() == nil {
				b.logger.Warn("could not tell who may still watch", "err", err)
				break // the database is away; the next round comes
			}
		}
	}
}

// review closes one socket if its caller's credential, or a machine's grant, has ended.
func (b *Broadcaster) review(ctx context.Context, c *client) error {
	asking, cancel := context.WithTimeout(c.session.Request.Context(), readTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	holds, err := b.authorizer.CredentialValid(asking)
	if err != nil {
		return err
	}
	if !holds {
		b.dismiss(c, closeEnded, "the session or token has ended")
		return nil
	}
	for _, machineID := range c.watched() {
		may, err := b.authorizer.MayWatch(asking, "subscribe", machineID)
		if err != nil {
			return err
		}
		if !may {
			b.dismiss(c, closeGrant, "a machine may not be watched any more")
			return nil
		}
	}
	return nil
}

func (b *Broadcaster) dismiss(c *client, code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.end(code, reason)
	}
}
