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

// limits bound the probes in flight: in all, of the steadily down, and by namespace and
// destination, so that neither corpses nor one tenant take the others' turns.
type limits struct {
	most [lanes]int
	// perNamespace bounds what a namespace has of all lanes, and downPerNamespace what it
	// has of the lane of the steadily down: the same share of it.
	perNamespace, downPerNamespace int
	// perDestination bounds the probes of one namespace to a place: who probes it slowly
	// is in nobody's way but his own.
	perDestination int
	// cpuLimiter has a lock of its own. maxWaiting bounds the probes of one namespace that
	// wait there or have begun to go there in this tick: more would run out of time.
	cpuLimiter *cpulimit.Limiter
	maxWaiting int

	inFlight      [lanes]int
	byNamespace   map[string][lanes]int
	byDestination map[namespaceHost]int
	// entered counts the probes with much to compute that have begun since ticked, by
	// namespace.
	entered map[string]int
	ticked  time.Duration
	// waiting are the probes that are due and wait for a limit. Each goes by its own due
	// time: who has waited longest is the next one.
	waiting map[limitKey]*dueQueue
}

// limitKey is a limit that keeps a probe from beginning.
type limitKey struct {
	// limit is its name in the metrics; empty if there is none.
	limit string
	// namespaceHost has a place if the limit is that of a destination.
	namespaceHost
	lane lane
}

// namespaceHost is what a namespace has to do with a place.
type namespaceHost struct {
	namespace string
	location  probes.Location
}

func newLimits(options Options) limits {
	down := max(options.MaxInFlight/4, 1)
	return limits{
		most:             [lanes]int{laneLive: options.MaxInFlight, laneDown: down, lanePending: options.MaxInFlight},
		perNamespace:     options.MaxInFlightPerNamespace,
		downPerNamespace: max(min(down*options.MaxInFlightPerNamespace/options.MaxInFlight, down), 1),
		perDestination:   options.MaxInFlightPerDestination,
		cpuLimiter:       cpulimit.New(options.MaxHandshakes),
		maxWaiting:       waitingPerTurn * options.MaxHandshakes,
		entered:          map[string]int{},
		byNamespace:      map[string][lanes]int{},
		byDestination:    map[namespaceHost]int{},
		waiting:          map[limitKey]*dueQueue{},
	}
}

// waitingPerTurn is how many probes of a namespace may wait for each that computes: with
// 0.3 ms for a handshake, the last of them waits for about two ticks.
const waitingPerTurn = 64

// tick is called when time has passed.
func (l *limits) tick(now time.Duration) {
	if now >= l.ticked+tick {
		l.ticked = now
		clear(l.entered)
	}
}

// full reports whether no probe of this lane can begin. The live may use all there is, and so
// may those with a change pending.
func (l *limits) full(lane lane) bool {
	return l.inFlight[lane] >= l.most[lane] || sum(l.inFlight) >= l.most[laneLive]
}

func sum(inFlight [lanes]int) (all int) {
	for _, count := range inFlight {
		all += count
	}
	return all
}

// take lets the probe begin, or names the limit that it would exceed. One that several
// namespaces share counts for the first that has room, or waits where the fewest do: nobody
// waits for another's limit.
func (l *limits) take(p *probe) (exceeded limitKey) {
	exceeded = l.charge(p, p.first)
	for _, of := range p.others {
		if exceeded.limit == "" {
			break
		}
		if next := l.charge(p, of); next.limit == "" || l.before(p, next) < l.before(p, exceeded) {
			exceeded = next
		}
	}
	return exceeded
}

// before is how many others wait for a limit than this one, which may do so already.
func (l *limits) before(p *probe, at limitKey) int {
	queue := l.waiting[at]
	switch queue {
	case nil:
		return 0
	case p.queue:
		return len(*queue) - 1
	}
	return len(*queue)
}

// defers has a probe wait for a limit.
func (l *limits) defers(p *probe, exceeded limitKey) {
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

// give is called once for each probe that take let begin.
func (l *limits) give(p *probe) {
	l.inFlight[p.lane]--
	l.release(p.charged, p.lane)
	if at, ok := p.prober.(probes.EndpointInfo); ok {
		lower(l.byDestination, namespaceHost{p.charged, at.Location()})
	}
}

// overtakes reports whether a probe would begin before others that wait for a limit of its own.
func (l *limits) overtakes(p *probe, at limitKey) bool {
	if len(l.waiting) == 0 {
		return false
	}
	queue := l.waiting[at]
	return queue != nil && queue != p.queue && len(*queue) > 0
}

// release counts a probe of a namespace out of its lane.
func (l *limits) release(namespace string, from lane) {
	inFlight := l.byNamespace[namespace]
	if inFlight[from]--; inFlight == ([lanes]int{}) {
		delete(l.byNamespace, namespace)
		return
	}
	l.byNamespace[namespace] = inFlight
}

// lower counts down, and forgets what has come to nothing.
func lower[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

func isCPUHeavy(prober probes.Prober) bool {
	heavy, ok := prober.(probes.CPUHeavyProber)
	return ok && heavy.CpuHeavy()
}
