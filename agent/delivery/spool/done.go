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
)

// readDone returns the number in the done file. If the file is missing or damaged it returns 0, so that every record
// comes out again.
func (s *Spool) readDone() uint64 {
	text, err := os.ReadFile(filepath.Join(s.cfg.Dir, doneName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	var done uint64
	valid := false
	for at := range slices.Chunk(text, doneBytes) {
		if len(at) == doneBytes && crc32.Checksum(at[:8], castagnoli) == binary.LittleEndian.Uint32(at[8:]) {
			done, valid = max(done, binary.LittleEndian.Uint64(at)), true
		}
	}
	if !valid {
		s.corruptRegions++
	}
	return done
}

// doneBytes is the size of a copy in the done file: the number and its checksum.
const doneBytes = 12

// writeDone overwrites the older copy in the done file. If that fails, the other copy is still there. It runs after
// each post, and takes a hundredth of the time of replacing the file.
func (s *Spool) writeDone() error {
	if s.doneFile == nil {
		path := filepath.Join(s.cfg.Dir, doneName)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("write the done file: %w", err)
		}
		s.doneFile = file
	}
	text := binary.LittleEndian.AppendUint64(nil, s.done)
	text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(text, castagnoli))
	if _, err := s.doneFile.WriteAt(text, s.doneSlot*doneBytes); err != nil {
		return fmt.Errorf("write the done file: %w", err)
	}
	s.doneSlot = 1 - s.doneSlot
	return nil
}
