package schema

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// CoresText writes an array of SQL; nil for none.
func CoresText(cores []int16) *string {
	if len(cores) == 0 {
		return nil
	}
	text := []byte{'{'}
	for i, percent := range cores {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(percent), 10)
	}
	return new(string(append(text, '}')))
}

// TemperaturesText writes degrees by sensor as JSON; nil for none.
func TemperaturesText(list []snapshot.Temperature) *string {
	if len(list) == 0 {
		return nil
	}
	bySensor := make(map[string]float64, len(list))
	for _, t := range list {
		bySensor[t.Sensor] = t.Celsius
	}
	text, err := json.Marshal(bySensor)
	if err != nil { // no text or number that is valid in a snapshot fails
		return nil
	}
	return new(string(text))
}

// ParseTemperatures reads what TemperaturesText wrote, in the order of the sensors' names.
func ParseTemperatures(text []byte) ([]snapshot.Temperature, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var bySensor map[string]float64
	if err := json.Unmarshal(text, &bySensor); err != nil {
		return nil, fmt.Errorf("read temperatures: %w", err)
	}
	list := make([]snapshot.Temperature, 0, len(bySensor))
	for _, sensor := range slices.Sorted(maps.Keys(bySensor)) {
		list = append(list, snapshot.Temperature{Sensor: sensor, Celsius: bySensor[sensor]})
	}
	return list, nil
}
