//go:build linux

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

package targets

import (
	"fmt"
	"sync"
	"time"

	"farpoint.dev/farpoint/test/bench/statistics"
)

// arrivals are how long after they were due the probes of a paced engine have come in,
// as seen by their targets.
type arrivals struct {
	mu       sync.Mutex
	interval time.Duration
	// phases are those of the targets, by index; empty while nothing is timed.
	phases []time.Duration
	late   []time.Duration
}

// TimeArrivals makes so many targets time the arrivals of probes with this interval, until they
// are asked for their counts.
func (t *Process) TimeArrivals(interval time.Duration, count int) error {
	_, err := fmt.Fprintf(t.stdin, "time %d %d\n", interval, count)
	return err
}

// begin forgets what was timed before.
func (a *arrivals) begin(interval time.Duration, targets int) {
	phases := make([]time.Duration, targets)
	for index := range phases {
		phases[index] = Phase(index, interval)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.interval, a.phases, a.late = interval, phases, make([]time.Duration, 0, 1<<18)
}

// add notes that a target has been probed.
func (a *arrivals) add(index int, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if index >= len(a.phases) {
		return
	}
	late := (time.Duration(at.UnixNano()) - a.phases[index]) % a.interval
	if late > a.interval*9/10 {
		late -= a.interval // a little early
	}
	a.late = append(a.late, late)
}

// end returns what 99% of the arrivals were not later than; 0 if there were none.
func (a *arrivals) end() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	late := a.late
	a.phases, a.late = nil, nil
	return statistics.Percentile(late, 99)
}
