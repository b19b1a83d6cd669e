package snapshot_test

import (
	"fmt"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestNotifications(t *testing.T) {
	newest := make(map[string]snapshot.Time)
	for i := range 1000 {
		newest[fmt.Sprintf("%0128d", i)] = snapshot.Time(1_780_000_000_000) + snapshot.Time(i)
	}
	decoded := make(map[string]snapshot.Time)
	for _, payload := range snapshot.EncodeNotifications(1_780_000_000_123, newest) {
		if len(payload) > snapshot.MaxNotificationBytes {
			t.Fatalf("a payload has %d bytes", len(payload))
		}
		committed, machines, err := snapshot.DecodeNotification(payload)
		if err != nil || committed != 1_780_000_000_123 {
			t.Fatal(committed, err)
		}
		for machineID, ts := range machines {
			decoded[machineID] = ts
		}
	}
	if len(decoded) != len(newest) {
		t.Fatalf("decoded %d of %d machines", len(decoded), len(newest))
	}
	for _, bad := range []string{"", "1", "1,", "m 5", "x,m 5", "1,m", "1,m x", "1, 5", "1,m 5,"} {
		if _, _, err := snapshot.DecodeNotification(bad); err == nil {
			t.Errorf("the malformed payload %q was decoded", bad)
		}
	}
}
