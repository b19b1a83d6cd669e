// Package procevents receives the kernel's events about processes: that one started, called exec, or changed its user
// or name. The kernel sends them through the proc connector, to processes in the machine's own namespaces. Kernels
// older than 6.6 also require CAP_NET_ADMIN. Other systems do not have it.
package procevents
