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

import "net/netip"

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

	inFlight      [lanes]int
	byNamespace   map[portion]int
	byDestination map[visit]int
}

// portion is what a namespace has of a lane.
type portion struct {
	namespace string
	lane      lane
}

// visit is what a namespace has to do with a place.
type visit struct {
	namespace string
	place     place
}

// place is a host that probes connect to: an address or a name.
type place struct {
	addr netip.Addr
	name string
}

// described is a prober that tells about itself.
type described interface {
	// place is where it connects to.
	place() place
	// scheme is that of its URL.
	scheme() string
}

func newLimits(options SchedulerOptions) limits {
	down := max(options.MaxInFlight/4, 1)
	return limits{
		most:             [lanes]int{laneLive: options.MaxInFlight, laneDown: down},
		perNamespace:     options.MaxInFlightPerNamespace,
		downPerNamespace: max(min(down*options.MaxInFlightPerNamespace/options.MaxInFlight, down), 1),
		perDestination:   options.MaxInFlightPerDestination,
		byNamespace:      map[portion]int{},
		byDestination:    map[visit]int{},
	}
}

// full tells whether no probe of this lane can begin. The live may use all there is.
func (l *limits) full(lane lane) bool {
	return l.inFlight[lane] >= l.most[lane] || l.inFlight[laneLive]+l.inFlight[laneDown] >= l.most[laneLive]
}

// take lets the probe begin, or names the limit that it would exceed. One that several
// namespaces share counts for the first that has room: nobody waits for another's limit.
func (l *limits) take(p *probe) (limit string) {
	if limit = l.charge(p, p.first); limit == "" {
		return ""
	}
	for _, of := range p.others {
		if l.charge(p, of) == "" {
			return ""
		}
	}
	return limit
}

func (l *limits) charge(p *probe, to *account) (limit string) {
	namespace := to.owner.Namespace
	down := l.byNamespace[portion{namespace, laneDown}]
	if l.byNamespace[portion{namespace, laneLive}]+down >= l.perNamespace || p.lane == laneDown && down >= l.downPerNamespace {
		return "namespace"
	}
	if at, ok := p.prober.(described); ok {
		to := visit{namespace, at.place()}
		if l.byDestination[to] >= l.perDestination {
			return "destination"
		}
		l.byDestination[to]++
	}
	l.byNamespace[portion{namespace, p.lane}]++
	l.inFlight[p.lane]++
	p.charged = namespace
	return ""
}

// give is called once for each probe that take let begin.
func (l *limits) give(p *probe) {
	l.inFlight[p.lane]--
	lower(l.byNamespace, portion{p.charged, p.lane})
	if at, ok := p.prober.(described); ok {
		lower(l.byDestination, visit{p.charged, at.place()})
	}
}

// lower counts down, and forgets what has come to nothing.
func lower[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}
