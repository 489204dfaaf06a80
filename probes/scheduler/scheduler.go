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
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/overload"
)

// Options are what a Scheduler needs.
type Options struct {
	// Notify is called with the owner of a target after its health changed, or after the guard began
	// or ceased to hold it. It must return at once.
	Notify func(probes.Owner)
	// MaxInFlight bounds the concurrent probes; a quarter of it bounds those of targets that are
	// steadily down. 0 means 4096.
	MaxInFlight int
	// MaxInFlightPerNamespace bounds those of one namespace; 0 means half of MaxInFlight.
	MaxInFlightPerNamespace int
	// MaxInFlightPerDestination bounds those of one namespace to one address or name; 0
	// means 64.
	MaxInFlightPerDestination int
	// MaxHandshakes bounds the TLS handshakes and logins that compute at the same time; 0 means one
	// for each processor, which keeps processors busy and lets other probes run every millisecond
	// or so. With more, probes would wait for the Go scheduler, which knows no namespaces.
	MaxHandshakes int
	// MaxWatches bounds the connections held for watchers; 0 means 2048.
	MaxWatches int
	// Guard defines when failures are attributed to the operator's own network;
	// guard.DefaultOptions if it is zero.
	Guard guard.Options
	// Canaries are targets that are always up. While all of them fail, the operator's own network
	// counts as down.
	Canaries []Target
	// Network reports the state of the operator's own network; nil means that it is unknown.
	Network LocalNetwork
	// Metrics are fed by the scheduler; nil means unregistered ones.
	Metrics *Metrics
	// Clock is the real one if nil.
	Clock clock.Clock
	// Log gets probers that panic.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 4096
	}
	if o.MaxInFlightPerNamespace == 0 {
		o.MaxInFlightPerNamespace = max(o.MaxInFlight/2, 1)
	}
	if o.MaxInFlightPerDestination == 0 {
		o.MaxInFlightPerDestination = 64
	}
	if o.MaxHandshakes == 0 {
		o.MaxHandshakes = runtime.GOMAXPROCS(0)
	}
	if o.MaxWatches == 0 {
		o.MaxWatches = defaultMaxWatches
	}
	if o.Guard == (guard.Options{}) {
		o.Guard = guard.DefaultOptions()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	return o
}

// Scheduler probes targets when they are due and keeps their health.
//
// A target is due at the points of a fixed grid, each target at its own phase of its interval, which
// spreads the load and stays the same after a restart. While a change is pending, the target is due
// one fast interval after the start of the last probe. A new target without a verdict is due at
// once. A target is never probed twice at the same time; points of the grid that pass during a probe
// are skipped.
//
// Probes start once every tick, all that are due: waking up costs more than the probes of a tick.
type Scheduler struct {
	options Options
	// origin ties the grid to the wall clock, once: from then on only the monotonic clock counts, so
	// that setting the wall clock moves no probe.
	origin time.Time
	seed   maphash.Seed
	// wake interrupts the wait for the next due time.
	wake chan struct{}
	// loop makes the probes of LoopProbers; nil until there are any. Only Start's goroutine sets it,
	// under mu.
	loop *loop
	// probing counts the probes' goroutines.
	probing sync.WaitGroup
	// handoff passes probes to the workers that wait for one, idle in number.
	handoff chan probeRun
	idle    atomic.Int32

	// mu guards everything below. Nothing waits while holding it, neither for the
	// network nor for Notify.
	mu     sync.Mutex
	owners map[probes.Owner]*account
	// shared has the probes by shareKey.
	shared map[uint64]*probe
	queues [lanes]dueQueue
	limits limits
	starts overload.StartLimit
	// gathers counts the times that what is due was gathered.
	gathers int
	stalls  overload.Stalls
	guard   *guard.Guard[*probe]
	// watches are connections besides those of the probes.
	watches watches
	// waking is when Start looks at the queues next.
	waking time.Duration
	// held are the owners of targets that the guard keeps from being taken out.
	held map[*account]bool
	// unconfirmed are suspects that have reached their threshold, with the last failure, and
	// recheckAt is when to evaluate them again.
	unconfirmed map[*probe]probes.Result
	recheckAt   time.Duration
	// frozen: no endpoint is taken out, since the operator seems to have lost its own network.
	frozen bool
	// sweepAt is when to look for stale verdicts next.
	sweepAt time.Duration
	// pending are the owners to notify once the lock is released.
	pending []probes.Owner
}

