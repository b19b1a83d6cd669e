// Package spool is a queue on disk that outlives the process: what was appended comes
// out in order until it is removed, after a kill and after a reboot too.
//
// It is a folder of segments, files named by the sequence number of their first
// record. A record has a header of 32 bytes, little-endian, and a payload:
//
//	magic   4  "SWQ1"
//	length  4  of the payload, bytes
//	number  8  its sequence number, from 1
//	time    8  what the caller gives, milliseconds since 1970
//	kind    1  what the caller gives
//	        3  zero
//	check   4  CRC-32C of the header before it and of the payload
//
// A file named done holds the number up to which everything has been removed, in two
// notes of which the larger counts, each with its check: 8 + 4 bytes. A segment is removed once all of it is done. Damage is skipped, record by record, and
// counted: a torn end, a flipped bit or a missing file costs what it hits, no more.
//
// Records are written when they are appended, so that killing the process loses none.
// They are synced to the disk at most Config.SyncEvery later, and with each new segment:
// a machine that loses power loses what was appended since. What is done is never
// synced: after a loss of power it may come out once more.
package spool
