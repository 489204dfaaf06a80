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

import "time"

// stallSlack is how late the scheduler may wake up and still count as well.
const stallSlack = 50 * time.Millisecond

// Stalls counts the time in which the process stood still: stopped by a signal, starved of CPU, or
// on a suspended machine. The process notices that by waking up later than planned. A deadline
// that passed because of stalls, one long or many short, is not the endpoint's fault. Times are
// counted from an origin.
type Stalls struct {
	planned time.Duration
	// total is the length of all stalls, plus the time before Start.
	total time.Duration
}

// Start is called before the first Beat. The time before it is not a stall.
func (s *Stalls) Start(now time.Duration) { s.planned, s.total = now, now }

// Plan sets when the next Beat is due.
func (s *Stalls) Plan(at time.Duration) { s.planned = at }

// Beat is called whenever the scheduler wakes up. It returns how long the process stood still.
func (s *Stalls) Beat(now time.Duration) (stalled time.Duration) {
	if now-s.planned > stallSlack {
		stalled = now - s.planned
		s.total += stalled
	}
	return stalled
}

// Awake returns the time without all stalls, including one that is not over yet.
func (s *Stalls) Awake(now time.Duration) time.Duration {
	return max(min(now, s.planned+stallSlack)-s.total, 0)
}

// TookHalf reports whether stalls took half of its timeout or more from a probe that began at
// a time, and then in the time that awake counts.
func (s *Stalls) TookHalf(startedAt, startedAwake, now, timeout time.Duration) bool {
	return (now-startedAt)-(s.Awake(now)-startedAwake) >= timeout/2
}
