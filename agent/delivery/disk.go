package delivery

import (
	"log/slog"
	"time"

	"github.com/snapwatch/snapwatch/agent/delivery/spool"
	"github.com/snapwatch/snapwatch/snapshot"
)

// readWindow is how much of the entries on disk is kept in memory, in bytes of JSON.
const readWindow = 4 << 20

// unreadableLimit is how long entries that cannot be read hold back the entries after them.
const unreadableLimit = 10 * time.Minute

// diskTier is the part of the queue that is on disk. The oldest entries, which are sent next, are in memory as well.
type diskTier struct {
	spool  *spool.Spool
	codec  *Codec
	logger *slog.Logger
	window int // bound of loaded, in bytes of JSON

	loaded fifo
	// loadedThrough is the number up to which every entry is in loaded, or is gone.
	loadedThrough uint64
	written       uint64    // number of the newest entry on disk
	failing       bool      // the last write failed
	unreadable    time.Time // since when the next entry cannot be read; zero if it can
}

func newDiskTier(s *spool.Spool, codec *Codec, logger *slog.Logger) *diskTier {
	return &diskTier{
		spool:         s,
		codec:         codec,
		logger:        logger,
		window:        readWindow,
		loadedThrough: s.RemovedThrough(),
		written:       s.Last(),
	}
}

// behind reports whether there are entries on disk that are not in memory.
func (d *diskTier) behind() bool { return d.loadedThrough < d.written }

// write appends an entry. Entries must come in the order of their numbers.
func (d *diskTier) write(e Entry) error {
	record := spool.Record{
		Number:  e.Number,
		Time:    int64(e.Timestamp),
		Kind:    kindByte(e.Kind),
		Payload: d.codec.Compress(e.JSON),
	}
	if err := d.spool.Append(&record); err != nil {
		return err
	}
	keep := !d.behind() && (d.loaded.empty() || d.loaded.bytes+len(e.JSON) <= d.window)
	d.written = e.Number
	if keep {
		d.loaded.push(e)
		d.loadedThrough = e.Number
	}
	return nil
}

// load reads the next entries if none is in memory. It returns how many are lost because they are damaged. It returns
// false if there are entries which cannot be read at the moment.
func (d *diskTier) load() (lost int, ok bool) {
	for d.loaded.empty() && d.behind() {
		records, err := d.spool.After(d.loadedThrough)
		if err != nil {
			given, gaveUp := d.giveUp(err)
			lost += given
			if !gaveUp {
				return lost, false
			}
			continue
		}
		d.unreadable = time.Time{}
		lost += d.decode(records)
		if d.loaded.empty() {
			d.remove(d.loadedThrough)
		}
	}
	return lost, true
}

// decode loads as many records as the window has room for, and returns how many are lost because they are damaged.
func (d *diskTier) decode(records []spool.Record) (lost int) {
	if len(records) == 0 { // the remaining numbers were never written, or are damaged
		d.loadedThrough = d.written
	}
	for i := range records {
		if d.loaded.bytes > d.window {
			break
		}
		r := &records[i]
		d.loadedThrough = r.Number
		text, err := d.codec.Decompress(r.Payload)
		if err != nil {
			d.logger.Warn("a snapshot on disk is damaged and is dropped", "err", err)
			lost++
			continue
		}
		d.loaded.push(Entry{Number: r.Number, Timestamp: snapshot.Time(r.Time), Kind: kindOf(r.Kind), JSON: text})
	}
	return lost
}

// giveUp drops the oldest segment if the next entries could not be read for unreadableLimit.
func (d *diskTier) giveUp(err error) (lost int, gaveUp bool) {
	if d.unreadable.IsZero() {
		d.unreadable = time.Now()
		d.logger.Error("could not read snapshots on disk", "err", err)
	}
	if time.Since(d.unreadable) < unreadableLimit {
		return 0, false
	}
	d.logger.Error("could not read snapshots on disk for too long; dropping them", "err", err)
	d.unreadable = time.Time{}
	return max(1, d.dropSegment()), true
}

// dropSegment deletes the oldest segment of the spool, and returns how many entries were in it.
func (d *diskTier) dropSegment() int {
	records, err := d.spool.DropOldest()
	if err != nil {
		d.logger.Warn("could not delete the oldest snapshots on disk", "err", err)
	}
	d.loaded.removeThrough(d.spool.RemovedThrough())
	d.loadedThrough = max(d.loadedThrough, d.spool.RemovedThrough())
	return len(records)
}

// remove removes the entries up to a number.
func (d *diskTier) remove(through uint64) {
	d.loaded.removeThrough(through)
	d.loadedThrough = max(d.loadedThrough, through)
	if err := d.spool.Remove(through); err != nil && !d.failing {
		d.logger.Warn("could not record which snapshots are delivered; some may be sent again", "err", err)
	}
}

// size returns the number of entries, and their bytes. Of entries that are not in memory, it includes numbers that were
// never written.
func (d *diskTier) size() (entries, bytes int) {
	if !d.behind() {
		return len(d.loaded.entries), d.loaded.bytes
	}
	return len(d.loaded.entries) + int(d.written-max(d.loadedThrough, d.spool.RemovedThrough())), int(d.spool.Bytes())
}

func kindByte(kind snapshot.Kind) byte {
	if kind == snapshot.KindChanges {
		return 1
	}
	return 0
}

func kindOf(b byte) snapshot.Kind {
	if b == 1 {
		return snapshot.KindChanges
	}
	return snapshot.KindFull
}
