package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

// StorageView describes the size of the database.
type StorageView struct {
	Profile        string                 `json:"profile" enum:"timescale,postgres" doc:"Storage profile of the database"`
	ProfileReason  string                 `json:"profile_reason" doc:"Why this profile is used"`
	Bytes          int64                  `json:"bytes" doc:"Size of all relations"`
	Relations      []backend.RelationSize `json:"relations" nullable:"false" doc:"Relations, largest first"`
	Oldest         *snapshot.Time         `json:"oldest" format:"date-time" doc:"Time of the oldest stored snapshot"`
	ProcessSamples int64                  `json:"process_samples" doc:"Number of processes in all stored snapshots, whether stored or derived from earlier samples"`
	BytesPerSample *float64               `json:"bytes_per_sample" doc:"bytes divided by process_samples"`
	Compression    *float64               `json:"compression" doc:"Ratio of uncompressed to compressed size of the compressed chunks"`
	SamplesPerDay  int64                  `json:"samples_per_day" doc:"Process samples of the last 24 hours"`
	BytesPerDay    *int64                 `json:"bytes_per_day" doc:"Estimated size of the samples of the last 24 hours, after compression if anything is compressed; null if the last week has data of fewer than 24 hours"`
	BudgetDays     *float64               `json:"budget_days" doc:"Estimated days of snapshots that fit into the disk budget, beside the rollups and identities that are stored now; null without a budget or without bytes_per_day"`
	RollupsFailed  int64                  `json:"rollups_failed" doc:"Rollups that could not be computed. They are tried again every hour, and their raw data is kept until then"`
	Retention      backend.Retention      `json:"retention"`
}

type retentionPatch struct {
	RawDays        *int   `json:"raw_days,omitempty" minimum:"1" maximum:"3650" doc:"Days to keep snapshots"`
	MinuteDays     *int   `json:"minute_days,omitempty" minimum:"1" maximum:"3650" doc:"Days to keep 1-minute rollups"`
	HourDays       *int   `json:"hour_days,omitempty" minimum:"1" maximum:"3650" doc:"Days to keep 1-hour rollups"`
	ThreeHoursDays *int   `json:"three_hours_days,omitempty" minimum:"1" maximum:"3650" doc:"Days to keep 3-hour rollups"`
	DayDays        *int   `json:"day_days,omitempty" minimum:"1" maximum:"3650" doc:"Days to keep 1-day rollups"`
	ExitsDays      *int   `json:"exits_days,omitempty" minimum:"1" maximum:"3650" doc:"Days to keep processes that started and ended between two snapshots. If it is not given, it is lowered to raw_days where necessary"`
	BudgetBytes    *int64 `json:"budget_bytes,omitempty" minimum:"0" doc:"Maximum size of the database; 0 for unlimited"`
}

func (a *API) registerStorage() {
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/storage", "get-storage", tagStorage,
		"Get the size of the database"), a.getStorage)
	huma.Register(a.huma, operation(http.MethodGet, "/api/v1/storage/retention", "get-retention", tagStorage,
		"Get the retention settings"), a.getRetention)
	huma.Register(a.huma, operation(http.MethodPatch, "/api/v1/storage/retention", "change-retention", tagStorage,
		"Change the retention settings",
		description("Data beyond the new retention is deleted within moments.")), a.changeRetention)
}

func (a *API) getStorage(ctx context.Context, _ *struct{}) (*response[StorageView], error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	st, err := a.store.Storage(ctx)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	detected := a.store.Profile()
	view := StorageView{
		Profile:        detected.Profile,
		ProfileReason:  detected.Reason,
		Bytes:          st.Bytes,
		Relations:      st.Relations,
		ProcessSamples: st.ProcessSamples,
		BytesPerSample: nilIfZero(st.BytesPerSample),
		Compression:    nilIfZero(st.Compression),
		SamplesPerDay:  st.SamplesPerDay,
		BytesPerDay:    st.BytesPerDay,
		BudgetDays:     st.BudgetDays,
		RollupsFailed:  st.RollupsFailed,
		Retention:      st.Retention,
	}
	if st.Oldest != 0 {
		view.Oldest = &st.Oldest
	}
	return &response[StorageView]{view}, nil
}

func nilIfZero(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return &v
}

func (a *API) getRetention(context.Context, *struct{}) (*response[backend.Retention], error) {
	return &response[backend.Retention]{a.store.Retention()}, nil
}

func (a *API) changeRetention(
	ctx context.Context, in *struct{ Body retentionPatch },
) (*response[backend.Retention], error) {
	retention := a.store.Retention()
	set(&retention.RawDays, in.Body.RawDays)
	set(&retention.MinuteDays, in.Body.MinuteDays)
	set(&retention.HourDays, in.Body.HourDays)
	set(&retention.ThreeHoursDays, in.Body.ThreeHoursDays)
	set(&retention.DayDays, in.Body.DayDays)
	set(&retention.ExitsDays, in.Body.ExitsDays)
	if in.Body.ExitsDays == nil {
		retention.ExitsDays = min(retention.ExitsDays, max(1, retention.RawDays))
	}
	set(&retention.BudgetBytes, in.Body.BudgetBytes)
	if err := a.store.SetRetention(ctx, retention); err != nil {
		return nil, a.problemOf(ctx, err)
	}
	a.auth.Record(ctx, "retention.changed", "setting retention", map[string]any{"retention": retention})
	return &response[backend.Retention]{retention}, nil
}

// set assigns a value unless it is nil.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
