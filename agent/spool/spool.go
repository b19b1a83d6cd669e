package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config bounds a spool. Zero values mean the defaults.
type Config struct {
	// Dir is the folder; it is made if it is missing.
	Dir string
	// MaxBytes bounds the segments together; 256 MiB by default. What passes it makes
	// the oldest segment go.
	MaxBytes int64
	// SegmentBytes is how large a segment becomes before the next begins; a sixteenth
	// of MaxBytes, and at most 4 MiB, by default.
	SegmentBytes int64
	// SyncEvery is how much of the newest a loss of power may cost; 10 s by default.
	SyncEvery time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Spool is the queue. It is for one goroutine at a time.
type Spool struct {
	cfg      Config
	segments []segment // the oldest first; the last may be open
	file     *os.File  // the last segment, if it is being written
	written  time.Time // when the oldest write that is not synced was made; zero for none
	note     *os.File  // the done file, if it was written
	slot     int64     // of the note that is written next
	next     uint64    // number of the next record
	done     uint64    // everything up to here is removed
	bytes    int64
	damages  int
}

// segment is a file.
type segment struct {
	first uint64 // number of its first record, and its name
	last  uint64
	bytes int64
}

const (
	segmentSuffix = ".seg"
	doneName      = "done"
)

// Open reads what is in the folder. Damage is no error: Damages counts it.
func Open(cfg Config) (*Spool, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 256 << 20
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
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool's folder: %w", err)
	}
	s := &Spool{cfg: cfg, next: 1}
	s.done = s.readDone()
	if err := s.load(); err != nil {
		return nil, err
	}
	s.next = max(s.next, s.done+1)
	return s, nil
}

// load finds the segments. Each is read once, to know its last record.
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
			s.damages++ // it stays where it is, for somebody to look at
			continue
		}
		one := segment{first: first, bytes: size}
		for i := range records {
			one.last = max(one.last, records[i].Number)
		}
		s.segments = append(s.segments, one)
		s.bytes += size
		s.next = max(s.next, first, one.last+1)
	}
	slices.SortFunc(s.segments, func(a, b segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	return s.tidy()
}

func (s *Spool) path(first uint64) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// read returns the sound records of a segment and the file's size.
func (s *Spool) read(first uint64) ([]Record, int64, error) {
	text, err := os.ReadFile(s.path(first))
	if err != nil {
		return nil, 0, fmt.Errorf("read a segment: %w", err)
	}
	records, damages := parseAll(text)
	s.damages += damages
	return records, int64(len(text)), nil
}

// Append writes a record and gives it its number, which it has even if it could not be
// written. What was there before is still there in any case.
func (s *Spool) Append(record *Record) error {
	record.Number = s.next
	s.next++
	if len(record.Payload) > MaxPayload {
		return fmt.Errorf("a record of %d bytes: at most %d fit", len(record.Payload), MaxPayload)
	}
	if s.file == nil || s.segments[len(s.segments)-1].bytes >= s.cfg.SegmentBytes {
		if err := s.begin(record.Number); err != nil {
			return err
		}
	}
	current := &s.segments[len(s.segments)-1]
	text := record.appendTo(nil)
	if _, err := s.file.Write(text); err != nil {
		// A part of it may be there. Cut it off, and go on in another segment.
		_ = s.file.Truncate(current.bytes)
		s.close()
		return fmt.Errorf("write a record: %w", err)
	}
	current.last = record.Number
	current.bytes += int64(len(text))
	s.bytes += int64(len(text))
	if s.written.IsZero() {
		s.written = s.cfg.Now()
	}
	if s.cfg.Now().Sub(s.written) >= s.cfg.SyncEvery {
		return s.Sync()
	}
	return nil
}

// begin makes the segment that a record is the first of; the one before is synced.
func (s *Spool) begin(first uint64) error {
	err := s.Sync()
	s.close()
	if s.note != nil {
		_ = s.note.Close()
		s.note = nil
	}
	if err != nil {
		return err
	}
	file, err := os.OpenFile(s.path(first), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make a segment: %w", err)
	}
	s.file = file
	s.segments = append(s.segments, segment{first: first})
	return nil
}

func (s *Spool) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file, s.written = nil, time.Time{}
	}
}

// Sync makes what was appended outlast a loss of power.
func (s *Spool) Sync() error {
	if s.file == nil || s.written.IsZero() {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync a segment: %w", err)
	}
	s.written = time.Time{}
	return nil
}

// After returns the records that follow a number, of one segment: none only if there
// are no more at all. It returns an error if a segment cannot be read, which may pass;
// one whose file is gone is no more.
func (s *Spool) After(number uint64) ([]Record, error) {
	for _, one := range s.segments {
		if one.last <= number || one.last <= s.done {
			continue
		}
		before := s.damages
		records, _, err := s.read(one.first)
		s.damages = before // it was counted when it was loaded
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

// Remove says that everything up to a number is done.
func (s *Spool) Remove(through uint64) error {
	if through <= s.done {
		return nil
	}
	s.done = through
	if err := s.writeDone(); err != nil {
		return err
	}
	return s.tidy()
}

// tidy deletes segments that are done. One that is open is left until the next begins.
func (s *Spool) tidy() error {
	var errs []error
	var open uint64 // the name of the one that is being written
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

// Full reports whether the bound is passed.
func (s *Spool) Full() bool { return s.bytes > s.cfg.MaxBytes }

// DropOldest takes out the oldest segment, whatever becomes of its file, and returns its
// records that were not done.
func (s *Spool) DropOldest() ([]Record, error) {
	if len(s.segments) == 0 {
		return nil, nil
	}
	one := s.segments[0]
	records, _, err := s.read(one.first)
	if err != nil {
		records = nil // it is gone already
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

// Bytes is what the segments take.
func (s *Spool) Bytes() int64 { return s.bytes }

// Damages counts the places that were skipped because they are damaged.
func (s *Spool) Damages() int { return s.damages }

// Done is the number up to which everything is removed, and Last that of the newest
// record that there ever was.
func (s *Spool) Done() uint64 { return s.done }

// Last is the number of the newest record that there ever was.
func (s *Spool) Last() uint64 { return s.next - 1 }

// Close syncs and closes; what is in the folder stays.
func (s *Spool) Close() error {
	err := s.Sync()
	s.close()
	return err
}

// readDone returns the number in the done file; 0, so that all comes out again, if it
// is missing or damaged.
func (s *Spool) readDone() uint64 {
	text, err := os.ReadFile(filepath.Join(s.cfg.Dir, doneName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	var done uint64
	whole := false
	for at := range slices.Chunk(text, noteBytes) {
		if len(at) == noteBytes && crc32.Checksum(at[:8], castagnoli) == binary.LittleEndian.Uint32(at[8:]) {
			done, whole = max(done, binary.LittleEndian.Uint64(at)), true
		}
	}
	if !whole {
		s.damages++
	}
	return done
}

// noteBytes is the size of a note in the done file: the number, and its check.
const noteBytes = 12

// writeDone writes the older of the two notes: whatever becomes of it, the other is there.
// This is done after each post, and takes a hundredth of what replacing a file would.
func (s *Spool) writeDone() error {
	if s.note == nil {
		var err error
		if s.note, err = os.OpenFile(filepath.Join(s.cfg.Dir, doneName), os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
			return fmt.Errorf("note what is done: %w", err)
		}
	}
	text := binary.LittleEndian.AppendUint64(nil, s.done)
	text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
	if _, err := s.note.WriteAt(text, s.slot*noteBytes); err != nil {
		return fmt.Errorf("note what is done: %w", err)
	}
	s.slot = 1 - s.slot
	return nil
}
