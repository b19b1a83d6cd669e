package snapshot_test

import (
	"fmt"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestNoticesAreBounded(t *testing.T) {
	batch := make(map[string]snapshot.Time)
	for i := range 1000 {
		batch[fmt.Sprintf("%0128d", i)] = snapshot.Time(1_780_000_000_000) + snapshot.Time(i)
	}
	decoded := make(map[string]snapshot.Time)
	for _, payload := range snapshot.EncodeNotices(batch) {
		if len(payload) > snapshot.MaxNotice {
			t.Fatalf("a payload of %d bytes", len(payload))
		}
		keys, err := snapshot.DecodeNotices(payload)
		if err != nil {
			t.Fatal(err)
		}
		for machineID, ts := range keys {
			decoded[machineID] = ts
		}
	}
	if len(decoded) != len(batch) {
		t.Fatalf("%d of %d keys arrived", len(decoded), len(batch))
	}
	for _, bad := range []string{"", "m", "m x", " 5", "m 5,"} {
		if _, err := snapshot.DecodeNotices(bad); err == nil {
			t.Errorf("%q was read as keys", bad)
		}
	}
}
