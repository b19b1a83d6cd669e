package snapshot

import (
	"fmt"
	"strconv"
	"strings"
)

// NotificationChannel is the NOTIFY channel on which the store tells what it has
// committed, and which the broadcaster listens to.
const NotificationChannel = "snapwatch_snapshots"

// MaxNotificationBytes is the longest payload that PostgreSQL takes, in bytes.
const MaxNotificationBytes = 7999

// EncodeNotifications packs keys into payloads: the time of the oldest commit that they
// tell of, in milliseconds since 1970, and then "machine_id ts" for each machine,
// joined by commas. Machine ids hold neither blanks nor commas.
func EncodeNotifications(committed Time, batch map[string]Time) []string {
	var payloads []string
	var b strings.Builder
	begin := strconv.FormatInt(int64(committed), 10)
	b.WriteString(begin)
	for machineID, ts := range batch {
		part := machineID + " " + strconv.FormatInt(int64(ts), 10)
		if b.Len()+1+len(part) > MaxNotificationBytes {
			payloads = append(payloads, b.String())
			b.Reset()
			b.WriteString(begin)
		}
		b.WriteByte(',')
		b.WriteString(part)
	}
	return append(payloads, b.String())
}

// DecodeNotification reads a payload: when the oldest commit was, and the newest
// committed instant per machine.
func DecodeNotification(payload string) (committed Time, keys map[string]Time, err error) {
	first, rest, _ := strings.Cut(payload, ",")
	ms, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("%q is not the time of a commit", first)
	}
	keys = make(map[string]Time)
	for part := range strings.SplitSeq(rest, ",") {
		machineID, text, ok := strings.Cut(part, " ")
		ts, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || machineID == "" {
			return 0, nil, fmt.Errorf("%q is not a machine and an instant", part)
		}
		keys[machineID] = Time(ts)
	}
	return Time(ms), keys, nil
}
