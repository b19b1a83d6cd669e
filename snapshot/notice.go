package snapshot

import (
	"fmt"
	"strconv"
	"strings"
)

// NoticeChannel is the NOTIFY channel on which the store tells what it has
// committed, and which the broadcaster listens to.
const NoticeChannel = "snapwatch_snapshots"

// MaxNotice is the longest payload that PostgreSQL takes, in bytes.
const MaxNotice = 7999

// EncodeNotices packs keys, as "machine_id ts" joined by commas, into payloads.
// Machine ids hold neither blanks nor commas.
func EncodeNotices(batch map[string]Time) []string {
	var payloads []string
	var b strings.Builder
	for machineID, ts := range batch {
		part := machineID + " " + strconv.FormatInt(int64(ts), 10)
		if b.Len()+1+len(part) > MaxNotice {
			payloads = append(payloads, b.String())
			b.Reset()
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(part)
	}
	return append(payloads, b.String())
}

// DecodeNotices reads a payload: the newest committed instant per machine.
func DecodeNotices(payload string) (map[string]Time, error) {
	keys := make(map[string]Time)
	for part := range strings.SplitSeq(payload, ",") {
		machineID, text, ok := strings.Cut(part, " ")
		ms, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || machineID == "" {
			return nil, fmt.Errorf("%q is not a machine and an instant", part)
		}
		keys[machineID] = Time(ms)
	}
	return keys, nil
}
