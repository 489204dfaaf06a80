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
	"math/rand/v2"
	"time"

	"farpoint.dev/farpoint/probes"
)

// watches are the connections of Watchers, each held by its own goroutine. An endpoint without one
// is only noticed later, since all endpoints are probed as well.
type watches struct {
	// begin starts a watch and returns what ends it; nil while the scheduler does not run.
	begin func(*probe) context.CancelFunc
	limit int
	// held ends the watch of a probe.
	held map[*probe]context.CancelFunc
	// waiting are the probes for which there is no room.
	waiting map[*probe]bool
}

// defaultMaxWatches is the default of Options.MaxWatches. A watch costs up to 50 KB, most of it for
// TLS.
const defaultMaxWatches = 2048

func newWatches(limit int) watches {
	return watches{limit: limit, held: map[*probe]context.CancelFunc{}, waiting: map[*probe]bool{}}
}

// startWatches starts the watches that wait. After endWatches no more start.
func (s *Scheduler) startWatches(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches.begin = func(p *probe) context.CancelFunc {
		ctx, end := context.WithCancel(ctx)
		s.probing.Go(func() { s.watchOn(ctx, p) })
		return end
	}
	s.fillWatches()
}

func (s *Scheduler) endWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches.begin = nil
}

// addWatch queues a new probe for a watch, if its prober is a Watcher.
func (s *Scheduler) addWatch(p *probe) {
	if _, ok := p.prober.(probes.Watcher); ok {
		s.watches.waiting[p] = true
	}
}

// endWatch ends the watch of a probe that is removed, if it has one.
func (s *Scheduler) endWatch(p *probe) {
	delete(s.watches.waiting, p)
	if end, ok := s.watches.held[p]; ok {
		end()
	}
}

// fillWatches starts watches that wait, as far as there is room.
func (s *Scheduler) fillWatches() {
	for p := range s.watches.waiting {
		if s.watches.begin == nil || len(s.watches.held) == s.watches.limit {
			break
		}
		delete(s.watches.waiting, p)
		s.watches.held[p] = s.watches.begin(p)
	}
	s.options.Metrics.watches.Set(float64(len(s.watches.held)))
}

// makeRoom is called when a watch has ended.
func (s *Scheduler) makeRoom(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watches.held, p)
	s.fillWatches()
}

// Bounds of the pause from the end of a watch to the next attempt. The pause doubles with each
// attempt, and starts again at the minimum after a connection that lasted.
const (
	minWatchPause = time.Second
	maxWatchPause = time.Minute
)

// watchOn watches until the context is done.
func (s *Scheduler) watchOn(ctx context.Context, p *probe) {
	defer s.makeRoom(p)
	for pause := minWatchPause; ctx.Err() == nil; pause = min(2*pause, maxWatchPause) {
		startedAt := s.now()
		s.watchOnce(ctx, p)
		if s.now()-startedAt > maxWatchPause {
			pause = minWatchPause
		}
		s.sleep(ctx, pause/2+rand.N(pause/2)) // not all at once to a server that comes back
	}
}

// watchOnce watches until the connection ends. The first report must come within the timeout of a
// probe.
func (s *Scheduler) watchOnce(ctx context.Context, p *probe) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	first, reported := context.WithTimeout(ctx, p.rules.timing.Timeout)
	defer reported()
	keepWatching := context.AfterFunc(first, end)
	var limiter reportLimiter
	s.guarded(func() probes.Result {
		p.prober.(probes.Watcher).Watch(s.withCPUSlot(ctx, p, p.namespace), func(result probes.Result) {
			keepWatching()
			reported()
			s.applySelfReport(p, result)
			s.sleep(ctx, limiter.next(s.now()))
		})
		return probes.SuccessResult()
	})
}

// maxReports is how many reports of an endpoint are read in a second. Further ones wait in the
// connection.
const maxReports = 10

// reportLimiter slows down an endpoint that reports too often.
type reportLimiter struct {
	second  time.Duration
	reports int
}

// next counts a report and returns the time to wait before reading the next one.
func (p *reportLimiter) next(now time.Duration) time.Duration {
	if now-p.second >= time.Second {
		p.second, p.reports = now, 0
	}
	if p.reports++; p.reports < maxReports {
		return 0
	}
	return p.second + time.Second - now
}

func (s *Scheduler) sleep(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	timer := s.options.Clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// applySelfReport records what an endpoint reported about itself, and notifies owners.
func (s *Scheduler) applySelfReport(p *probe, result probes.Result) {
	s.notify(s.recordSelfReport(p, result))
}

// recordSelfReport is recordResult for what an endpoint reported about itself. The result of a probe
// under way may be older, and is discarded. A probe soon afterwards verifies the report.
func (s *Scheduler) recordSelfReport(p *probe, result probes.Result) (owners []probes.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := p.health.State
	if p.first == nil || !p.health.ApplySelfReport(result, p.rules.thresholds, s.options.Clock.Now()) {
		return nil
	}
	now := s.now()
	p.informed = s.stalls.Awake(now)
	s.changed(p, before, now)
	s.clearSuspect(p, now)
	if p.queue == nil {
		p.superseded = true
	} else {
		heap.Remove(p.queue, int(p.position))
		s.enqueue(p, min(p.due, now+p.rules.timing.FastInterval))
	}
	return s.flush()
}
