//go:build !linux

package embedded

// LowerPriority does nothing on this system.
func (c *Cluster) LowerPriority(uint32) {}