// canaries is the owner of the canaries; no namespace has an empty name.
var canaries = probes.Owner{Name: "canaries"}

// New returns a scheduler that makes no probe before Start.
func New(options Options) *Scheduler {
	options = options.withDefaults()
	s := &Scheduler{
		options: options,
		origin:  options.Clock.Now(),
		seed:    maphash.MakeSeed(),
		wake:    make(chan struct{}, 1),
		handoff: make(chan probeRun),
		owners:  map[probes.Owner]*account{},
		shared:  map[uint64]*probe{},
		limits:  newLimits(options),
		starts:  overload.NewStartLimit(firstStarts),
		guard:   guard.New[*probe](options.Guard),
		watches: newWatches(options.MaxWatches),
		held:    map[*account]bool{},

		unconfirmed: map[*probe]probes.Result{},
	}
	return s
}

// Health returns the health of the owner's targets, by key.
func (s *Scheduler) Health(owner probes.Owner) map[string]health.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.owners[owner]
	if !ok {
		return nil
	}
	known := make(map[string]health.Health, len(of.entries))
	for _, entry := range of.entries {
		known[entry.key] = entry.probe.health
	}
	return known
}

// Held reports whether a target of the owner was not taken out because the operator's own network
// seems to be down.
func (s *Scheduler) Held(owner probes.Owner) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[s.owners[owner]]
}

// Start makes probes until the context is done. It returns once the last one has ended. It is called
// once.
func (s *Scheduler) Start(ctx context.Context) error {
	defer s.probing.Wait()
	defer close(s.handoff)
	defer func() { s.loop.close() }()
	defer s.endWatches()
	s.startWatches(ctx)
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.nudge()
	})()
	timer := s.options.Clock.NewTimer(heartbeat)
	defer timer.Stop()
	s.mu.Lock()
	s.stalls.Start(s.now())
	s.mu.Unlock()
	s.setCanaries()
	var batch []probeRun
	for ctx.Err() == nil {
		var until time.Duration
		var stale []probes.Owner
		batch, until, stale = s.gather(ctx, batch[:0])
		s.notify(stale)
		for _, item := range batch {
			if item.ctx == nil {
				s.loop.begin(ctx, item.probe)
			} else {
				s.dispatch(item) //nolint:contextcheck // each item has its own
			}
		}
		clear(batch) // so that it keeps no removed probe alive
		s.pause(ctx, timer, until)
	}
	return nil
}

// pause waits until there is something to do, or until this time.
func (s *Scheduler) pause(ctx context.Context, timer clock.Timer, until time.Duration) {
	if s.loop != nil {
		s.loop.wait(ctx, until)
		return
	}
	timer.Reset(until - s.now())
	select {
	case <-s.wake:
	case <-timer.C():
	}
}

// tick is the resolution at which probes start. They are late by half of it on average.
const tick = 10 * time.Millisecond

// tickAfter rounds a time up to a tick.
func tickAfter(at time.Duration) time.Duration { return (at + tick - 1) / tick * tick }

// firstStarts is how many probes may start before it is known how long they take.
const firstStarts = 64

// burst is how many probes start before events of those under way are handled.
const burst = 256

// The scheduler looks at its queues at least every heartbeat, and every quickHeartbeat while probes
// are under way. Otherwise it could not measure how long it stood still, see [overload.Stalls].
const (
	heartbeat      = time.Second
	quickHeartbeat = 50 * time.Millisecond
)

