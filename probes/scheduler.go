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

import (
	"container/heap"
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

// SchedulerOptions are what a Scheduler needs.
type SchedulerOptions struct {
	// Notify is called with the owner of a target whose health changed, after it is to
	// be seen in [Scheduler.Health]. It must return at once.
	Notify func(Owner)
	// MaxInFlight bounds the probes under way at one time. 0 means 4096.
	MaxInFlight int
	// Clock is the real one if nil.
	Clock clock.Clock
	// Log hears of probers that panic.
	Log logr.Logger
}

// Scheduler probes targets when they are due and keeps their health.
//
// A target is due at the points of a fixed grid, each target at its own phase of its
// interval, which spreads the load and is the same after a restart. While a change is
// pending it is due a fast interval after the last probe began. A new target without
// a verdict is due at once. A target is never probed twice at the same time, and a
// point of the grid that passes meanwhile is left out.
type Scheduler struct {
	options SchedulerOptions
	// origin ties the grid to the calendar, once: from then on only the monotonic
	// clock counts, so that setting the wall clock moves no probe.
	origin time.Time
	// wake interrupts the wait for the next due time.
	wake chan struct{}
	// probing counts the probes' goroutines.
	probing sync.WaitGroup

	// mu guards everything below. Nothing waits while holding it, neither for the
	// network nor for Notify.
	mu       sync.Mutex
	owners   map[Owner]map[string]*scheduled
	queue    dueQueue
	inFlight int
}

// NewScheduler returns a scheduler that probes nothing before Start.
func NewScheduler(options SchedulerOptions) *Scheduler {
	if options.MaxInFlight == 0 {
		options.MaxInFlight = 4096
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return &Scheduler{
		options: options,
		origin:  options.Clock.Now(),
		wake:    make(chan struct{}, 1),
		owners:  map[Owner]map[string]*scheduled{},
	}
}

// scheduled is a target and what the scheduler knows of it.
type scheduled struct {
	Target
	owner  Owner
	health Health
	// due is when the next probe begins.
	due time.Time
	// position is the index in the queue; absent while a probe is under way and once
	// the target is gone.
	position int
	// cancel ends the probe under way; nil if there is none.
	cancel context.CancelFunc
	// outdated means that the probe under way was begun by a definition that holds no
	// longer: its result counts for nothing.
	outdated bool
	// gone means that the owner has given the target up.
	gone bool
}

const absent = -1

// Set makes these the targets of the owner. What is known of a target that the owner
// had before is kept, also when its definition changes: the health then changes by
// full thresholds, as for any other target, and the first probe by the new definition
// begins at once.
func (s *Scheduler) Set(owner Owner, targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.owners[owner]
	after := make(map[string]*scheduled, len(targets))
	for _, target := range targets {
		known, ok := before[target.Key]
		switch {
		case !ok && target.Prober == nil:
			continue
		case !ok:
			known = s.add(owner, target)
		case target.Prober != nil:
			s.change(known, target)
		}
		delete(before, target.Key)
		after[target.Key] = known
	}
	for _, target := range before {
		s.drop(target)
	}
	s.owners[owner] = after
	s.nudge()
}

// Remove gives up all targets of the owner and forgets their health.
func (s *Scheduler) Remove(owner Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, target := range s.owners[owner] {
		s.drop(target)
	}
	delete(s.owners, owner)
}

// Health returns what is known of the owner's targets, by their keys.
func (s *Scheduler) Health(owner Owner) map[string]Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make(map[string]Health, len(s.owners[owner]))
	for key, target := range s.owners[owner] {
		known[key] = target.health
	}
	return known
}

func (s *Scheduler) add(owner Owner, target Target) *scheduled {
	added := &scheduled{Target: target, owner: owner, health: target.Initial}
	now := s.options.Clock.Now()
	added.due = now
	if target.Initial.State != StateUnknown {
		added.due = s.nextOnGrid(added, now)
	}
	heap.Push(&s.queue, added)
	return added
}

func (s *Scheduler) change(known *scheduled, target Target) {
	redefined, retimed := known.Identity != target.Identity, known.Timing != target.Timing
	if !redefined {
		target.Prober = known.Prober // it may hold what speeds up its next probe
	}
	known.Target = target
	now := s.options.Clock.Now()
	switch {
	case redefined:
		known.health.restart()
		known.due = now
		if known.cancel != nil {
			known.outdated = true
			known.cancel()
		}
	case retimed:
		known.due = s.next(known, now, now)
	}
	if known.position != absent {
		heap.Fix(&s.queue, known.position)
	}
}

func (s *Scheduler) drop(target *scheduled) {
	target.gone = true
	if target.cancel != nil {
		target.cancel()
	}
	if target.position != absent {
		heap.Remove(&s.queue, target.position)
	}
}

// Start probes until the context is done. It returns once the last probe has ended.
func (s *Scheduler) Start(ctx context.Context) error {
	defer s.probing.Wait()
	timer := s.options.Clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C():
		}
		timer.Reset(s.launch(ctx))
	}
}

