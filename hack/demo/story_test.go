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

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// theatre plays a story by a clock of its own.
type theatre struct {
	story *story
	now   time.Time
	shown map[string]conditions
	heard []string
}

func newTheatre(addresses ...string) *theatre {
	made := &theatre{story: newStory(addresses), now: time.Unix(1000, 0), shown: map[string]conditions{}}
	for _, address := range addresses {
		made.shown[address] = alive
	}
	return made
}

func (p *theatre) seen(address string) (conditions, bool) {
	found, ok := p.shown[address]
	return found, ok
}

// after lets time pass and the story go on.
func (p *theatre) after(d time.Duration) cue {
	p.now = p.now.Add(d)
	cue, changes := p.story.advance(p.now, p.seen)
	for _, each := range changes {
		p.heard = append(p.heard, each.text)
	}
	return cue
}

func (p *theatre) expect(t *testing.T, d time.Duration, want cue) {
	t.Helper()
	if got := p.after(d); got != want {
		t.Fatalf("cue %d after %s in chapter %d; want %d", got, d, p.story.chapter, want)
	}
}

func TestStoryOfOneDeath(t *testing.T) {
	p := newTheatre("a", "b")
	p.shown["b"] = dead
	p.expect(t, time.Minute, nothing) // not all are ready yet
	p.shown["b"] = alive
	p.expect(t, time.Second, nothing)
	p.expect(t, pause-time.Millisecond, nothing)
	p.expect(t, time.Millisecond, stopBackend)
	if p.story.address() != "a" {
		t.Fatalf("the backend of %s is stopped first; want a", p.story.address())
	}
	p.expect(t, 1500*time.Millisecond, nothing)
	p.shown["a"] = dead
	p.expect(t, 0, nothing)
	p.expect(t, pause, startBackend)
	if p.story.complete() {
		t.Fatal("complete without a recovery")
	}
	p.expect(t, 900*time.Millisecond, nothing)
	p.shown["a"] = alive
	p.expect(t, 0, nothing)
	if !p.story.complete() || p.story.missing(p.seen) != "" {
		t.Fatalf("not complete: %s", p.story.missing(p.seen))
	}
	p.expect(t, pause, stopBackend)
	if p.story.address() != "b" {
		t.Fatalf("the backend of %s is stopped second; want b", p.story.address())
	}
	want := []string{
		"all 2 endpoints are ready",
		"a went not ready 1500 ms after its backend was stopped",
		"a is ready again 900 ms after its backend was started",
	}
	if !slices.Equal(p.heard, want) {
		t.Errorf("heard %q; want %q", p.heard, want)
	}
	if got, want := p.story.summary(), "Seen in the API server: 1 death and 1 recovery; median time to the slice: 1500 ms down, 900 ms up."; got != want {
		t.Errorf("summary %q; want %q", got, want)
	}
}

// Only ready, serving and terminating as they should be count as a death.
func TestStoryWantsAllThreeConditions(t *testing.T) {
	for _, half := range []conditions{
		{"false", "true", "false"},
		{"false", "false", "true"},
		{"false", "false", "unset"},
		alive,
	} {
		p := newTheatre("a")
		p.after(0)
		p.expect(t, pause, stopBackend)
		p.shown["a"] = half
		p.expect(t, time.Second, nothing)
		if p.story.chapter != dying {
			t.Errorf("%s is taken for a death", half)
		}
	}
}

func TestStoryGoesOnWithoutTheSlices(t *testing.T) {
	p := newTheatre("a", "b")
	p.after(0)
	p.expect(t, pause, stopBackend)
	p.expect(t, patience, nothing) // the slice stays as it was
	p.expect(t, pause, startBackend)
	p.expect(t, time.Second, nothing)
	if p.story.complete() {
		t.Fatal("a recovery without a death counts")
	}
	p.expect(t, pause, stopBackend)
	p.shown["b"] = dead
	p.expect(t, time.Second, nothing)
	p.expect(t, pause, startBackend)
	delete(p.shown, "b") // somebody has deleted the ExternalService
	p.expect(t, patience, nothing)
	delete(p.shown, "a")
	p.expect(t, time.Hour, nothing) // there is nobody to stop
	p.shown["b"] = alive
	p.expect(t, 0, stopBackend)
	if p.story.address() != "b" {
		t.Errorf("the backend of %s is stopped; only b is alive", p.story.address())
	}
}

