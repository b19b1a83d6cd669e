package snapshot_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

func TestCPUTimeAsJSON(t *testing.T) {
	for text, want := range map[string]struct {
		micros  snapshot.CPUTime
		encoded string // if it differs
	}{
		"0": {}, "7": {micros: 7000}, "2.534": {micros: 2534}, "0.6": {micros: 600}, "0.001": {micros: 1},
		"1000.01": {micros: 1_000_010}, "8000000000000": {micros: snapshot.MaxCPUTime},
		"2.500": {2500, "2.5"}, "7.0": {7000, "7"}, "0.0004": {0, "0"}, "0.0005": {1, "0.001"},
		"2.53449999999999999999999": {2534, "2.534"}, "999.9996": {1_000_000, "1000"},
		"2.534e0": {2534, "2.534"}, "1e3": {1_000_000, "1000"}, "5E-1": {500, "0.5"}, "1e-400": {0, "0"},
		"-0": {0, "0"}, "-0.0": {0, "0"}, "-1.5": {micros: -1500}, "-0.02": {micros: -20},
		"9223372036854775.807": {micros: math.MaxInt64},
		"1e400":                {math.MaxInt64, "9223372036854775.807"},
		"-1e400":               {math.MinInt64, "-9223372036854775.808"},
		"123456789012345678.9": {math.MaxInt64, "9223372036854775.807"},
	} {
		var got []snapshot.CPUTime
		err := json.Unmarshal([]byte("["+text+"]"), &got)
		if err != nil || len(got) != 1 || got[0] != want.micros {
			t.Errorf("%s is %v (%v), want %d µs", text, got, err, want.micros)
			continue
		}
		encoded, err := json.Marshal(got)
		if want.encoded == "" {
			want.encoded = text
		}
		if err != nil || string(encoded) != "["+want.encoded+"]" {
			t.Errorf("%s is encoded as %s (%v), want [%s]", text, encoded, err, want.encoded)
		}
	}
	one := struct{ Used *snapshot.CPUTime }{new(snapshot.CPUTime(5))}
	if err := json.Unmarshal([]byte(`{"Used":null}`), &one); err != nil || one.Used != nil {
		t.Errorf("null is %v (%v)", one.Used, err)
	}
}

func FuzzCPUTime(f *testing.F) {
	for _, micros := range []int64{
		0, 1, -1, 999, 2534, 1_000_010, int64(snapshot.MaxCPUTime) - 1, math.MaxInt64, math.MinInt64,
	} {
		f.Add(micros)
	}
	f.Fuzz(func(t *testing.T, micros int64) {
		want := snapshot.CPUTime(micros)
		text, err := json.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		_, decimals, _ := strings.Cut(string(text), ".")
		var got snapshot.CPUTime
		// Beyond 15 digits of milliseconds, a number is decoded as a float.
		exact := micros/1_000_000_000_000_000_000 == 0
		if err := json.Unmarshal(text, &got); err != nil || exact && got != want || len(decimals) > 3 {
			t.Errorf("%d µs is %s, and that is %d (%v)", micros, text, got, err)
		}
		if want < 0 || want > snapshot.MaxCPUTime {
			return
		}
		float := strconv.FormatFloat(want.Milliseconds(), 'f', -1, 64)
		if float != string(text) || snapshot.CPUTimeOf(want.Duration()) != want {
			t.Errorf("%d µs is %s, as a float %s, as a duration %s", micros, text, float, want.Duration())
		}
	})
}

func TestCPUTimeOfADuration(t *testing.T) {
	if got := snapshot.CPUTimeOf(2534*time.Microsecond + 999); got != 2534 {
		t.Errorf("2.534999 ms is %d µs", got)
	}
	if got := snapshot.MaxCPUTime.Duration(); got.Hours() < 24*365*253 {
		t.Errorf("the largest CPU time is %s", got)
	}
}

// Encoding and decoding allocate nothing for each value.
func TestCPUTimesDoNotAllocate(t *testing.T) {
	allocations := func(values int) float64 {
		list := make([]snapshot.CPUTime, values)
		for i := range list {
			list[i] = snapshot.CPUTime(i)*997 + 1
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		decoded := make([]snapshot.CPUTime, 0, values)
		return testing.AllocsPerRun(20, func() {
			decoded = decoded[:0]
			if err := json.Unmarshal(text, &decoded); err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(list); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > few+10 {
		t.Errorf("%v allocations for 10 values, %v for 1000", few, many)
	}
}
