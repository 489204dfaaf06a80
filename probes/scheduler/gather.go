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
	"container/heap"
	"context"
	"time"
)

// gatherAll takes as many as may begin. A quarter of them is for ones that have been due for
// longer, and wait for a limit; of the others three quarters are for ones with a change pending,
// and of the rest a quarter for the steadily down. What one of these does not make use of is for
// the others. Thus whatever there is too much of holds up the others for a while, but does not
// keep them from being probed.
func (s *Scheduler) gatherAll(ctx context.Context, now time.Duration, batch []probeRun) []probeRun {
	most := min(s.starts.Left(now), burst)
	s.turns++ // who has a share of less than one has it now and then
	share := func(quarters int) int { return len(batch) + (quarters*(most-len(batch))+s.turns%4)/4 }
	batch = s.gatherWaiting(ctx, now, batch, share(1))
	if s.pendingMayBegin(now) {
		batch = s.gatherLane(ctx, lanePending, now, batch, share(3))
	}
	batch = s.gatherLane(ctx, laneDown, now, batch, share(1))
	for _, lane := range [...]lane{laneLive, lanePending, laneDown} {
		batch = s.gatherLane(ctx, lane, now, batch, most)
	}
	return s.gatherWaiting(ctx, now, batch, most)
}

// pendingMayBegin reports whether probes with a change pending leave room for others in
// flight: they may be those of many black holes.
func (s *Scheduler) pendingMayBegin(now time.Duration) bool {
	live := s.queues[laneLive]
	return len(live) == 0 || live[0].due > now || s.limits.inFlight[lanePending] < s.limits.most[lanePending]*3/4
}

// gatherWaiting takes those who wait for a limit.
func (s *Scheduler) gatherWaiting(ctx context.Context, now time.Duration, batch []probeRun, most int) []probeRun {
	for of, queue := range s.limits.waiting { // in no order, which is fair
		if batch = s.gatherFrom(ctx, queue, of, now, batch, most); len(*queue) == 0 {
			delete(s.limits.waiting, of)
		}
	}
	return batch
}

func (s *Scheduler) gatherLane(ctx context.Context, lane lane, now time.Duration, batch []probeRun, most int) []probeRun {
	return s.gatherFrom(ctx, &s.queues[lane], limitKey{lane: lane}, now, batch, most)
}

// gatherFrom takes from a queue who is due, until there are as many as may be, or a limit keeps
// the first of it. Others go to where they wait for theirs.
func (s *Scheduler) gatherFrom(ctx context.Context, queue *dueQueue, of limitKey, now time.Duration, batch []probeRun, most int) []probeRun {
	for len(*queue) > 0 && !s.limits.full(of.lane) {
		first := (*queue)[0]
		if first.due > now {
			s.waking = min(s.waking, first.due)
			break
		}
		if len(batch) >= most {
			s.waking = min(s.waking, s.whenMoreMayBegin(now))
			break
		}
		exceeded := s.limits.take(first)
		if exceeded.limit == "" {
			batch = append(batch, s.begin(ctx, queue, of, now))
			continue
		}
		if exceeded == of {
			break
		}
		s.options.Metrics.deferred.WithLabelValues(exceeded.limit).Inc()
		heap.Pop(queue)
		s.limits.defers(first, exceeded)
	}
	return batch
}

// whenMoreMayBegin is when it is worth while to look again if more are due than may begin.
func (s *Scheduler) whenMoreMayBegin(now time.Duration) time.Duration {
	if s.starts.Left(now) > 0 {
		return now
	}
	s.starts.Reach()
	return now + tick // or once one of them has ended, see recordResult
}
