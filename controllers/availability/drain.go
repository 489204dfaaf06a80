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

package availability

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
)

// DefaultDrainPeriod is the CRD's default.
const DefaultDrainPeriod = 30 * time.Second

// Drain finds the endpoints that have left the spec and stay in the slices for a while, as
// terminating, so that their connections can end. Their states are in the slices, and until when
// they stay is in the slices' annotations. It is pure.
type Drain struct {
	// Service is the one that the endpoints belong to. Endpoints that were published for another
	// one are removed at once.
	Service *corev1.Service
	// Period is how long an endpoint that leaves now stays; one that has left before stays no
	// longer than that.
	Period time.Duration
	Now    time.Time
	// Claimed are the keys of the endpoints of the spec.
	Claimed map[endpoint.Key]int
	// Rivals are slices of others for the same Service: endpoints that have moved there must not
	// be published twice.
	Rivals []*discoveryv1.EndpointSlice
	// Refused reports whether an address and its ports may not be published (any more).
	Refused func(netip.Addr, []discoveryv1.EndpointPort) bool
	Prior   *slicestate.Prior
	// Health returns what the probes know of the endpoint with this name; false if nothing.
	Health func(name string) (health.Health, bool)
}

// DrainPeriod returns how long endpoints that leave the spec drain.
func DrainPeriod(spec *farpointv1.ExternalServiceSpec) time.Duration {
	if spec.Availability.DrainPeriod == nil {
		return DefaultDrainPeriod
	}
	return spec.Availability.DrainPeriod.Duration
}

// Leaving returns the endpoints to be published besides those of the spec, in an order that
// depends only on these endpoints.
func (d Drain) Leaving(existing []*discoveryv1.EndpointSlice) []endpoint.Verdict {
	if d.Period <= 0 {
		return nil
	}
	var leaving []endpoint.Verdict
	for _, slice := range slices.SortedFunc(slices.Values(existing), func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) }) {
		if slice.Labels[discoveryv1.LabelServiceName] == d.Service.Name && slice.Namespace == d.Service.Namespace && arePublished(slice.Ports) {
			leaving = d.leavingOf(slice, leaving)
		}
	}
	if len(leaving) == 0 {
		return nil
	}
	leaving = latest(d.withoutDuplicates(leaving))
	slices.SortFunc(leaving, func(a, b endpoint.Verdict) int { return strings.Compare(a.Name, b.Name) })
	return leaving
}

// maxLeaving is how many endpoints may drain at once beside those of the spec: as many as a
// spec may have, so that one spec can be replaced by another.
const maxLeaving = endpoint.MaxPerObject

// latest returns the endpoints that drain, at most maxLeaving: the oldest, which have had most of
// their time, are removed at once.
func latest(leaving []endpoint.Verdict) []endpoint.Verdict {
	if len(leaving) <= maxLeaving {
		return leaving
	}
	slices.SortFunc(leaving, func(a, b endpoint.Verdict) int {
		return cmp.Or(b.DrainUntil.Compare(a.DrainUntil), strings.Compare(a.Name, b.Name))
	})
	return leaving[:maxLeaving]
}

// arePublished reports whether ports look as the operator writes them: somebody may have edited
// them.
func arePublished(ports []discoveryv1.EndpointPort) bool {
	return len(ports) > 0 && !slices.ContainsFunc(ports, func(port discoveryv1.EndpointPort) bool {
		return port.Name == nil || port.Protocol == nil || port.Port == nil
	})
}

func (d Drain) leavingOf(slice *discoveryv1.EndpointSlice, leaving []endpoint.Verdict) []endpoint.Verdict {
	var ports *endpoint.PortSet
	asWritten := sync.OnceValue(func() bool { return slicestate.IsAsWritten(slice) })
	for i := range slice.Endpoints {
		published := &slice.Endpoints[i]
		if len(published.Addresses) != 1 {
			continue
		}
		address, err := netip.ParseAddr(published.Addresses[0])
		// A name is removed at once: it may lead to an address that is refused by now.
		if err != nil || d.isClaimed(address, slice.Ports) || d.Refused(address, slice.Ports) {
			continue
		}
		if ports == nil {
			ports = endpoint.NewPortSet(slice.Ports)
		}
		left := endpointLike(published, address, ports)
		if endpoint.TopologyFault(left.Spec) != "" {
			continue // somebody has edited it; the API server would refuse it as a hint, and its whole slice
		}
		left.Index = math.MaxInt
		if until, current, ok := d.until(left, asWritten); ok {
			left.DrainUntil = until
			leaving = append(leaving, endpoint.Verdict{Endpoint: left, Health: current, Role: endpoint.Draining, WrittenReason: d.Prior.Reason(left, current.State)})
		}
	}
	return leaving
}

