// Package filelock keeps two programs from using one directory at the same time.
package filelock

import "errors"

// ErrHeld says that another program holds the lock.
var ErrHeld = errors.New("another program uses it")
