package broadcaster

import (
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// FuzzDecodeRequest: no message panics, and what is taken is within its limits.
func FuzzDecodeRequest(f *testing.F) {
	for _, seed := range []string{`{"action":"subscribe","machine_id":"m"}`, `{"action":"unsubscribe","machine_id":"m","since":"2026-11-23T03:12:00Z"}`, `{"action":"subscribe"}`, `[]`, `{"action":1}`, `{"a":{"b":[[[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := decodeRequest(data)
		if err != nil {
			return
		}
		if request.Action != "subscribe" && request.Action != "unsubscribe" || request.MachineID == "" ||
			len(request.MachineID) > snapshot.MaxMachineIDBytes {
			t.Errorf("%q was taken as %+v", data, request)
		}
	})
}
