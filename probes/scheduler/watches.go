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

// watches are the connections that are held for watchers, each by a goroutine of its own.
// Endpoints without one lose the speed and nothing else, since all of them are probed as
// well.
type watches struct {
	// begin begins one and returns what ends it; nil while the scheduler does not run.
	begin func(*probe) context.CancelFunc
	most  int
	// held ends the watch of a probe.
	held map[*probe]context.CancelFunc
	// waiting are probes for which there is no room.
	waiting map[*probe]bool
}

// defaultMaxWatches is how many connections are held if nothing is said. One costs up to
// 50 KB, most of it for TLS.
const defaultMaxWatches = 2048

func newWatches(most int) watches {
	return watches{most: most, held: map[*probe]context.CancelFunc{}, waiting: map[*probe]bool{}}
}

// startWatches lets those begin that wait. endWatches keeps more from beginning.
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

// addWatch lets a new probe wait for its watch, if it has one.
func (s *Scheduler) addWatch(p *probe) {
	if _, ok := p.prober.(probes.Watcher); ok {
		s.watches.waiting[p] = true
	}
}

// endWatch ends the watch of a probe that goes, if it has one.
func (s *Scheduler) endWatch(p *probe) {
	delete(s.watches.waiting, p)
	if end, ok := s.watches.held[p]; ok {
		end()
	}
}

// fillWatches begins watches that wait, as far as there is room.
func (s *Scheduler) fillWatches() {
	for p := range s.watches.waiting {
		if s.watches.begin == nil || len(s.watches.held) == s.watches.most {
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

// How long it takes from the end of a connection to the next attempt: at first the least,
// then twice as long each time up to the most, and the least again after one that lasted.
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

// watchOnce watches until the connection ends. The endpoint has as long for its first word
// as for a probe.
func (s *Scheduler) watchOnce(ctx context.Context, p *probe) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	first, heard := context.WithTimeout(ctx, p.rules.timing.Timeout)
	defer heard()
	lasts := context.AfterFunc(first, end)
	var limiter reportLimiter
	s.guarded(func() probes.Result {
		p.prober.(probes.Watcher).Watch(s.inTurn(ctx, p, p.namespace), func(result probes.Result) {
			lasts()
			heard()
			s.applySelfReport(p, result)
			s.sleep(ctx, limiter.next(s.now()))
		})
		return probes.SuccessResult()
	})
}

// maxWords is how many words of an endpoint are taken in a second. The next one waits in
// the connection.
const maxWords = 10

// reportLimiter slows down an endpoint that reports too often.
type reportLimiter struct {
	second time.Duration
	words  int
}

// next counts a word and returns the time to wait until the next one.
func (p *reportLimiter) next(now time.Duration) time.Duration {
	if now-p.second >= time.Second {
		p.second, p.words = now, 0
	}
	if p.words++; p.words < maxWords {
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

// applySelfReport takes into account what an endpoint reported of itself, and notifies the owners.
func (s *Scheduler) applySelfReport(p *probe, result probes.Result) {
	s.notify(s.recordSelfReport(p, result))
}

// recordSelfReport is recordResult for what an endpoint reported of itself. The result of a
// probe that is under way may be older, and is discarded. A probe soon afterwards shows whether
// the endpoint does as it says.
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
