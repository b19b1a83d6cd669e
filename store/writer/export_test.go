package writer

// CachedProcesses returns how many processes the run cache holds.
func (w *Writer) CachedProcesses() int { return w.runs.size() }
