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

package targets

import (
	"net/netip"
	"slices"
	"time"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/resolver"
)

// namedAddress is an address that a canonical name led to.
type namedAddress struct {
	name    string
	address netip.Addr
}

// Departures is when addresses were first missing from the answers about their names. Only the
// reconcile of one object uses it. After a restart it is empty, and the periods begin again.
type Departures struct{ since map[namedAddress]time.Time }

// Retention says which addresses that the answers about a name lack are endpoints nevertheless:
// spec.dns.keepFor. Candidates are those in the slices that have not failed, so that an address
// that was dropped does not come back by itself. The zero value keeps none.
type Retention struct {
	period     time.Duration
	now        time.Time
	candidates map[string][]netip.Addr
	departures *Departures
	// remaining is what departures becomes.
	remaining map[namedAddress]time.Time
}

// NewRetention returns the retention for an object whose slices hold this, and whose probes know
// this.
func NewRetention(options *farpointv1.DNSOptions, now time.Time, prior *slicestate.Prior, departures *Departures, known func() map[string]health.Health) Retention {
	if options == nil || options.KeepFor == nil {
		departures.since = nil
		return Retention{}
	}
	return Retention{
		period: options.KeepFor.Duration, now: now, departures: departures,
		candidates: keepable(prior, known()), remaining: map[namedAddress]time.Time{},
	}
}

// keepable returns the addresses that names led to, as the slices have them, by the canonical
// name. It leaves out addresses of which every endpoint has been found unhealthy.
func keepable(prior *slicestate.Prior, known map[string]health.Health) map[string][]netip.Addr {
	alive := map[namedAddress]bool{}
	failed := map[namedAddress]bool{}
	for at, origin := range prior.Origins() {
		name, ok := hostNameOf(origin)
		if !ok || !at.Address.IsValid() {
			continue
		}
		key := namedAddress{name, at.Address}
		current, probed := known[at.String()] // further ports of an endpoint are not probed
		alive[key] = alive[key] || probed && current.State != health.StateUnhealthy
		failed[key] = failed[key] || probed && current.State == health.StateUnhealthy
	}
	candidates := map[string][]netip.Addr{}
	for key, isAlive := range alive {
		if isAlive || !failed[key] {
			candidates[key.name] = append(candidates[key.name], key.address)
		}
	}
	for _, addresses := range candidates {
		slices.SortFunc(addresses, netip.Addr.Compare)
	}
	return candidates
}

// hostNameOf returns the canonical name of the host that an endpoint's address belongs to.
func hostNameOf(origin slicestate.Origin) (string, bool) {
	parsed, err := endpoint.ParseName(origin.Name)
	if err != nil {
		return "", false
	}
	if parsed.Service == nil {
		return parsed.Name, true
	}
	canonical, err := resolver.CanonicalName(origin.Target)
	return canonical, err == nil && canonical == origin.Target
}

// keep returns the addresses of a name that are kept besides those of the answers, at most so
// many: the ones that departed last. While name servers do not answer, no period passes: then
// nothing is known about what they would say.
func (r *Retention) keep(name string, answered resolution, types []resolver.RecordType, limit int) []netip.Addr {
	if r.period <= 0 || len(answered.addresses) == 0 {
		return nil // the name does not exist any more, or has no answer at all
	}
	var kept []netip.Addr
	since := func(address netip.Addr) time.Time { return r.remaining[namedAddress{name, address}] }
	for _, address := range r.candidates[name] {
		if slices.Contains(answered.addresses, address) || !slices.Contains(types, recordTypeOf(address)) {
			continue
		}
		key := namedAddress{name, address}
		departed, ok := r.departures.since[key]
		if !ok || answered.outcome != resolver.LookupFound {
			departed = r.now
		}
		r.remaining[key] = departed
		if r.now.Sub(departed) < r.period {
			kept = append(kept, address)
		}
	}
	if len(kept) > limit {
		slices.SortStableFunc(kept, func(a, b netip.Addr) int { return since(b).Compare(since(a)) })
		kept = kept[:max(limit, 0)]
	}
	return kept
}

func recordTypeOf(address netip.Addr) resolver.RecordType {
	if address.Is4() {
		return resolver.RecordA
	}
	return resolver.RecordAAAA
}

// finish remembers when addresses departed, and returns how long to wait for the first one that is
// then kept no longer; 0 if none is kept.
func (r *Retention) finish() time.Duration {
	if r.departures == nil {
		return 0
	}
	r.departures.since = r.remaining
	var first time.Duration
	for _, departed := range r.remaining {
		if left := departed.Add(r.period).Sub(r.now); left > 0 && (first == 0 || left < first) {
			first = left
		}
	}
	return first
}
