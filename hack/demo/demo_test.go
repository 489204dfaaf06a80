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
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fakeStage publishes what a backend does a second later, in simulated time.
type fakeStage struct {
	*state
	end     time.Time
	lines   []string
	stopped []string
	// frozen is never changed in the slices.
	frozen string
	// due are changes of the slices that are to come.
	due map[time.Time]func()
}

var errEnd = errors.New("the demo is over")

func (f *fakeStage) log(_, text string) { f.lines = append(f.lines, text) }

func (f *fakeStage) wait(_ context.Context, limit time.Duration, _ string, holds func() bool) error {
	for began := time.Now(); time.Since(began) < limit && !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(f.end) {
			return errEnd
		}
		for at, change := range f.due {
			if !time.Now().Before(at) {
				change()
				delete(f.due, at)
			}
		}
	}
	return nil
}

func (f *fakeStage) publish(i int, published conditions) {
	if addresses[i] != f.frozen {
		f.due[time.Now().Add(900*time.Millisecond)] = func() { f.slices["slice"][addresses[i]] = published }
	}
}

func (f *fakeStage) stop(i int) {
	f.stopped = append(f.stopped, addresses[i])
	f.publish(i, dead)
}

func (f *fakeStage) start(_ context.Context, i int) error {
	f.publish(i, alive)
	return nil
}

func playFor(t *testing.T, length time.Duration, frozen string) (*story, *fakeStage) {
	stage := &fakeStage{state: newState(), end: time.Now().Add(length), frozen: frozen, due: map[time.Time]func(){}}
	stage.slices["slice"] = map[string]conditions{addresses[0]: alive, addresses[1]: alive, addresses[2]: alive, addresses[3]: alive}
	played := &story{stage: stage, addresses: addresses}
	if err := played.play(t.Context()); !errors.Is(err, errEnd) {
		t.Errorf("play: %v", err)
	}
	return played, stage
}

func TestStory_BackendStopsAndStarts_TimesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		played, stage := playFor(t, 7*time.Second, "")
		want := []string{"all 4 endpoints are ready", "192.0.2.10 went not ready 1000 ms after its backend was stopped", "192.0.2.10 is ready again 1000 ms after its backend was started"}
		if !slices.Equal(stage.lines, want) {
			t.Errorf("%q; want %q", stage.lines, want)
		}
		if got, want := played.summary(), "Seen in the API server: 1 death and 1 recovery; median time to the slice: 1000 ms down, 1000 ms up."; got != want {
			t.Errorf("%q; want %q", got, want)
		}
	})
}

func TestStory_SlicesDoNotFollow_OthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		played, stage := playFor(t, time.Minute, addresses[0])
		if !slices.Contains(stage.lines, "the slices have not followed 192.0.2.10; going on") || len(played.recoveries) == 0 {
			t.Errorf("%q, %d recoveries", stage.lines, len(played.recoveries))
		}
	})
}

// The operator damps an endpoint that dies more than 5 times within 5 minutes.
func TestStory_AnHour_NoEndpointFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stage := playFor(t, time.Hour, "")
		period := time.Hour / time.Duration(len(stage.stopped)) * time.Duration(len(addresses))
		if period*5 <= 5*time.Minute || !slices.Equal(stage.stopped[:5], append(slices.Clone(addresses), addresses[0])) {
			t.Errorf("each endpoint dies every %s, in the order %q", period, stage.stopped[:5])
		}
	})
}

func TestState_SlicesChange_ChangesAreTold(t *testing.T) {
	s, yes, no := newState(), new(true), new(false)
	observe := func(label string, ready *bool, deleted bool, want ...string) {
		t.Helper()
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "s", Labels: map[string]string{discoveryv1.LabelServiceName: label}}, AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.10"}, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: yes, Terminating: no}}},
		}
		if got := fmt.Sprint(s.observe(update{object: slice, deleted: deleted})); got != fmt.Sprint(want) {
			t.Errorf("%s; want %s", got, want)
		}
	}
	observe("another", yes, false)
	observe(name, nil, false, "{slice EndpointSlice s (IPv4) is new}", "{slice 192.0.2.10 ready=unset serving=true terminating=false}")
	observe(name, yes, false, "{slice 192.0.2.10 ready=true serving=true terminating=false}")
	observe(name, yes, false)
	observe("", yes, false, "{slice EndpointSlice s is gone}")
	observe("", yes, true)
}

func TestShow_Terminal_ViewIsDrawnInPlace(t *testing.T) {
	var out bytes.Buffer
	s := &show{screen: &screen{out: &out, size: func() (int, int) { return 100, 14 }}, state: newState(), backends: []*backend{{}, {}, {}, {}}}
	s.log("slice", "first")
	for _, scene := range []string{"quiet", "quiet", "loud"} {
		s.screen.draw(func(height int) []string { return s.lines(scene, height) })
	}
	if got := out.String(); strings.Count(got, "NOW") != 2 || !strings.Contains(got, "\x1b[13A\r\x1b[?25l") || !strings.Contains(got, "192.0.2.20    zone-b  \x1b[31mdown     \x1b[0m\x1b[2m-") {
		t.Errorf("%q", got)
	}
}

func TestLimitFrom_NoNumber_IsRefused(t *testing.T) {
	for _, text := range []string{"0", "1.5", "20s", "86401"} {
		if limit, err := limitFrom(text); err == nil {
			t.Errorf("DEMO_SECONDS=%s: %v", text, limit)
		}
	}
}
