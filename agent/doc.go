// Package agent watches the machine it runs on: it samples the system and every
// process, encodes full and changes snapshots, and posts them in batches,
// obeying the config that comes back with each acknowledgement.
//
// Two loops share a queue. The sampling loop never waits for the network; the
// sending loop never touches /proc. Each snapshot is written to a spool on disk when it
// is taken, so that a kill or a restart loses none. The spool is bounded in bytes: when
// the server is away for too long the oldest snapshots go, counted.
package agent
