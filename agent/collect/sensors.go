package collect

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/shirou/gopsutil/v3/host"

	"github.com/snapwatch/snapwatch/agent/internal/clean"
	"github.com/snapwatch/snapwatch/agent/internal/guard"
	"github.com/snapwatch/snapwatch/snapshot"
)

// temperaturesEvery is the shortest time between two reads of the sensors: some of them take milliseconds.
const temperaturesEvery = 10 * time.Second

// staleTemperatures is the name in snapshot.MachineSnapshot.Stale of sensors that do not answer.
const staleTemperatures = "temperatures"

// sensorReader reads the temperatures.
type sensorReader struct {
	reads *guard.Group[struct{}, []snapshot.Temperature]
	last  guard.Result[[]snapshot.Temperature]
	at    time.Time
}

// newSensorReader returns a reader that calls a function for the temperatures.
func newSensorReader(read func() []host.TemperatureStat) *sensorReader {
	return &sensorReader{reads: guard.New(blockWait, 1, func(struct{}) []snapshot.Temperature {
		return temperatures(read())
	})}
}

// readSensors reads the sensors. A driver may wait for its device.
func readSensors() []host.TemperatureStat {
	read, _ := host.SensorsTemperaturesWithContext(context.Background()) // with an error it returns those it could read
	return read
}

// read adds the temperatures to a snapshot. They are at most temperaturesEvery old, unless the sensors do not answer.
func (r *sensorReader) read(ctx context.Context, m *snapshot.MachineSnapshot) {
	if now := time.Now(); r.last.Stale || now.Sub(r.at) >= temperaturesEvery {
		r.at = now
		r.last = r.reads.Read(ctx, []struct{}{{}})[0]
	}
	m.Temperatures = r.last.Value
	if r.last.Stale {
		m.Stale = append(m.Stale, staleTemperatures)
	}
}

// temperatures converts the temperatures. It numbers sensors that have the same name.
func temperatures(read []host.TemperatureStat) []snapshot.Temperature {
	var list []snapshot.Temperature
	seen := make(map[string]int, len(read))
	for _, t := range read {
		name := clean.Text(t.SensorKey, snapshot.MaxTextBytes-8)
		if name == "" || len(list) == snapshot.MaxDevices {
			continue
		}
		// Sensors without a reading are counted too, so that the others keep their names.
		if seen[name]++; seen[name] > 1 {
			name += " " + strconv.Itoa(seen[name])
		}
		if isReading(t.Temperature) {
			list = append(list, snapshot.Temperature{Sensor: name, Celsius: math.Round(t.Temperature*10) / 10})
		}
	}
	return list
}

// isReading reports whether a temperature was measured. An input that is not connected has a value at the end of the
// range of its register: 0 K, -128, 127 or 255 °C.
func isReading(celsius float64) bool { return celsius > -100 && celsius < 200 && celsius != 127 }
