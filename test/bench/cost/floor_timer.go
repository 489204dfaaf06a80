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

package cost

import (
	"runtime"
	"time"

	"farpoint.dev/farpoint/test/bench/statistics"
	"farpoint.dev/farpoint/test/bench/targets"
)

// timerTick is the grain of time that the engine begins probes in.
const timerTick = 10 * time.Millisecond

// measureTimerFloor is a bare loop with the wakeups of the paced engine: it sleeps until the
// next tick, and finds what has become due at the phases of the same targets. How late it is
// for them is how late a loop must be on this machine at this time.
func measureTimerFloor(t task, begin func()) (figures, error) {
	runtime.LockOSThread()
	begin()
	var late []time.Duration
	phases := make([]time.Duration, t.Targets)
	for index := range phases {
		phases[index] = targets.Phase(index, t.Interval)
	}
	origin := time.Now()
	before := time.Duration(origin.UnixNano()) % t.Interval
	elapsed, cpu, err := during(func() {
		for time.Since(origin) < t.For {
			time.Sleep(timerTick - time.Duration(time.Now().UnixNano())%timerTick)
			now := time.Duration(time.Now().UnixNano()) % t.Interval
			for _, due := range phases {
				if since := (now - due + t.Interval) % t.Interval; since < (now-before+t.Interval)%t.Interval {
					late = append(late, since)
				}
			}
			before = now
		}
	})
	result := total(elapsed, cpu, 0)
	result["late_p99_ms"] = statistics.Milliseconds(statistics.Percentile(late, 99))
	return result, err
}