func TestStoryCountsNothingOfAnEndpointThatVanished(t *testing.T) {
	p := newTheatre("a")
	p.after(0)
	p.expect(t, longPause, stopBackend)
	delete(p.shown, "a")
	p.expect(t, time.Second, nothing)
	p.shown["a"] = dead // it is back, and has had no probe
	p.expect(t, longPause, startBackend)
	p.shown["a"] = alive
	p.expect(t, time.Second, nothing)
	p.expect(t, longPause, stopBackend)
	p.shown["a"] = dead
	p.expect(t, time.Second, nothing)
	p.expect(t, longPause, startBackend)
	delete(p.shown, "a")
	p.expect(t, time.Second, nothing)
	p.shown["a"] = alive
	p.expect(t, time.Second, nothing)
	if got, want := p.story.summary(), "Seen in the API server: 1 death and 0 recoveries; median time to the slice: 1000 ms down."; got != want {
		t.Errorf("summary %q; want %q", got, want)
	}
}

func TestStoryGoesRoundAndRound(t *testing.T) {
	p := newTheatre("a", "b", "c")
	p.after(0)
	var stopped []string
	for range 7 {
		p.expect(t, longPause, stopBackend)
		stopped = append(stopped, p.story.address())
		p.shown[p.story.address()] = dead
		p.after(time.Second)
		p.expect(t, longPause, startBackend)
		p.shown[p.story.address()] = alive
		p.after(time.Second)
	}
	if got := strings.Join(stopped, ""); got != "abcabca" {
		t.Errorf("stopped in the order %s", got)
	}
}

// More than 5 deaths in 5 minutes are flapping to the operator, see probes/health.go.
func TestStoryDoesNotFlap(t *testing.T) {
	const free, window = 5, 5 * time.Minute
	p := newTheatre(addresses()...)
	deaths := map[string][]time.Time{}
	for end := p.now.Add(time.Hour); p.now.Before(end); {
		switch p.after(100 * time.Millisecond) {
		case stopBackend: // the least time that the probes take: (3-1) * fastInterval
			p.after(time.Second)
			p.shown[p.story.address()] = dead
			deaths[p.story.address()] = append(deaths[p.story.address()], p.now)
		case startBackend:
			p.after(500 * time.Millisecond)
			p.shown[p.story.address()] = alive
		}
	}
	for address, times := range deaths {
		for i := range len(times) - free {
			if took := times[i+free].Sub(times[i]); took <= window {
				t.Errorf("%s dies %d times within %s, from its death %d on", address, free+1, took, i)
			}
		}
	}
	if len(deaths) != len(places) {
		t.Errorf("only %d of %d die", len(deaths), len(places))
	}
}

func TestMissingSaysHowFarItCame(t *testing.T) {
	p := newTheatre("a", "b")
	p.shown["b"] = dead
	p.after(0)
	wantMissing(t, p, "the API server never showed all endpoints ready, but 1 of 2 in the end")
	p.shown["b"] = alive
	p.after(0)
	wantMissing(t, p, "all endpoints were ready, but the API server showed none of them not ready (ready=false serving=false terminating=false) after its backend was stopped")
	p.expect(t, pause, stopBackend)
	p.shown["a"] = dead
	p.after(time.Second)
	wantMissing(t, p, "the API server showed an endpoint not ready after its backend was stopped, but not ready again (ready=true serving=true terminating=false) after it was started")
}

func wantMissing(t *testing.T, p *theatre, want string) {
	t.Helper()
	if got := p.story.missing(p.seen); got != want {
		t.Errorf("missing %q; want %q", got, want)
	}
}

func TestSummaryOfNothing(t *testing.T) {
	if got, want := newStory([]string{"a"}).summary(), "Seen in the API server: 0 deaths and 0 recoveries."; got != want {
		t.Errorf("summary %q; want %q", got, want)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		want  time.Duration
	}{
		{[]time.Duration{5}, 5},
		{[]time.Duration{9, 1}, 1},
		{[]time.Duration{9, 1, 5}, 5},
	} {
		if got := median(c.times); got != c.want {
			t.Errorf("median(%v) = %v; want %v", c.times, got, c.want)
		}
	}
}

func TestSceneNamesTheActor(t *testing.T) {
	p := newTheatre("192.0.2.10")
	p.after(0)
	p.expect(t, pause, stopBackend)
	got := p.story.scene(p.now.Add(1300 * time.Millisecond))
	if want := "192.0.2.10: backend stopped 1.3 s ago; 3 failed probes make it not ready."; got != want {
		t.Errorf("scene %q; want %q", got, want)
	}
}

// The scene speaks of 3 and of 2 probes; that must be what the object asks for.
func TestSceneMatchesTheThresholds(t *testing.T) {
	check := externalService(make([]string, len(places))).Spec.HealthCheck
	if got := fmt.Sprint(check.FailureThreshold, check.SuccessThreshold); got != "3 2" {
		t.Errorf("thresholds %s; scene says 3 2", got)
	}
}
