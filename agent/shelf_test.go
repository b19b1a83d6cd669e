package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
)

// The newest stay: at the bound of files, of bytes, and beyond them.
func TestShelfIsBounded(t *testing.T) {
	s := &shelf{dir: filepath.Join(t.TempDir(), "refused"), files: 3, maxBytes: 1000}
	put := func(i, size int) error {
		_, err := s.put("m", "422", []queued{{at: snapshot.Time(i * 1000), json: text(i, size)}})
		return err
	}
	kept := func() (list []string) {
		entries, err := os.ReadDir(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			list = append(list, entry.Name()[15:19])
		}
		return list
	}
	for i := range 5 {
		if err := put(i, 100); err != nil {
			t.Fatal(err)
		}
	}
	if got := kept(); !slices.Equal(got, []string{"02.0", "03.0", "04.0"}) {
		t.Errorf("of five: %q", got)
	}
	if err := put(5, 850); err != nil {
		t.Fatal(err)
	}
	if got := kept(); !slices.Equal(got, []string{"05.0"}) {
		t.Errorf("with a large one: %q", got)
	}
	if err := put(6, 1000); err == nil {
		t.Error("one that is larger than all is kept")
	}
	if got := kept(); !slices.Equal(got, []string{"05.0"}) {
		t.Errorf("after one that is too large: %q", got)
	}
}

// The snapshot that follows dropped ones tells how many, until the server has it: also
// after a restart, and once only.
func TestDroppedAreTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dropped")
	open := func() *queue {
		q := newQueue(300)
		q.untold = openUntold(file)
		return q
	}
	add := func(q *queue, from, to int) {
		for i := from; i <= to; i++ {
			q.add(
				queued{
					at:   snapshot.Time(i),
					kind: snapshot.KindFull,
					json: []byte(`{"machine_snapshot":{"load1":1},"x":"` + string(text(i, 60)) + `"}`),
				},
			)
		}
	}
	q := open()
	add(q, 1, 10)
	_, _, dropped := q.size()
	head := q.head(2, 1<<20)
	if dropped == 0 || head[0].dropped != int64(dropped) || head[1].dropped != 0 {
		t.Fatalf("%d were dropped, %d are told of", dropped, head[0].dropped)
	}
	if got, want := string(head[0].body()), fmt.Sprintf(`{"machine_snapshot":{"dropped_snapshots":%d,"load1":1},`, dropped); !strings.HasPrefix(
		got, want,
	) {
		t.Errorf("%s", got)
	}
	q = open() // the agent was killed before it was sent
	add(q, 11, 11)
	if head = q.head(1, 1); head[0].dropped != int64(dropped) {
		t.Errorf("after a restart %d are told of", head[0].dropped)
	}
	q.remove(head[0].number)
	add(q, 12, 12)
	if head = q.head(1, 1); head[0].dropped != 0 {
		t.Errorf("%d are told of again", head[0].dropped)
	}
	if q = open(); q.untold.count != 0 {
		t.Errorf("after another restart %d are told of again", q.untold.count)
	}
}