// idle is how long Start waits when no target is due at any time: until it is woken.
const idle = time.Hour

// launch begins every probe that is due and returns the time until the next one.
func (s *Scheduler) launch(ctx context.Context) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Clock.Now()
	for len(s.queue) > 0 && s.inFlight < s.options.MaxInFlight && ctx.Err() == nil {
		first := s.queue[0]
		if wait := first.due.Sub(now); wait > 0 {
			return wait
		}
		heap.Pop(&s.queue)
		s.begin(ctx, first, now)
	}
	return idle
}

func (s *Scheduler) begin(ctx context.Context, target *scheduled, now time.Time) {
	probe, cancel := context.WithTimeout(ctx, target.Timing.Timeout)
	target.cancel = cancel
	s.inFlight++
	prober := target.Prober
	s.probing.Go(func() {
		result := s.guarded(probe, prober)
		cancel()
		s.finish(target, now, result)
	})
}

// guarded probes, and makes of a prober's panic a result that blames nobody else.
func (s *Scheduler) guarded(ctx context.Context, prober Prober) (result Result) {
	defer func() {
		if cause := recover(); cause != nil {
			s.options.Log.Error(nil, "A prober panicked; its probe counts for nothing", "cause", cause)
			result = unknown(ReasonInternal)
		}
	}()
	return prober.Probe(ctx)
}

func (s *Scheduler) finish(target *scheduled, begun time.Time, result Result) {
	if s.settle(target, begun, result) {
		s.options.Notify(target.owner)
	}
}

// settle takes the result into account and makes the target due again. It tells
// whether its owner should know.
func (s *Scheduler) settle(target *scheduled, begun time.Time, result Result) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	target.cancel = nil
	if target.gone {
		s.nudge() // a place in flight is free
		return false
	}
	now := s.options.Clock.Now()
	if target.outdated {
		target.outdated = false
		target.due = now
	} else {
		changed = target.health.Observe(result, target.Thresholds, now)
		target.due = s.next(target, begun, now)
	}
	heap.Push(&s.queue, target)
	s.nudge()
	return changed
}

// next returns when a target whose last probe began at one time is to be probed again,
// seen from another. While a change is pending, a probe that took longer than the fast
// interval is followed by the next one at once, or a black hole would be found later
// than a closed port by more than its timeouts.
func (s *Scheduler) next(target *scheduled, begun, now time.Time) time.Time {
	if !target.health.Pending() {
		return s.nextOnGrid(target, now)
	}
	if due := begun.Add(target.Timing.FastInterval); due.After(now) {
		return due
	}
	return now
}

// nextOnGrid returns the target's first point on the grid after this time.
func (s *Scheduler) nextOnGrid(target *scheduled, after time.Time) time.Time {
	interval := target.Timing.Interval
	phase := time.Duration(binary.BigEndian.Uint64(target.Identity[:8]) % uint64(interval))
	elapsed := time.Duration(s.origin.UnixNano()) + after.Sub(s.origin)
	return after.Add(interval - (elapsed-phase)%interval)
}

// nudge makes Start look at the queue again.
func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// dueQueue is a heap of targets, the one that is due first at its top.
type dueQueue []*scheduled

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].position, q[j].position = i, j
}

func (q *dueQueue) Push(x any) {
	added := x.(*scheduled)
	added.position = len(*q)
	*q = append(*q, added)
}

func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	taken := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	taken.position = absent
	return taken
}
