package snapshot

import (
	"fmt"
	"strconv"
	"strings"
)

// NotificationChannel is the PostgreSQL NOTIFY channel for committed snapshots.
const NotificationChannel = "snapwatch_snapshots"

// MaxNotificationBytes is the maximum size of a NOTIFY payload in PostgreSQL, in bytes.
const MaxNotificationBytes = 7999

// EncodeNotifications encodes the newest committed instant of each machine into NOTIFY payloads. Each payload
// starts with the time of the oldest commit in milliseconds since 1970, followed by "machine_id timestamp"
// for each machine, separated by commas. Machine ids contain no spaces and no commas.
func EncodeNotifications(committed Time, newest map[string]Time) []string {
	var payloads []string
	var b strings.Builder
	header := strconv.FormatInt(int64(committed), 10)
	b.WriteString(header)
	for machineID, ts := range newest {
		entry := machineID + " " + strconv.FormatInt(int64(ts), 10)
		if b.Len()+1+len(entry) > MaxNotificationBytes {
			payloads = append(payloads, b.String())
			b.Reset()
			b.WriteString(header)
		}
		b.WriteByte(',')
		b.WriteString(entry)
	}
	return append(payloads, b.String())
}

// DecodeNotification decodes a NOTIFY payload into the time of the oldest commit and the newest committed
// instant of each machine.
func DecodeNotification(payload string) (committed Time, newest map[string]Time, err error) {
	header, entries, _ := strings.Cut(payload, ",")
	ms, err := strconv.ParseInt(header, 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("%q is not a commit time in milliseconds", header)
	}
	newest = make(map[string]Time)
	for entry := range strings.SplitSeq(entries, ",") {
		machineID, text, ok := strings.Cut(entry, " ")
		ts, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || machineID == "" {
			return 0, nil, fmt.Errorf("%q is not a machine id and a timestamp", entry)
		}
		newest[machineID] = Time(ts)
	}
	return Time(ms), newest, nil
}
