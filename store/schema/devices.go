package schema

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// DeviceRow is a row of a table that has one row per device and snapshot.
type DeviceRow[D any] struct {
	Timestamp time.Time
	Machine   int32
	Device    D
}

// DeviceTable describes a table of DeviceRow[D].
type DeviceTable[D any] struct {
	Name string
	// Columns lists the columns in the order of AppendCopy.
	Columns string
	// SelectSQL reads the rows of machine $1 from $2 to $3, in the order of Dest.
	SelectSQL string
	columns   []column[DeviceRow[D]]
}

type (
	diskRow      = DeviceRow[snapshot.Disk]
	interfaceRow = DeviceRow[snapshot.Interface]
)

// The device tables.
var (
	Disks = newDeviceTable("disk_samples", "mount",
		field("device", "text", func(r *diskRow) *string { return &r.Device.Device }),
		field("mount", "text", func(r *diskRow) *string { return &r.Device.Mount }),
		field("total", "bigint", func(r *diskRow) **int64 { return &r.Device.Total }),
		field("used", "bigint", func(r *diskRow) **int64 { return &r.Device.Used }),
		field("available", "bigint", func(r *diskRow) **int64 { return &r.Device.Available }),
		field("fs_type", "text", func(r *diskRow) *optionalText { return (*optionalText)(&r.Device.Type) }),
		field("read_only", "boolean", func(r *diskRow) *optionalBool { return (*optionalBool)(&r.Device.ReadOnly) }),
		field("read_bytes", "bigint", func(r *diskRow) **int64 { return &r.Device.ReadBytes }),
		field("write_bytes", "bigint", func(r *diskRow) **int64 { return &r.Device.WriteBytes }),
	)
	Interfaces = newDeviceTable("net_samples", "name",
		field("name", "text", func(r *interfaceRow) *string { return &r.Device.Name }),
		field("in_total", "boolean", func(r *interfaceRow) **bool { return &r.Device.InTotal }),
		field("received_bytes", "bigint", func(r *interfaceRow) **int64 { return &r.Device.ReceivedBytes }),
		field("sent_bytes", "bigint", func(r *interfaceRow) **int64 { return &r.Device.SentBytes }),
	)
)

func newDeviceTable[D any](name, order string, columns ...column[DeviceRow[D]]) *DeviceTable[D] {
	columns = append([]column[DeviceRow[D]]{
		field("ts", "timestamptz", func(r *DeviceRow[D]) *time.Time { return &r.Timestamp }),
		field("machine", "integer", func(r *DeviceRow[D]) *int32 { return &r.Machine }),
	}, columns...)
	list := columnList(columns, "", all)
	return &DeviceTable[D]{
		Name: name, Columns: list, columns: columns,
		SelectSQL: "SELECT " + list + " FROM " + name +
			" WHERE machine = $1 AND ts BETWEEN $2 AND $3 ORDER BY ts, " + order,
	}
}

// Dest returns the scan destinations of a row.
func (t *DeviceTable[D]) Dest(row *DeviceRow[D]) []any { return destinations(t.columns, row, all) }

// AppendCopy appends a row in the binary format of COPY.
func (t *DeviceTable[D]) AppendCopy(b []byte, row *DeviceRow[D]) []byte {
	b = appendRowHeader(b, len(t.columns))
	for _, c := range t.columns {
		b = appendField(b, c.dest(row))
	}
	return b
}
