package api

// Limits, for tests.
const (
	MaxCallerExports = maxCallerExports
	MaxPageProcesses = maxPageProcesses
)

// OpenExports returns the number of open exports.
func (a *API) OpenExports() int {
	a.exports.mu.Lock()
	defer a.exports.mu.Unlock()
	return a.exports.open
}

// RunningReads returns the number of reads that have their turn.
func (a *API) RunningReads() int {
	a.reads.mu.Lock()
	defer a.reads.mu.Unlock()
	return a.reads.running
}
