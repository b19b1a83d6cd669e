// Package agent records this machine and sends the recordings to a server. It puts the parts together:
//
//   - procfs reads processes, exits reports those that have exited, and collect samples them and the system.
//   - The recorder in this package takes a sample at each interval, encodes a full snapshot or changes, and queues it.
//   - delivery keeps the queue on disk and sends it.
//
// The recorder and the sender are two loops that share the queue. The recorder never waits for the network, and the
// sender never reads /proc. The watchdog limits the agent's own CPU time and memory.
package agent
