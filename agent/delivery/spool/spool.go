package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/internal/strictpath"
)

// Config configures a spool. Zero values mean the defaults.
type Config struct {
	// Dir is the folder. It is created if it is missing.
	Dir string
	// MaxBytes is the size of all segments at which Full returns true; 64 MiB by default.
	MaxBytes int64
	// SegmentBytes is the size at which the next segment starts; a sixteenth of MaxBytes and at most 4 MiB by default.
	SegmentBytes int64
	// SyncEvery is how long an appended record may stay unsynced; 10 s by default.
	SyncEvery time.Duration
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// SyncFile syncs a file to the disk; (*os.File).Sync by default. Tests of kills do not need the disk.
	SyncFile func(*os.File) error
	// SyncDir syncs the folder; strictpath.SyncDir by default.
	SyncDir func(dir string) error
}

// Spool is a queue on disk. It is for one goroutine at a time.
type Spool struct {
	cfg            Config
	segments       []segment // the oldest first; the last may be open
	file           *os.File  // the last segment, if it is open for writing
	unsynced       time.Time // time of the oldest write that is not synced; zero for none
	unlisted       bool      // the folder is not synced since the last segment was created
	doneFile       *os.File  // open after the first write
	doneSlot       int64     // the copy in the done file that is written next
	next           uint64    // default number of the next record
	newest         uint64    // number of the newest record that was written
	done           uint64    // every record up to this number is removed
	bytes          int64
	corruptRegions int
}

// segment is a file of records.
type segment struct {
	first uint64 // number of its first record, which is its name
	last  uint64
	bytes int64
}

const (
	segmentSuffix = ".seg"
	doneName      = "done"
)

// Open opens a spool, and reads the records in its folder. Damage is not an error; see Damages.
func Open(cfg Config) (*Spool, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = min(cfg.MaxBytes/16, 4<<20)
	}
	if cfg.SyncEvery == 0 {
		cfg.SyncEvery = 10 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SyncFile == nil {
		cfg.SyncFile = (*os.File).Sync
	}
	if cfg.SyncDir == nil {
		cfg.SyncDir = strictpath.SyncDir
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the spool's folder: %w", err)
	}
	s := &Spool{cfg: cfg, next: 1}
	s.done = s.readDone()
	if err := s.load(); err != nil {
		return nil, err
	}
	s.next = max(s.next, s.done+1)
	return s, nil
}

// load finds the segments, and reads each one to find its last record.
func (s *Spool) load() error {
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read the spool's folder: %w", err)
	}
	for _, entry := range entries {
		digits, isSegment := strings.CutSuffix(entry.Name(), segmentSuffix)
		first, err := strconv.ParseUint(digits, 10, 64)
		if !isSegment || err != nil || entry.IsDir() {
			continue
		}
		records, size, err := s.read(first)
		if err != nil {
			s.corruptRegions++ // the file stays, so that it can be inspected
			continue
		}
		one := segment{first: first, bytes: size}
		for i := range records {
			one.last = max(one.last, records[i].Number)
		}
		s.segments = append(s.segments, one)
		s.bytes += size
		s.newest = max(s.newest, one.last)
		s.next = max(s.next, first, one.last+1)
	}
	slices.SortFunc(s.segments, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return s.deleteRemoved()
}

func (s *Spool) path(first uint64) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// read returns the undamaged records of a segment, and the size of the file.
func (s *Spool) read(first uint64) ([]Record, int64, error) {
	text, err := os.ReadFile(s.path(first))
	if err != nil {
		return nil, 0, fmt.Errorf("read a segment: %w", err)
	}
	records, corruptRegions := parseAll(text)
	s.corruptRegions += corruptRegions
	return records, int64(len(text)), nil
}

// Append writes a record. If record.Number is 0, Append sets it to the next number; otherwise it must be higher than
// that of the newest record. The number is used even if Append fails. The caller may then append the record again with
// the same number. Records that were written before are not affected by a failure.
func (s *Spool) Append(record *Record) error {
	if record.Number == 0 {
		record.Number = s.next
	}
	s.next = max(s.next, record.Number+1)
	switch {
	case len(record.Payload) > MaxPayload:
		return fmt.Errorf("append a record of %d bytes: the limit is %d", len(record.Payload), MaxPayload)
	case record.Number < s.newest:
		return fmt.Errorf("append record %d: record %d is newer", record.Number, s.newest)
	case record.Number == s.newest: // it is written; only syncing it failed
		return s.Sync()
	}
	if s.file == nil || s.segments[len(s.segments)-1].bytes >= s.cfg.SegmentBytes {
		if err := s.startSegment(record.Number); err != nil {
			return err
		}
	}
	if err := s.write(record); err != nil {
		return err
	}
	if s.unsynced.IsZero() {
		s.unsynced = s.cfg.Now()
	}
	if s.cfg.Now().Sub(s.unsynced) >= s.cfg.SyncEvery {
		return s.Sync()
	}
	return nil
}

