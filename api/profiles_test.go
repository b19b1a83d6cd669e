package api_test

import (
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// TestProfiles runs the tests that read history with both storage profiles. They share one server per profile, because
// starting one with TimescaleDB takes seconds. Each test has machines of its own. The order matters: the first test
// lists all machines, testHistory searches all machines, and the last test changes the retention.
func TestProfiles(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := startOn(t, db, api.Config{})
		t.Run("machine life cycle", func(t *testing.T) { testMachineLifeCycle(t, s.in(t)) })
		t.Run("snapshots of a range", func(t *testing.T) { testSnapshotsOfARange(t, s.in(t)) })
		t.Run("tree and exclude", func(t *testing.T) { testTreeAndExclude(t, s.in(t)) })
		t.Run("invalid requests", func(t *testing.T) { testInvalidRequests(t, s.in(t)) })
		t.Run("history", func(t *testing.T) { testHistory(t, s.in(t)) })
		t.Run("CPU times in microseconds", func(t *testing.T) { testMicroseconds(t, s.in(t)) })
		t.Run("diff of unknown use", func(t *testing.T) { testDiffOfUnknownUse(t, s.in(t)) })
		t.Run("diff of missed processes", func(t *testing.T) { testDiffOfMissedProcesses(t, s.in(t)) })
		t.Run("diff of 3,814 processes that came and went", func(t *testing.T) { testDiffOfManyProcesses(t, s.in(t)) })
		t.Run("lists that are cut", func(t *testing.T) { testListsThatAreCut(t, s.in(t)) })
		t.Run("gaps", func(t *testing.T) { testGaps(t, s.in(t)) })
		t.Run("exit statuses", func(t *testing.T) { testExitStatuses(t, s.in(t)) })
		t.Run("find a minute", func(t *testing.T) { testFindMinute(t, s.in(t)) })
		t.Run("invalid history requests", func(t *testing.T) { testInvalidHistoryRequests(t, s.in(t)) })
		t.Run("short-lived processes", func(t *testing.T) { testShortLivedProcesses(t, s.in(t)) })
		t.Run("storage and retention", func(t *testing.T) { testStorageAndRetention(t, s.in(t)) })
	})
}
