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

package controllers

import (
	"slices"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestTransitions_WithinTheWindow_AreBatched(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(fixtures.Noon.Time)
	turns := newTransitions(clock)
	owner := probes.Owner{Namespace: "integration", Name: "legacy-api"}
	var got []time.Duration
	for _, ms := range []time.Duration{0, 30, 60, 149, 150, 210, 330, 9000, 9001} {
		clock.SetTime(fixtures.Noon.Add(ms * time.Millisecond))
		got = append(got, turns.wait(owner)/time.Millisecond)
	}
	// The changes before 150 are batched at 150; 210 comes after that, and is batched at 300.
	want := []time.Duration{0, 120, 90, 1, 150, 90, 120, 0, 149}
	if !slices.Equal(got, want) {
		t.Errorf("waits %v ms, want %v", got, want)
	}
	if other := turns.wait(probes.Owner{Name: "other"}); other != 0 {
		t.Errorf("another owner waits %v", other)
	}
	clock.SetTime(fixtures.Noon.Add(time.Hour))
	turns.wait(probes.Owner{Name: "third"})
	if len(turns.scheduled) != 1 {
		t.Errorf("%d owners remembered after an hour", len(turns.scheduled))
	}
}

func TestTransitions_Restored_KeepTheFirstChange(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(fixtures.Noon.Time)
	turns := newTransitions(clock)
	owner := probes.Owner{Namespace: "integration", Name: "legacy-api"}
	turns.notify(owner)
	clock.SetTime(fixtures.Noon.Add(time.Hour))
	turns.notify(owner)
	if since := turns.claim(owner); !since.Equal(fixtures.Noon.Time) {
		t.Errorf("first change at %v, want %v", since, fixtures.Noon)
	}
	if since := turns.claim(owner); !since.IsZero() {
		t.Errorf("a change at %v is reported twice", since)
	}
	turns.restore(owner, fixtures.Noon.Time) // it could not be written
	turns.notify(owner)
	if since := turns.claim(owner); !since.Equal(fixtures.Noon.Time) {
		t.Errorf("first change at %v after a failure, want %v", since, fixtures.Noon)
	}
}