// write writes a record to the open segment.
func (s *Spool) write(record *Record) error {
	current := &s.segments[len(s.segments)-1]
	text := record.appendTo(nil)
	if _, err := s.file.Write(text); err != nil {
		// A part of the record may be in the file. Cut it off, and continue in another segment.
		_ = s.file.Truncate(current.bytes)
		s.close()
		if current.bytes == 0 {
			_ = os.Remove(s.path(current.first))
			s.segments = s.segments[:len(s.segments)-1]
		}
		return fmt.Errorf("write a record: %w", err)
	}
	current.last, s.newest = record.Number, record.Number
	current.bytes += int64(len(text))
	s.bytes += int64(len(text))
	return nil
}

// startSegment syncs the current segment, and creates one whose first record has the given number.
func (s *Spool) startSegment(first uint64) error {
	err := s.Sync()
	s.close()
	if s.doneFile != nil {
		_ = s.doneFile.Close()
		s.doneFile = nil
	}
	if err != nil {
		return err
	}
	file, err := s.create(first)
	if errors.Is(err, fs.ErrExist) { // Open could not read it, or it was left by a failed write: move it out of the way
		if err = os.Rename(s.path(first), s.path(first)+".unreadable"); err == nil {
			file, err = s.create(first)
		}
	}
	if err != nil {
		return fmt.Errorf("create a segment: %w", err)
	}
	s.file, s.unlisted = file, true
	s.segments = append(s.segments, segment{first: first})
	return nil
}

func (s *Spool) create(first uint64) (*os.File, error) {
	return os.OpenFile(s.path(first), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

func (s *Spool) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file, s.unsynced = nil, time.Time{}
	}
}

// Sync syncs the appended records to the disk, so that they survive a power failure.
func (s *Spool) Sync() error {
	if s.file == nil || s.unsynced.IsZero() {
		return nil
	}
	if err := s.cfg.SyncFile(s.file); err != nil {
		return fmt.Errorf("sync a segment: %w", err)
	}
	if s.unlisted { // otherwise a power failure could remove the new file from the folder
		if err := s.cfg.SyncDir(s.cfg.Dir); err != nil {
			return fmt.Errorf("sync a segment: %w", err)
		}
		s.unlisted = false
	}
	s.unsynced = time.Time{}
	return nil
}

// After returns records that follow a number: those of the first segment that has any. It returns none only if there
// are none at all. It fails if a segment cannot be read at the moment. A segment whose file was deleted has no records.
func (s *Spool) After(number uint64) ([]Record, error) {
	for _, one := range s.segments {
		if one.last <= number || one.last <= s.done {
			continue
		}
		before := s.corruptRegions
		records, _, err := s.read(one.first)
		s.corruptRegions = before // Open or Append has counted the damage
		if _, gone := os.Stat(s.cfg.Dir); errors.Is(err, fs.ErrNotExist) && gone == nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(r Record) bool { return r.Number <= number || r.Number <= s.done })
		if len(records) > 0 {
			return records, nil
		}
	}
	return nil, nil
}

// Remove removes every record up to a number.
func (s *Spool) Remove(through uint64) error {
	if through <= s.done {
		return nil
	}
	s.done = through
	if err := s.writeDone(); err != nil {
		return err
	}
	return s.deleteRemoved()
}

// deleteRemoved deletes the segments whose records are all removed. The open segment stays until the next one starts.
func (s *Spool) deleteRemoved() error {
	var errs []error
	var open uint64 // name of the open segment
	if s.file != nil {
		open = s.segments[len(s.segments)-1].first
	}
	s.segments = slices.DeleteFunc(s.segments, func(one segment) bool {
		if one.first == open || one.last > s.done {
			return false
		}
		if err := s.unlink(one); err != nil {
			errs = append(errs, err)
			return false
		}
		return true
	})
	return errors.Join(errs...)
}

func (s *Spool) unlink(one segment) error {
	if err := os.Remove(s.path(one.first)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a segment: %w", err)
	}
	s.bytes -= one.bytes
	return nil
}

// Full reports whether the segments exceed Config.MaxBytes.
func (s *Spool) Full() bool { return s.bytes > s.cfg.MaxBytes }

// DropOldest removes the oldest segment, even if its file cannot be deleted, and returns those of its records that were
// not removed before.
func (s *Spool) DropOldest() ([]Record, error) {
	if len(s.segments) == 0 {
		return nil, nil
	}
	one := s.segments[0]
	records, _, err := s.read(one.first)
	if err != nil {
		records = nil // the file is missing
	}
	records = slices.DeleteFunc(records, func(r Record) bool { return r.Number <= s.done })
	if len(s.segments) == 1 {
		s.close()
	}
	s.segments = s.segments[1:]
	s.bytes -= one.bytes
	s.done = max(s.done, one.last)
	err = os.Remove(s.path(one.first))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return records, errors.Join(err, s.writeDone())
}

// Bytes returns the size of all segments.
func (s *Spool) Bytes() int64 { return s.bytes }

// CorruptRegions returns the number of places that were skipped because they are corrupt.
func (s *Spool) CorruptRegions() int { return s.corruptRegions }

// RemovedThrough returns the number up to which every record is removed.
func (s *Spool) RemovedThrough() uint64 { return s.done }

// Last returns the number of the newest record that there ever was.
func (s *Spool) Last() uint64 { return s.next - 1 }

// Close syncs the records, and closes the files.
func (s *Spool) Close() error {
	err := s.Sync()
	s.close()
	return err
}