// gather takes the probes that are due and may start. It returns when to look again, and the owners
// of verdicts that have become stale.
func (s *Scheduler) gather(ctx context.Context, batch []probeRun) ([]probeRun, time.Duration, []probes.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if stalled := s.stalls.Beat(now); stalled > 0 {
		s.guard.Stalled(stalled, now)
	}
	s.waking = now + heartbeat
	s.limits.tick(now)
	if ctx.Err() == nil {
		batch = s.gatherAll(ctx, now, batch)
	}
	if len(s.limits.waiting) > 0 {
		s.waking = min(s.waking, now+tick)
	}
	if s.limits.inFlight != [lanes]int{} {
		s.waking = min(s.waking, now+quickHeartbeat)
	}
	if s.recheckUnconfirmed(now); len(s.unconfirmed) > 0 {
		s.waking = min(s.waking, now+tick)
	}
	if s.waking > now {
		s.waking = tickAfter(s.waking)
	}
	s.stalls.Plan(s.waking)
	return batch, s.waking, s.sweep(now)
}

// begin takes the first probe out of a queue. It has been charged.
func (s *Scheduler) begin(ctx context.Context, queue *dueQueue, of limitKey, now time.Duration) probeRun {
	p := heap.Pop(queue).(*probe)
	s.options.Metrics.began(now-p.due, p.rules.timing.Interval, of.limit == "")
	s.starts.Begin(now)
	s.options.Metrics.inFlight[p.lane].Inc()
	p.startedAt, p.startedAwake, p.accepted = now, s.stalls.Awake(now), false
	if s.loops(p.prober) {
		return probeRun{probe: p}
	}
	return probeRun{probe: p, ctx: ctx, left: p.rules.timing.Timeout}
}

// finish records the result of a probe and notifies owners.
func (s *Scheduler) finish(p *probe, result probes.Result) { s.notify(s.recordResult(p, result)) }

// recordResult records the result and makes the probe due again. It returns the owners to notify.
func (s *Scheduler) recordResult(p *probe, result probes.Result) (owners []probes.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
	if s.limits.full(p.lane) || s.starts.Left(now) == 0 {
		s.nudge() // other probes may be waiting for this one to end
	}
	s.limits.give(p)
	s.starts.End(overload.EndedProbe{
		StartedAt: p.startedAt, Timeout: p.rules.timing.Timeout, Usual: p.usual.Duration(),
		Accepted: p.accepted && p.lane != laneDown, Outcome: result.Outcome,
	}, now)
	s.options.Metrics.inFlight[p.lane].Dec()
	if p.first == nil {
		return nil
	}
	if p.superseded { // by the endpoint's own report
		p.superseded = false
		s.enqueue(p, now+p.rules.timing.FastInterval)
		return nil
	}
	result = s.applyGuard(p, result, now)
	took := now - p.startedAt
	p.took, p.failedFast = overload.InMicroseconds(took), took < p.rules.timing.Timeout/2
	if result.Outcome.Completes() {
		p.usual.Learn(took)
	}
	s.options.Metrics.observe(schemeOf(p), result, took)
	before := p.health.State
	if p.health.Observe(result, p.rules.thresholds, s.options.Clock.Now()) {
		s.changed(p, before, now)
	}
	s.age(p, result, now)
	if !p.health.State.Works() {
		s.clearSuspect(p, now)
	}
	s.enqueue(p, p.nextDue(s.origin, now))
	s.recheckUnconfirmed(now)
	return s.flush()
}

// enqueue makes the probe due at a time, and wakes Start if it would look too late.
func (s *Scheduler) enqueue(p *probe, due time.Duration) {
	p.due, p.lane = due, laneOf(p)
	heap.Push(&s.queues[p.lane], p)
	if due < s.waking {
		s.nudge()
	}
}

func (s *Scheduler) now() time.Duration { return s.options.Clock.Since(s.origin) }

// nudge makes Start look at the queues again. The lock is held.
func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look anyway
	}
	s.loop.wakeUp()
}
