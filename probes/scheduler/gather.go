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

// gatherAll takes as many due probes as may start. A quarter is for probes that wait for a limit; of
// the others, three quarters are for probes with a pending change, and of the rest, a quarter for
// those that are steadily down. What one of these groups does not use is for the others. Thus a
// group with too many probes delays the others, but does not stop them.
func (s *Scheduler) gatherAll(ctx context.Context, now time.Duration, batch []probeRun) []probeRun {
	limit := min(s.starts.Left(now), burst)
	s.gathers++ // so that a share of less than one probe is one now and then
	share := func(quarters int) int { return len(batch) + (quarters*(limit-len(batch))+s.gathers%4)/4 }
	batch = s.gatherWaiting(ctx, now, batch, share(1))
	if s.pendingMayBegin(now) {
		batch = s.gatherLane(ctx, lanePending, now, batch, share(3))
	}
	batch = s.gatherLane(ctx, laneDown, now, batch, share(1))
	for _, lane := range [...]lane{laneLive, lanePending, laneDown} {
		batch = s.gatherLane(ctx, lane, now, batch, limit)
	}
	return s.gatherWaiting(ctx, now, batch, limit)
}

// pendingMayBegin reports whether probes with a pending change leave room for others: they may be
// those of many black holes.
func (s *Scheduler) pendingMayBegin(now time.Duration) bool {
	live := s.queues[laneLive]
	return len(live) == 0 || live[0].due > now || s.limits.inFlight[lanePending] < s.limits.maxInFlight[lanePending]*3/4
}

// gatherWaiting takes probes that wait for a limit.
func (s *Scheduler) gatherWaiting(ctx context.Context, now time.Duration, batch []probeRun, limit int) []probeRun {
	for of, queue := range s.limits.waiting { // in no order, which is fair
		if batch = s.gatherFrom(ctx, queue, of, now, batch, limit); len(*queue) == 0 {
			delete(s.limits.waiting, of)
		}
	}
	return batch
}

func (s *Scheduler) gatherLane(ctx context.Context, lane lane, now time.Duration, batch []probeRun, limit int) []probeRun {
	return s.gatherFrom(ctx, &s.queues[lane], limitKey{lane: lane}, now, batch, limit)
}

// gatherFrom takes the due probes from a queue, until the batch is full or the queue's own limit
// keeps its first probe. Probes that exceed another limit move to that limit's queue.
func (s *Scheduler) gatherFrom(ctx context.Context, queue *dueQueue, of limitKey, now time.Duration, batch []probeRun, limit int) []probeRun {
	for len(*queue) > 0 && !s.limits.full(of.lane) {
		first := (*queue)[0]
		if first.due > now {
			s.waking = min(s.waking, first.due)
			break
		}
		if len(batch) >= limit {
			s.waking = min(s.waking, s.nextGather(now))
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
		s.limits.queueFor(first, exceeded)
	}
	return batch
}

// nextGather returns when to gather again if more probes are due than may start.
func (s *Scheduler) nextGather(now time.Duration) time.Duration {
	if s.starts.Left(now) > 0 {
		return now
	}
	s.starts.Reach()
	return now + tick // or once a probe has ended, see recordResult
}
