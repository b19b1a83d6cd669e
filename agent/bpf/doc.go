// Package bpf reads the processes of this machine from the kernel, in one pass, and reports those that end. It does so
// with BPF programs, which are in the folder program. It needs Linux 5.8 or newer with BTF, CAP_BPF and CAP_PERFMON (or
// root), and the machine's own pid namespace. Everything that it reads is also in /proc and in the records of
// taskstats, but there it costs several times as much, and some of it is less exact:
//
//   - The CPU time of a thread is complete once the kernel has removed it, which is after its last record in taskstats.
//   - The I/O of a process does not include that of its children.
//   - The arguments of a program are copied when it starts, so that they are known however soon it ends.
package bpf
