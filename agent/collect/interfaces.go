package collect

import (
	"context"

	"github.com/shirou/gopsutil/v3/net"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/snapshot"
)

// interfaceReader reads what the network interfaces transferred.
type interfaceReader struct {
	before map[string]net.IOCountersStat
	// inTotal reports which interfaces are part of the machine's totals. It is nil if that is unknown.
	inTotal map[string]bool
}

// reset makes the next read a first one.
func (r *interfaceReader) reset() { r.before = nil }

// read returns the network interfaces. With refresh it also finds out which of them are part of the totals.
func (r *interfaceReader) read(ctx context.Context, refresh bool) []snapshot.Interface {
	counters, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return nil
	}
	for _, now := range counters {
		_, known := r.inTotal[now.Name]
		refresh = refresh || !known
	}
	if refresh {
		names := make([]string, len(counters))
		for i := range counters {
			names[i] = counters[i].Name
		}
		r.inTotal = interfacesInTotal(names)
	}
	before := r.before
	r.before = make(map[string]net.IOCountersStat, len(counters))
	var list []snapshot.Interface
	for _, now := range counters {
		if _, twice := r.before[now.Name]; twice || now.Name == "" || len(list) == snapshot.MaxDevices {
			continue
		}
		r.before[now.Name] = now
		i := snapshot.Interface{Name: clean.Text(now.Name, snapshot.MaxTextBytes)}
		if counted, known := r.inTotal[now.Name]; known {
			i.InTotal = &counted
		}
		if then, ok := before[now.Name]; ok {
			i.ReceivedBytes = increase(now.BytesRecv, then.BytesRecv)
			i.SentBytes = increase(now.BytesSent, then.BytesSent)
		}
		list = append(list, i)
	}
	return list
}
