package api_test

import (
	"context"
	"time"

	"github.com/needle-search/needle/pipeline"
)

// The fake's candidate does nothing and says so.
func shadowStatus(running bool) pipeline.ShadowStatus {
	return pipeline.ShadowStatus{
		Running: running, Share: 0.5, Changed: []string{"reader.top_k"}, Outcomes: map[string]int{pipeline.ShadowSame: 0},
		Differences: []pipeline.ShadowDifference{{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Index: "default", Outcome: pipeline.ShadowOther}},
	}
}

func (f *fakeService) StartShadow(context.Context, pipeline.ShadowUse) (pipeline.ShadowStatus, error) {
	return shadowStatus(true), f.err
}

func (f *fakeService) StopShadow(context.Context) (pipeline.ShadowStatus, error) {
	return shadowStatus(false), f.err
}

func (f *fakeService) ShadowStatus(context.Context) (pipeline.ShadowStatus, error) {
	return shadowStatus(true), f.err
}
