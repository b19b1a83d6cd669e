//go:build !unix

package doctor

// ownFileLimit returns 0, because this system has no limit of open files.
func ownFileLimit() uint64 { return 0 }
