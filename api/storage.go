package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

type storageResponse struct {
	Body struct {
		Profile        string                 `json:"profile" enum:"timescale,postgres"`
		ProfileReason  string                 `json:"profile_reason"`
		Bytes          int64                  `json:"bytes" doc:"All relations together"`
		Relations      []backend.RelationSize `json:"relations" nullable:"false" doc:"The largest first"`
		Oldest         *snapshot.Time         `json:"oldest" format:"date-time" doc:"Begin of the oldest unit of raw data that is kept"`
		ProcessSamples int64                  `json:"process_samples" doc:"That the kept snapshots stand for: each process at each instant, stored or not"`
		BytesPerSample *float64               `json:"bytes_per_sample" doc:"bytes over process_samples"`
		Compression    *float64               `json:"compression" doc:"How many times smaller compressed chunks are than they were"`
		SamplesPerDay  int64                  `json:"samples_per_day" doc:"Of the last 24 hours"`
		BytesPerDay    int64                  `json:"bytes_per_day" doc:"That a day like the last takes in the long run"`
		BudgetDays     *float64               `json:"budget_days" doc:"Days that fit into the budget at this rate; null without a budget"`
		Retention      backend.Retention      `json:"retention"`
	}
}

type retentionPatch struct {
	Body struct {
		RawDays        *int   `json:"raw_days,omitempty" minimum:"1" maximum:"3650"`
		MinuteDays     *int   `json:"minute_days,omitempty" minimum:"1" maximum:"3650"`
		HourDays       *int   `json:"hour_days,omitempty" minimum:"1" maximum:"3650"`
		ThreeHoursDays *int   `json:"three_hours_days,omitempty" minimum:"1" maximum:"3650"`
		DayDays        *int   `json:"day_days,omitempty" minimum:"1" maximum:"3650"`
		BudgetBytes    *int64 `json:"budget_bytes,omitempty" minimum:"0" doc:"0: no bound"`
	}
}

type retentionResponse struct{ Body backend.Retention }

func (a *API) registerStorage() {
	tags := []string{"storage"}
	huma.Register(
		a.huma,
		huma.Operation{OperationID: "get-storage", Method: http.MethodGet, Path: "/api/v1/storage", Tags: tags,
			Summary: "What everything takes on disk, and how long it lasts"},
		a.getStorage,
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "get-retention",
			Method:      http.MethodGet,
			Path:        "/api/v1/storage/retention",
			Tags:        tags,
			Summary:     "For how long what is kept",
		},
		func(context.Context, *struct{}) (*retentionResponse, error) {
			return &retentionResponse{a.store.Retention()}, nil
		},
	)
	huma.Register(
		a.huma,
		huma.Operation{
			OperationID: "change-retention",
			Method:      http.MethodPatch,
			Path:        "/api/v1/storage/retention",
			Tags:        tags,
			Summary:     "Change for how long what is kept; what is past it goes within moments",
		},
		a.changeRetention,
	)
}

func (a *API) getStorage(ctx context.Context, _ *struct{}) (*storageResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	st, err := a.store.Storage(ctx)
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	out := &storageResponse{}
	b := &out.Body
	found := a.store.Profile()
	b.Profile, b.ProfileReason = found.Profile, found.Reason
	b.Bytes, b.Relations, b.ProcessSamples, b.SamplesPerDay, b.BytesPerDay, b.Retention = st.Bytes, st.Relations, st.ProcessSamples, st.SamplesPerDay, st.BytesPerDay, st.Retention
	b.BytesPerSample, b.Compression, b.BudgetDays = nilIfZero(
		st.BytesPerSample,
	), nilIfZero(
		st.Compression,
	), nilIfZero(
		st.BudgetDays,
	)
	if st.Oldest != 0 {
		b.Oldest = &st.Oldest
	}
	return out, nil
}

func nilIfZero(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return &v
}

func (a *API) changeRetention(ctx context.Context, in *retentionPatch) (*retentionResponse, error) {
	keep := a.store.Retention()
	for _, field := range []struct {
		to   *int
		from *int
	}{{&keep.RawDays, in.Body.RawDays}, {&keep.MinuteDays, in.Body.MinuteDays}, {&keep.HourDays, in.Body.HourDays},
		{&keep.ThreeHoursDays, in.Body.ThreeHoursDays}, {&keep.DayDays, in.Body.DayDays}} {
		if field.from != nil {
			*field.to = *field.from
		}
	}
	if in.Body.BudgetBytes != nil {
		keep.BudgetBytes = *in.Body.BudgetBytes
	}
	err := a.store.SetRetention(ctx, keep)
	if wrong, ok := errors.AsType[*backend.RetentionError](err); ok {
		return nil, invalid(wrong.Field, "%s", wrong.Problem)
	}
	if err != nil {
		return nil, a.fail(ctx, err)
	}
	a.auth.Record(ctx, "retention.changed", "setting retention", map[string]any{"retention": keep})
	return &retentionResponse{keep}, nil
}
