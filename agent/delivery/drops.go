package delivery

import (
	"strconv"
	"strings"

	"github.com/snapwatch/snapwatch/agent/internal/statefile"
)

// unreportedDrops counts the dropped snapshots that the server does not have in its statistics yet. The count survives
// a restart if there is a file.
type unreportedDrops struct {
	file  string // empty for none
	count int64
	// carrier is the number of the entry that reports carried of them.
	carrier uint64
	carried int64
}

// loadUnreportedDrops reads the count from a file.
func loadUnreportedDrops(file string) unreportedDrops {
	d := unreportedDrops{file: file}
	if text, err := statefile.Read(file); err == nil {
		d.count, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	return d
}

func (d *unreportedDrops) add(n int) error {
	d.count += int64(n)
	return d.save()
}

func (d *unreportedDrops) save() error {
	if d.file == "" {
		return nil
	}
	return statefile.Write(d.file, strconv.FormatInt(d.count, 10)+"\n")
}

// attach makes the first of the entries that are about to be sent report the drops.
func (d *unreportedDrops) attach(entries []Entry) []Entry {
	if d.count > 0 && len(entries) > 0 {
		entries[0].dropped = d.count
		d.carrier, d.carried = entries[0].Number, d.count
	}
	return entries
}

// delivered subtracts the reported drops once the server has the entries up to a number.
func (d *unreportedDrops) delivered(through uint64) error {
	if d.carried == 0 || through < d.carrier {
		return nil
	}
	d.count -= d.carried
	d.carried = 0
	return d.save()
}
