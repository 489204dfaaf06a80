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

import "time"

// stallSlack is how late the scheduler may wake up and still be taken for well.
const stallSlack = 50 * time.Millisecond

// stalls remembers when the process stood still: stopped by a signal, starved of CPU, on
// a suspended machine. It shows by waking up later than planned. A deadline that passed
// meanwhile is not the endpoint's fault. Times are counted from the scheduler's origin.
type stalls struct {
	planned time.Duration
	// total is how long all stalls lasted, and the time before the start.
	total  time.Duration
	recent [8]stall // the newest at the end
}

// stall is a time in which the scheduler should have woken up and did not.
type stall struct{ from, to time.Duration }

// start is called before the first beat: that nobody looked before is no stall.
func (s *stalls) start(now time.Duration) { s.planned, s.total = now, now }

// awake is the time without all stalls, so that nothing ages meanwhile.
func (s *stalls) awake(now time.Duration) time.Duration {
	return max(min(now, s.planned+stallSlack)-s.total, 0)
}

// beat is called whenever the scheduler wakes up.
func (s *stalls) beat(now time.Duration) {
	if now-s.planned > stallSlack {
		s.total += now - s.planned
		copy(s.recent[:], s.recent[1:])
		s.recent[len(s.recent)-1] = stall{s.planned, now}
	}
}

// spoiled tells whether a probe from begun to now, with this timeout, was robbed of half
// its time or more by a stall, be it one that is not over yet.
func (s *stalls) spoiled(begun, now, timeout time.Duration) bool {
	if late := now - s.planned; late > stallSlack && late >= timeout/2 {
		return true
	}
	for _, each := range s.recent {
		if min(each.to, now)-max(each.from, begun) >= timeout/2 && each.to > each.from {
			return true
		}
	}
	return false
}
