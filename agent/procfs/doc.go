// Package procfs lists the processes of this machine: who they are (identity, with secrets removed from the command
// line) and what they use (CPU time, memory, threads, I/O and open files, as totals since the start of the process).
//
// On Linux it reads /proc itself. This costs a small part of what gopsutil needs (BenchmarkReaders has the ratios), and
// start times have the kernel's resolution of 10 ms, where gopsutil rounds to seconds. On other systems the same Reader
// is built on gopsutil.
package procfs
