package broadcaster

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// FuzzDecodeRequest checks that no message causes a panic, and that accepted requests are within the limits.
func FuzzDecodeRequest(f *testing.F) {
	for _, seed := range []string{
		`{"action":"subscribe","machine_id":"m"}`,
		`{"action":"unsubscribe","machine_id":"m","since":"2026-11-23T03:12:00Z"}`,
		`{"action":"subscribe"}`,
		`[]`,
		`{"action":1}`,
		`{"action":"subscribe","machine_id":"a\u0000b"}`,
		`{"a":{"b":[[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := decodeRequest(data)
		if err != nil {
			return
		}
		if request.Action != "subscribe" && request.Action != "unsubscribe" || request.MachineID == "" ||
			len(request.MachineID) > snapshot.MaxMachineIDBytes || strings.Contains(request.MachineID, "\x00") {
			t.Errorf("%q was accepted as %+v", data, request)
		}
	})
}
