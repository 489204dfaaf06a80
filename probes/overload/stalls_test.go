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

package overload

import (
	"testing"
	"time"
)

func TestStalls_TimeDoesNotPassForVerdicts(t *testing.T) {
	var s Stalls
	s.Start(time.Hour)
	if got := s.Awake(time.Hour); got != 0 {
		t.Errorf("awake for %v at the start", got)
	}
	s.Plan(time.Hour + time.Second)
	s.Beat(time.Hour + 10*time.Minute)
	s.Plan(time.Hour + 10*time.Minute + time.Second)
	if got := s.Awake(time.Hour + 10*time.Minute + time.Second/2); got != time.Second+time.Second/2 {
		t.Errorf("awake for %v, want 1.5s", got)
	}
}

func TestStalls_RobbedProbes_AreFound(t *testing.T) {
	ms := time.Millisecond
	for name, test := range map[string]struct {
		// wakes are when the process wakes up: it should have done so 100 ms after the one
		// before. stands is that it has not yet.
		wakes                   []time.Duration
		startedAt, now, timeout time.Duration
		want, stands            bool
	}{
		"no stall":                         {nil, 100 * ms, 140 * ms, 20 * ms, false, false},
		"one that is not over yet":         {nil, 100 * ms, 11000 * ms, 2000 * ms, true, true},
		"one that is over":                 {[]time.Duration{11000 * ms}, 100 * ms, 11001 * ms, 2000 * ms, true, false},
		"one that took a tenth":            {[]time.Duration{300 * ms}, 100 * ms, 2100 * ms, 2000 * ms, false, false},
		"one that took most of little":     {[]time.Duration{300 * ms}, 100 * ms, 320 * ms, 200 * ms, true, false},
		"many short ones that are a half":  {[]time.Duration{400 * ms, 700 * ms, 1000 * ms, 1300 * ms, 1600 * ms, 1900 * ms}, 100 * ms, 2000 * ms, 2000 * ms, true, false},
		"some short ones that are no half": {[]time.Duration{400 * ms, 700 * ms, 1000 * ms}, 100 * ms, 1100 * ms, 2000 * ms, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var s Stalls
			s.Start(0)
			s.Plan(test.startedAt + 100*ms)
			begunAwake := s.Awake(test.startedAt)
			for _, wake := range test.wakes {
				s.Beat(wake)
				s.Plan(wake + 100*ms)
			}
			if !test.stands {
				s.Plan(test.now)
			}
			if got := s.TookHalf(test.startedAt, begunAwake, test.now, test.timeout); got != test.want {
				t.Errorf("robbed %v, want %v", got, test.want)
			}
		})
	}
}
