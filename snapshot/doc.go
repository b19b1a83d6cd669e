// Package snapshot defines the data that agents send and the server stores: machines, snapshots and
// processes, their JSON form, the limits on them, the replay of changes into full process lists, and the
// process tree.
//
// It does no I/O and imports no other package of this module. The agent, the server and the tests all use
// it.
//
// Units: sizes are in bytes, durations in milliseconds (polling intervals in seconds), and times in UTC with
// millisecond precision. CPU usage is in percent: of one core for a process, of all cores for a machine.
package snapshot
