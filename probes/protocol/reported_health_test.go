/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package protocol

import (
	"context"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/scheduler"
)

// probeByScheduler returns the first result that counts. On a machine that has stood still
// meanwhile it is not that of the first probe.
func probeByScheduler(t testing.TB, prober probes.Prober, timeout time.Duration) probes.Result {
	t.Helper()
	notified := make(chan struct{}, 1)
	s := startedScheduler(t, scheduler.Options{Notify: func(probes.Owner) {
		select {
		case notified <- struct{}{}:
		default:
		}
	}})
	only := onlyTarget(prober)
	only.Timing = scheduler.Timing{Interval: time.Hour, FastInterval: time.Millisecond, Timeout: timeout}
	only.Thresholds = health.Thresholds{Failure: 1, Success: 1}
	start := time.Now()
	s.Set(watcherOwner, []scheduler.Target{only})
	for {
		select {
		case <-notified:
		case <-time.After(timeout + probetest.Ample):
			t.Fatal("the scheduler's probe does not end")
		}
		result := s.Health(watcherOwner)[only.Key].Cause
		if result.Reason == probes.ReasonStalled {
			start = time.Now()
			continue
		}
		if late := time.Since(start) - timeout; late > 2*time.Second {
			t.Errorf("the scheduler's probe took %v more than its timeout of %v", late, timeout)
		}
		s.Remove(watcherOwner)
		return result
	}
}

// watcherOwner is whose targets the schedulers of these tests probe.
var watcherOwner = probes.Owner{Namespace: "integration", Name: "legacy-api"}

// goingAway is the report of an endpoint that is about to go.
var goingAway = probes.FailureResult(probes.ReasonNotServing)

// onlyTarget is the one target of a scheduler.
func onlyTarget(prober probes.Prober) scheduler.Target {
	return scheduler.Target{
		Key: "a", Identity: scheduler.Identity{7}, Prober: prober, Thresholds: health.Thresholds{Failure: 3, Success: 2},
		Timing: scheduler.Timing{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second},
	}
}

func startedScheduler(t testing.TB, options scheduler.Options) *scheduler.Scheduler {
	t.Helper()
	s := scheduler.New(options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}
