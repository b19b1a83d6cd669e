// Package spool is a queue on disk. It returns records in the order in which they were appended until they are removed,
// also after a kill or a reboot.
//
// A spool is a folder of segments: files that are named by the sequence number of their first record. A record is a
// header of 32 bytes, little-endian, and a payload:
//
//	magic     4  "SWQ1"
//	length    4  of the payload, in bytes
//	number    8  its sequence number, from 1
//	time      8  set by the caller, milliseconds since 1970
//	kind      1  set by the caller
//	          3  zero
//	checksum  4  CRC-32C of the header before it and of the payload
//
// A file named done has the number up to which all records are removed. It holds two copies, which are written in turn,
// each with its own checksum (8 + 4 bytes). The larger valid one applies. A segment is deleted when all of its records
// are removed. Damage is skipped record by record, and counted: a torn end, a flipped bit or a missing file costs only
// the records that it hits.
//
// Append writes at once, so that killing the process loses no record. Records are synced to the disk at most
// Config.SyncEvery later, and when a segment is full. A power failure loses what was appended since then. The done file
// is never synced: after a power failure some removed records may come out again.
package spool
