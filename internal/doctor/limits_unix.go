//go:build unix

package doctor

import "syscall"

// ownFileLimit returns this process's limit of open files, 0 if it is unknown. Go raises the soft limit of a program to
// the hard one.
func ownFileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Max
}
