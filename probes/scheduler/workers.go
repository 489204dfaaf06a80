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
	"context"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
	"farpoint.dev/farpoint/probes/overload"
	"farpoint.dev/farpoint/probes/transport"
)

// probeRun is a probe to be made now, with the scheduler's context.
type probeRun struct {
	*probe
	// ctx is nil if the loop makes the probe.
	ctx context.Context
	// left is the time that the endpoint has from the start of the goroutine.
	left time.Duration
	// rest makes the rest of a probe that the loop has begun; otherwise it is nil.
	rest func(context.Context) probes.Result
}

// loops reports whether the loop makes the probes of a prober. The first of them starts it.
func (s *Scheduler) loops(prober probes.Prober) bool {
	if loopProber, ok := prober.(transport.LoopProber); !ok || !loopProber.LoopEligible() {
		return false
	}
	if s.loop == nil {
		s.loop = newLoop(s)
	}
	return s.loop != nil
}

// dispatch gives a probe to an idle worker, whose stack has grown to what a probe needs already, or
// to a new one.
func (s *Scheduler) dispatch(b probeRun) {
	select {
	case s.handoff <- b:
	default:
		s.probing.Go(func() { s.work(b) })
	}
}

// dispatchRest hands over the rest of a probe that the loop has begun.
func (s *Scheduler) dispatchRest(ctx context.Context, p *probe, left time.Duration, rest func(context.Context) probes.Result) {
	s.dispatch(probeRun{p, ctx, left, rest}) //nolint:contextcheck // the probeRun has it
}

// probeContext returns the context of a probe with this time left. The probe has been charged to a
// namespace.
func (s *Scheduler) probeContext(ctx context.Context, p *probe, left time.Duration) context.Context {
	ctx, p.cancel = context.WithTimeout(ctx, left)
	return s.withCPUSlot(ctx, p, p.charged)
}

// withCPUSlot returns a context by which the probe computes in the slots of the namespace.
func (s *Scheduler) withCPUSlot(ctx context.Context, p *probe, namespace string) context.Context {
	return &cpulimit.Slot{Context: ctx, Limiter: s.limits.cpuLimiter, Namespace: namespace, Timeout: p.rules.timing.Timeout}
}

// idleWorkers is how many goroutines wait for probes. The others end after a burst.
const idleWorkers = 64

// work makes a probe and then further ones, until there are enough idle workers.
func (s *Scheduler) work(b probeRun) {
	for {
		s.run(b)
		if s.idle.Add(1) > idleWorkers {
			s.idle.Add(-1)
			return
		}
		var ok bool
		b, ok = <-s.handoff
		s.idle.Add(-1)
		if !ok {
			return
		}
	}
}

// run makes one probe, or the rest of it. The time that the probe has waited for a goroutine is not
// the endpoint's.
func (s *Scheduler) run(b probeRun) {
	s.mu.Lock()
	deadline := s.now() + b.left
	ctx := s.probeContext(b.ctx, b.probe, b.left)
	if b.first == nil {
		b.cancel() // it has no owner any more
	}
	s.mu.Unlock()
	result := s.guarded(func() probes.Result {
		if b.rest != nil {
			return b.rest(ctx)
		}
		return b.prober.Probe(ctx)
	})
	if result.Reason == probes.ReasonTimeout && overload.TooLate(s.now()-deadline, b.rules.timing.Timeout) {
		result = probes.UnknownResult(probes.ReasonCrowded)
	}
	s.finish(b.probe, result)
}

// guarded turns a prober's panic into an unknown result.
func (s *Scheduler) guarded(probe func() probes.Result) (result probes.Result) {
	defer func() {
		if cause := recover(); cause != nil {
			s.options.Metrics.panics.Inc()
			s.options.Log.Error(nil, "A prober panicked; its probe does not count", "cause", cause)
			result = probes.UnknownResult(probes.ReasonInternal)
		}
	}()
	return probe()
}
