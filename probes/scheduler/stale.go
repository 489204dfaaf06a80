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

package scheduler

import (
	"time"

	"farpoint.dev/farpoint/probes"
)

// Verdicts become stale in two ways: probes end with unknown results, which age checks after each
// probe, or probes are overdue, which sweep checks.

const (
	// sweepInterval is how often overdue probes are checked.
	sweepInterval = time.Second
	// minOverdue is the minimum lateness of a probe whose verdict becomes stale: the last result was
	// an interval earlier, and the smallest difference of [Timing.StaleAfter] and its interval is
	// two thirds of minStaleAfter.
	minOverdue = 2 * minStaleAfter / 3
)

// age notes a result that counts for the verdict, or makes the verdict stale if there has been none
// for too long.
func (s *Scheduler) age(p *probe, result probes.Result, now time.Duration) {
	awake := s.stalls.Awake(now)
	switch {
	case result.Outcome.Decides():
		p.informed = awake
	case p.health.IsStale():
		p.health.StaleReason = result.Reason
	case awake-p.informed >= p.rules.timing.StaleAfter():
		s.expire(p, result.Reason)
	}
}

func (s *Scheduler) expire(p *probe, reason probes.Reason) {
	if p.health.Expire(reason) {
		s.queueNotify(p.accounts()...)
	}
}

// sweep makes the verdicts on targets stale whose probes are overdue for too long, and returns the
// owners to notify.
func (s *Scheduler) sweep(now time.Duration) []probes.Owner {
	if now < s.sweepAt {
		return s.flush()
	}
	s.sweepAt = now + sweepInterval
	s.options.Metrics.multiplier.Set(float64(s.guard.Multiplier(now)))
	awake := s.stalls.Awake(now)
	for lane := range lanes {
		s.sweepQueue(s.queues[lane], 0, now, awake)
	}
	for _, queue := range s.limits.waiting {
		s.sweepQueue(*queue, 0, now, awake)
	}
	return s.flush()
}

// sweepQueue checks the overdue probes of a queue, which is a heap, from an index on.
func (s *Scheduler) sweepQueue(queue dueQueue, from int, now, awake time.Duration) {
	if from >= len(queue) || now-queue[from].due < minOverdue {
		return
	}
	if p := queue[from]; !p.health.IsStale() && awake-p.informed >= p.rules.timing.StaleAfter() {
		s.expire(p, probes.ReasonDeferred)
	}
	s.sweepQueue(queue, 2*from+1, now, awake)
	s.sweepQueue(queue, 2*from+2, now, awake)
}
