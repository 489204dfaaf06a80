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
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
)

// limits bound the probes in flight: in all, of targets that are steadily down, and by namespace and
// destination, so that neither dead endpoints nor one tenant delay the others.
type limits struct {
	maxInFlight [lanes]int
	// perNamespace bounds the probes of a namespace in all lanes, and downPerNamespace those in
	// laneDown, by the same share.
	perNamespace, downPerNamespace int
	// perDestination bounds the probes of one namespace to one host, so that a slow destination
	// delays only that namespace.
	perDestination int
	// cpuLimiter has its own lock. maxWaiting bounds the probes of one namespace that wait there or
	// have started in this tick: more would run out of time.
	cpuLimiter *cpulimit.Limiter
	maxWaiting int

	inFlight      [lanes]int
	byNamespace   map[string][lanes]int
	byDestination map[namespaceHost]int
	// entered counts the CPU-heavy probes that have started since ticked, by namespace.
	entered map[string]int
	ticked  time.Duration
	// waiting has the probes that are due and wait for a limit, the longest overdue first.
	waiting map[limitKey]*dueQueue
}

// limitKey is a limit that keeps a probe from starting.
type limitKey struct {
	// limit is its name in the metrics; empty if there is none.
	limit string
	// namespaceHost has a location if the limit is that of a destination.
	namespaceHost
	lane lane
}

// namespaceHost is a host as a destination of one namespace.
type namespaceHost struct {
	namespace string
	location  probes.Location
}

func newLimits(options Options) limits {
	down := max(options.MaxInFlight/4, 1)
	return limits{
		maxInFlight:      [lanes]int{laneLive: options.MaxInFlight, laneDown: down, lanePending: options.MaxInFlight},
		perNamespace:     options.MaxInFlightPerNamespace,
		downPerNamespace: max(min(down*options.MaxInFlightPerNamespace/options.MaxInFlight, down), 1),
		perDestination:   options.MaxInFlightPerDestination,
		cpuLimiter:       cpulimit.New(options.MaxHandshakes),
		maxWaiting:       waitingPerSlot * options.MaxHandshakes,
		entered:          map[string]int{},
		byNamespace:      map[string][lanes]int{},
		byDestination:    map[namespaceHost]int{},
		waiting:          map[limitKey]*dueQueue{},
	}
}

// waitingPerSlot is how many probes of a namespace may wait for each slot: at 0.3 ms for a
// handshake, the last of them waits for about two ticks.
const waitingPerSlot = 64

// tick starts a new tick if the last one is over.
func (l *limits) tick(now time.Duration) {
	if now >= l.ticked+tick {
		l.ticked = now
		clear(l.entered)
	}
}

// full reports whether no probe of this lane can start. Live probes, and those with a pending
// change, may use the whole limit.
func (l *limits) full(lane lane) bool {
	return l.inFlight[lane] >= l.maxInFlight[lane] || sum(l.inFlight) >= l.maxInFlight[laneLive]
}

func sum(inFlight [lanes]int) (all int) {
	for _, count := range inFlight {
		all += count
	}
	return all
}

// take charges the probe to a namespace, or returns the limit that it would exceed. A probe that
// several namespaces share is charged to the first that has room. If none has, it waits for the
// limit with the shortest queue, so that no namespace waits for the limit of another.
func (l *limits) take(p *probe) (exceeded limitKey) {
	exceeded = l.charge(p, p.first)
	for _, of := range p.others {
		if exceeded.limit == "" {
			break
		}
		if next := l.charge(p, of); next.limit == "" || l.waitingFor(p, next) < l.waitingFor(p, exceeded) {
			exceeded = next
		}
	}
	return exceeded
}

// waitingFor is how many others wait for a limit than this one, which may do so already.
func (l *limits) waitingFor(p *probe, at limitKey) int {
	queue := l.waiting[at]
	switch queue {
	case nil:
		return 0
	case p.queue:
		return len(*queue) - 1
	}
	return len(*queue)
}

// queueFor has a probe wait for a limit.
func (l *limits) queueFor(p *probe, exceeded limitKey) {
	queue := l.waiting[exceeded]
	if queue == nil {
		queue = &dueQueue{}
		l.waiting[exceeded] = queue
	}
	heap.Push(queue, p)
}

func (l *limits) charge(p *probe, to *account) (exceeded limitKey) {
	namespace := to.owner.Namespace
	exceeded = limitKey{namespaceHost: namespaceHost{namespace: namespace}, lane: p.lane}
	inFlight := l.byNamespace[namespace]
	exceeded.limit = "namespace"
	if sum(inFlight) >= l.perNamespace || p.lane == laneDown && inFlight[laneDown] >= l.downPerNamespace || l.overtakes(p, exceeded) {
		return exceeded
	}
	computes := isCPUHeavy(p.prober)
	exceeded.limit = "cpu"
	if computes && (l.cpuLimiter.Waiting(namespace)+l.entered[namespace] >= l.maxWaiting || l.overtakes(p, exceeded)) {
		return exceeded
	}
	if at, ok := p.prober.(probes.EndpointInfo); ok {
		to := namespaceHost{namespace, at.Location()}
		exceeded = limitKey{"destination", to, p.lane}
		if l.byDestination[to] >= l.perDestination || l.overtakes(p, exceeded) {
			return exceeded
		}
		l.byDestination[to]++
	}
	if computes {
		l.entered[namespace]++
	}
	inFlight[p.lane]++
	l.byNamespace[namespace] = inFlight
	l.inFlight[p.lane]++
	p.charged = namespace
	return limitKey{}
}

// give is called once for each probe that take has charged.
func (l *limits) give(p *probe) {
	l.inFlight[p.lane]--
	l.release(p.charged, p.lane)
	if at, ok := p.prober.(probes.EndpointInfo); ok {
		decrement(l.byDestination, namespaceHost{p.charged, at.Location()})
	}
}

// overtakes reports whether a probe would start before others that wait for one of its limits.
func (l *limits) overtakes(p *probe, at limitKey) bool {
	if len(l.waiting) == 0 {
		return false
	}
	queue := l.waiting[at]
	return queue != nil && queue != p.queue && len(*queue) > 0
}

// release discharges a probe of a namespace.
func (l *limits) release(namespace string, from lane) {
	inFlight := l.byNamespace[namespace]
	if inFlight[from]--; inFlight == ([lanes]int{}) {
		delete(l.byNamespace, namespace)
		return
	}
	l.byNamespace[namespace] = inFlight
}

// decrement counts down, and forgets what has come to nothing.
func decrement[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

func isCPUHeavy(prober probes.Prober) bool {
	heavy, ok := prober.(probes.CPUHeavyProber)
	return ok && heavy.CPUHeavy()
}
