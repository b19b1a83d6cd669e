package broadcaster

import "github.com/snapwatch/snapwatch/snapshot"

// subscribe adds the client to the machine's topic, and starts the topic if there is none. A client that
// subscribes again receives the snapshots since request.Since again. subscribe returns false if the client
// has MaxSubscriptions already.
func (b *Broadcaster) subscribe(c *client, request LiveRequest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[request.MachineID]
	c.mu.Lock()
	if c.topics[request.MachineID] == nil && len(c.topics) >= b.cfg.MaxSubscriptions {
		c.mu.Unlock()
		return false
	}
	if t == nil {
		t = newTopic(b, request.MachineID)
		b.topics[request.MachineID] = t
		b.metrics.topics.Set(float64(len(b.topics)))
		b.running.Go(func() { t.run(b.ctx) })
	}
	c.topics[request.MachineID] = t
	c.mu.Unlock()
	t.add(subscription{client: c, since: request.Since, changes: request.Changes})
	return true
}

func (b *Broadcaster) unsubscribe(c *client, machineID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	t := c.topics[machineID]
	delete(c.topics, machineID)
	c.mu.Unlock()
	if t != nil {
		b.removeFromTopic(t, c)
	}
}

// disconnect removes a closed socket and its subscriptions.
func (b *Broadcaster) disconnect(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.clients, c)
	c.mu.Lock()
	topics := c.topics
	c.topics = make(map[string]*topic)
	c.closed, c.queue = true, nil
	c.mu.Unlock()
	for _, t := range topics {
		b.removeFromTopic(t, c)
	}
}

// removeFromTopic removes a client from a topic. The topic ends when its last client leaves.
// The caller holds b.mu.
func (b *Broadcaster) removeFromTopic(t *topic, c *client) {
	if t.remove(c) {
		b.deleteTopic(t)
	}
}

// deleteTopic removes a topic from the map. The caller holds b.mu.
func (b *Broadcaster) deleteTopic(t *topic) {
	if b.topics[t.machineID] == t {
		delete(b.topics, t.machineID)
		b.metrics.topics.Set(float64(len(b.topics)))
	}
}

// endUnknownTopic deletes the topic of a machine that does not exist and sends its clients an error.
func (b *Broadcaster) endUnknownTopic(t *topic) {
	b.mu.Lock()
	b.deleteTopic(t)
	clients := t.clients()
	b.mu.Unlock()
	for _, c := range clients {
		c.mu.Lock()
		if c.topics[t.machineID] == t {
			delete(c.topics, t.machineID)
		}
		c.mu.Unlock()
		c.send(unknownMachine(t.machineID))
	}
}

// wakeTopics makes the topics of machines with new snapshots read them.
func (b *Broadcaster) wakeTopics(newest map[string]snapshot.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for machineID := range newest {
		if t := b.topics[machineID]; t != nil {
			t.markStale()
		}
	}
}

// wakeAllTopics makes every topic read, because notifications may have been missed.
func (b *Broadcaster) wakeAllTopics() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.topics {
		t.markStale()
	}
}
