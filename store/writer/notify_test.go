package writer_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestNotify(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: url, Retention: 24 * time.Hour})
	listener := storetest.Connect(t, url)
	if _, err := listener.Exec(t.Context(), "LISTEN "+snapshot.NotificationChannel); err != nil {
		t.Fatal(err)
	}
	series := snapshottest.NewMachine(1, 3).Series(storetest.Recent(), 3, time.Second, 1).Snapshots
	begin := snapshot.TimeOf(time.Now())
	for i := range series {
		storetest.Write(t, s, "m-1", series[i])
	}
	storetest.Write(t, s, "m-1", series...) // duplicates do not notify
	newest := snapshot.Time(0)
	for newest < series[2].Timestamp {
		note, err := listener.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		committed, keys, err := snapshot.DecodeNotification(note.Payload)
		if now := snapshot.TimeOf(time.Now()); committed < begin || committed > now {
			t.Errorf("the commit at %s is not between %s and %s", committed, begin, now)
		}
		if err != nil || keys["m-1"] <= newest {
			t.Fatalf("%q after %s (%v)", note.Payload, newest, err)
		}
		newest = keys["m-1"]
	}
}
