package store_test

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Every statement of docs/sql.md returns rows in both profiles.
func TestDocumentedSQL(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) < 10 {
		t.Fatalf("%d statements", len(blocks))
	}
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		machine := snapshottest.NewMachine(11, 40)
		machine.Churn, machine.ReportEnded = 0.01, true
		series := machine.Series(snapshot.TimeOf(time.Now().Add(-4*time.Hour)), 240, time.Minute, 5)
		for rest := series.Snapshots; len(rest) > 0; rest = rest[60:] {
			storetest.Write(t, s, "web-1", rest[:60]...)
		}
		conn := storetest.Connect(t, db.URL)
		for _, block := range blocks {
			rows, err := conn.Query(t.Context(), string(block[1]))
			found := 0
			for err == nil && rows.Next() {
				found++
			}
			if err == nil {
				err = rows.Err()
			}
			if err != nil || found == 0 {
				t.Errorf("%d rows, %v:\n%s", found, err, block[1])
			}
		}
	})
}