func (d Drain) isClaimed(address netip.Addr, ports []discoveryv1.EndpointPort) bool {
	for _, port := range ports {
		if _, ok := d.Claimed[endpoint.Host{Address: address}.Key(port)]; ok {
			return true
		}
	}
	return false
}

// endpointLike returns the endpoint that is published in this way.
func endpointLike(published *discoveryv1.Endpoint, address netip.Addr, ports *endpoint.PortSet) *endpoint.Endpoint {
	text := address.String()
	return &endpoint.Endpoint{
		Name: endpoint.HostOf(text).Key(ports.First()).String(), Address: address, Text: text, Ports: ports,
		Spec: &farpointv1.Endpoint{
			Address:  text,
			Hostname: ptr.Deref(published.Hostname, ""),
			NodeName: ptr.Deref(published.NodeName, ""),
			Zone:     ptr.Deref(published.Zone, ""),
			State:    farpointv1.EndpointDraining,
		},
	}
}

// until returns when an endpoint is removed, and its health; false if it is removed now. Somebody
// else may have put an endpoint that does not drain yet and is not probed into the slice: it is
// ours if the slice holds what the operator has written.
func (d Drain) until(left *endpoint.Endpoint, asWritten func() bool) (time.Time, health.Health, bool) {
	published, _ := d.Prior.Find(left)
	current, known := d.Health(left.Name)
	if !known && !published.Terminating && !asWritten() {
		return time.Time{}, health.Health{}, false
	}
	more := published.Details()
	if more.Origin.Name != "" {
		left.Resolved = &endpoint.ResolvedFrom{Address: more.Origin.Name, Target: more.Origin.Target}
		left.Spec.Priority = more.Origin.Tier
	}
	if !known {
		state, _ := d.Prior.State(left)
		current = health.New(state)
	}
	end := wholeSecond(d.Now.Add(d.Period))
	if !more.DrainUntil.IsZero() {
		if more.DrainUntil.Before(end) {
			end = more.DrainUntil
		}
		return end, current, d.Now.Before(end)
	}
	// It leaves now, or the time of its removal was lost.
	return end, current, published.Serving && current.State.Serves()
}

// wholeSecond rounds up to a second, since the API keeps no fractions.
func wholeSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}

// withoutDuplicates drops endpoints that others publish as well, or that are in another slice.
func (d Drain) withoutDuplicates(leaving []endpoint.Verdict) []endpoint.Verdict {
	published := map[endpoint.Key]bool{}
	for _, slice := range d.Rivals {
		for i := range slice.Endpoints {
			if len(slice.Endpoints[i].Addresses) == 0 {
				continue
			}
			address, err := netip.ParseAddr(slice.Endpoints[i].Addresses[0])
			if err != nil {
				continue
			}
			for _, port := range slice.Ports {
				published[endpoint.Host{Address: address}.Key(port)] = true
			}
		}
	}
	return slices.DeleteFunc(leaving, func(left endpoint.Verdict) bool {
		keys := left.Keys()
		double := slices.ContainsFunc(keys, func(at endpoint.Key) bool { return published[at] })
		for _, at := range keys {
			published[at] = true
		}
		return double
	})
}

// DrainedIn returns the time until the first of the endpoints has drained; 0 if none drains.
func DrainedIn(all []endpoint.Verdict, now time.Time) time.Duration {
	var first time.Duration
	for i := range all {
		if until := all[i].DrainUntil; !until.IsZero() {
			if wait := max(until.Sub(now), time.Millisecond); first == 0 || wait < first {
				first = wait
			}
		}
	}
	return first
}
