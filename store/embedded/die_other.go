//go:build !linux

package embedded

import "os/exec"

// dieWithParent does nothing: only Linux can do that.
func dieWithParent(*exec.Cmd) {}
