// Package snapshot holds snapwatch's vocabulary: machines, snapshots and
// processes, the JSON they travel in, the limits they keep to, the replay that
// turns sparse changes back into full process lists, and the process tree.
//
// It does no I/O and imports nothing else of snapwatch, so that the agent, the
// server and the tests all speak of the same things.
//
// Units, everywhere: sizes in bytes, durations in milliseconds (polling
// intervals in seconds), CPU usage in percent (of one core for a process, of
// the whole machine for a machine), times in UTC with millisecond precision.
package snapshot
