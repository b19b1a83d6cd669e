// Package collect samples the machine: its processes, the processes that have exited, and the system metrics. It turns
// totals into amounts per interval.
package collect
