package writer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestRunCacheIsBounded(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, func(c *store.Config) { c.RunCacheSize = 100 })
	series := snapshottest.NewMachine(1, 30).Series(storetest.Recent(), 2, time.Second, 2).Snapshots
	for i := range 10 {
		storetest.Write(t, s, fmt.Sprintf("m-%d", i), series...)
	}
	if held := s.CachedProcesses(); held > 100 || held == 0 {
		t.Fatalf("%d processes are held, at most 100 may be", held)
	}
}
