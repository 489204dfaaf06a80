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

package probes

import (
	"context"
	"testing"
	"time"
)

// probeByScheduler returns the first result that counts. On a machine that has stood still
// meanwhile it is not that of the first probe.
func probeByScheduler(t testing.TB, prober Prober, timeout time.Duration) Result {
	t.Helper()
	told := make(chan struct{}, 1)
	s := startedScheduler(t, SchedulerOptions{Notify: func(Owner) {
		select {
		case told <- struct{}{}:
		default:
		}
	}})
	only := onlyTarget(prober)
	only.Timing = Timing{Interval: time.Hour, FastInterval: time.Millisecond, Timeout: timeout}
	only.Thresholds = Thresholds{Failure: 1, Success: 1}
	start := time.Now()
	s.Set(watcherOwner, []Target{only})
	for {
		select {
		case <-told:
		case <-time.After(timeout + ample):
			t.Fatal("the scheduler's probe does not end")
		}
		result := s.Health(watcherOwner)[only.Key].Cause
		if result.Reason == ReasonStalled {
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
var watcherOwner = Owner{Namespace: "integration", Name: "legacy-api"}

// goingAway is what an endpoint says that is about to go.
var goingAway = FailureResult(ReasonNotServing)

// onlyTarget is the one target of a scheduler.
func onlyTarget(prober Prober) Target {
	return Target{
		Key: "a", Identity: Identity{7}, Prober: prober, Thresholds: Thresholds{Failure: 3, Success: 2},
		Timing: Timing{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second},
	}
}

func startedScheduler(t testing.TB, options SchedulerOptions) *Scheduler {
	t.Helper()
	s := NewScheduler(options)
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
