package query_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A search ignores the case of letters outside of ASCII, in a database with the locale C too.
func TestSearchFoldsCaseByUnicode(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		at := storetest.Recent()
		var ppid int32
		storetest.Write(t, s, "fold", snapshot.Snapshot{
			Timestamp: at, Kind: snapshot.KindFull, Processes: []snapshot.ProcessSample{
				{PID: 1, PPID: &ppid, Name: "ŽLUŤOUČKÝ.exe", CommandLine: "/opt/ŽLUŤOUČKÝ.exe"},
				{PID: 2, PPID: &ppid, Name: "ΟΔΟΣ", CommandLine: "/opt/ΟΔΟΣ /ß/İ"},
			},
		})
		page := query.FleetPage{View: query.AllMachines(), Limit: 10}
		for _, test := range []struct {
			match query.Match
			want  int32
		}{
			{query.Match{Command: "*žluťoučký*"}, 1},
			{query.Match{Text: "žluťoučký"}, 1},
			{query.Match{Text: "ž?UŤOUČKÝ.EXE"}, 1},
			{query.Match{Text: "*οδος"}, 2},
			{query.Match{Command: "*οδοσ /ẞ/İ"}, 2},
			{query.Match{Command: "žlutoučký"}, 0},
			{query.Match{Command: "/opt/οδοσ /ss"}, 0},
			{query.Match{Command: "/opt/οδοσ /ß/i"}, 0},
		} {
			found, _, err := s.FleetAt(t.Context(), test.match, at, page)
			if err != nil {
				t.Fatal(err)
			}
			used, err := s.FleetWindow(t.Context(), test.match, at-1000, at+1000, page)
			if err != nil {
				t.Fatal(err)
			}
			var atInstant, inWindow []int32
			for _, one := range found {
				for _, p := range one.Processes {
					atInstant = append(atInstant, p.PID)
				}
			}
			for _, one := range used.Usages {
				inWindow = append(inWindow, one.PID)
			}
			want := "[]"
			if test.want > 0 {
				want = fmt.Sprint([]int32{test.want})
			}
			if fmt.Sprint(atInstant) != want || fmt.Sprint(inWindow) != want {
				t.Errorf("%+v: %v at the instant and %v in the window, want %s", test.match, atInstant, inWindow, want)
			}
		}
	})
}

// The database and the matcher in memory agree on random patterns and texts.
func TestConditionEqualsMatcher(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		conn := storetest.Connect(t, db.URL)
		characters := []rune("aAkKsSiI*?[]\\%_/. žŽťŤσςΣßẞİıſ\u212aÅå\u212bǅǆǄ\u0301日𐐀𐐨")
		random := rand.New(rand.NewPCG(1, 2))
		text := func(length int) string {
			runes := make([]rune, length)
			for i := range runes {
				runes[i] = characters[random.IntN(len(characters))]
			}
			return string(runes)
		}
		hits := 0
		for range 100 {
			names, lines := make([]string, 200), make([]string, 200)
			for i := range names {
				names[i], lines[i] = text(random.IntN(4)), text(random.IntN(6))
			}
			match := query.Match{Text: text(1 + random.IntN(3))}
			if random.IntN(2) == 0 {
				match.Command = text(1 + random.IntN(4))
			}
			args := []any{names, lines}
			rows, err := conn.Query(t.Context(), `SELECT `+match.Condition(&args)+`
				FROM unnest($1::text[], $2::text[]) WITH ORDINALITY p(name, command_line, i) ORDER BY i`, args...)
			if err != nil {
				t.Fatal(err)
			}
			matcher := match.Matcher()
			for i := 0; rows.Next(); i++ {
				var got bool
				if err := rows.Scan(&got); err != nil {
					t.Fatal(err)
				}
				want := matcher(&snapshot.Identity{Name: names[i], CommandLine: lines[i]})
				if got != want {
					t.Errorf("%+v in %q and %q: %v in SQL, %v in memory", match, names[i], lines[i], got, want)
				}
				if want {
					hits++
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		}
		if hits < 100 {
			t.Errorf("only %d texts matched", hits)
		}
	})
}
