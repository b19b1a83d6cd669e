package collect

import (
	"slices"
	"testing"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/host"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// An input that is not connected has no reading. The other sensors keep their names.
func TestTemperaturesThatAreNoReadings(t *testing.T) {
	got := temperatures([]host.TemperatureStat{
		{SensorKey: "cpu", Temperature: 45.56},
		{SensorKey: "board", Temperature: -273.15},
		{SensorKey: "board", Temperature: -128},
		{SensorKey: "board", Temperature: 20},
		{SensorKey: "board", Temperature: 255},
		{SensorKey: "board", Temperature: 127},
		{SensorKey: "outside", Temperature: -40},
		{SensorKey: "", Temperature: 30},
	})
	want := []snapshot.Temperature{
		{Sensor: "cpu", Celsius: 45.6}, {Sensor: "board 3", Celsius: 20}, {Sensor: "outside", Celsius: -40},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// While sensors do not answer, the last known temperatures are recorded as stale.
func TestSensorsThatDoNotAnswer(t *testing.T) {
	calls := make(chan struct{}, 10)
	var block chan struct{}
	r := newSensorReader(func() []host.TemperatureStat {
		if block != nil {
			calls <- struct{}{}
			<-block
		}
		return []host.TemperatureStat{{SensorKey: "cpu", Temperature: 45}}
	})
	read := func() (m snapshot.MachineSnapshot) {
		r.read(t.Context(), &m)
		return m
	}
	want := []snapshot.Temperature{{Sensor: "cpu", Celsius: 45}}
	if m := read(); !slices.Equal(m.Temperatures, want) || len(m.Stale) > 0 {
		t.Errorf("%v, stale %v", m.Temperatures, m.Stale)
	}
	block = make(chan struct{})
	r.at = r.at.Add(-temperaturesEvery)
	for range 3 {
		if m := read(); !slices.Equal(m.Temperatures, want) || !slices.Equal(m.Stale, []string{"temperatures"}) {
			t.Errorf("%v, stale %v", m.Temperatures, m.Stale)
		}
	}
	if <-calls; len(calls) > 0 {
		t.Error("the sensors are read again")
	}
	close(block)
	testwait.Until(t, "the sensors to answer", func() bool { return len(read().Stale) == 0 })
}

// The kernel may correct iowait downwards. Time is added when the value passes the highest one so far.
func TestIOWaitThatGoesBackwards(t *testing.T) {
	var total cpu.TimesStat
	before := cpu.TimesStat{Idle: 1000, Iowait: 100}
	for _, read := range []cpu.TimesStat{
		{Idle: 1005, Iowait: 98.5}, {Idle: 1010, Iowait: 99}, {Idle: 1015, Iowait: 101}, {Idle: 1020, Iowait: 102},
	} {
		now := read
		keepHighest(&now, &before)
		spent := timesSince(&now, &before)
		if spent.Iowait < 0 {
			t.Errorf("iowait %v is less than nothing", spent.Iowait)
		}
		add(&total, &spent)
		before = now
	}
	if total.Iowait != 2 || total.Idle != 20 {
		t.Errorf("iowait %v and idle %v, want 2 and 20", total.Iowait, total.Idle)
	}
	// A core that was switched off begins again.
	now := cpu.TimesStat{Idle: 7, Iowait: 1}
	keepHighest(&now, &before)
	if now.Idle != 7 || now.Iowait != 1 {
		t.Errorf("%+v after the core was off", now)
	}
}
