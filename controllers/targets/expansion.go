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
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/probes/resolver"
)

// ExpandedEndpoint is an endpoint of the spec, or one that a name of the spec leads to.
type ExpandedEndpoint struct {
	// Spec is the entry of the spec, or a copy of it with the address that its name leads to.
	Spec *farpointv1.Endpoint
	// Origin is its index in the spec.
	Origin int
	// from is the spec's DNS name that led to it, and Name the canonical name that probes use;
	// both are "" if none did.
	from, Name string
	// target is the name if SRV records name it.
	target string
	// Refused is why it is set aside already; nil if it is not. With unresolved, it is a name
	// that leads nowhere.
	Refused    *endpoint.Rejection
	unresolved bool
	// asName: the name is published, and not the addresses that it leads to.
	asName bool
}

// Expansion has the endpoints of a spec, with its names resolved.
type Expansion struct {
	Spec *farpointv1.ExternalServiceSpec
	// list is nil if there is no name: it is then that of the spec.
	list []ExpandedEndpoint
	// faults are the names with which something is wrong, and Names counts all.
	faults []nameFault
	Names  int
	// Surplus counts the endpoints beyond the maximum.
	Surplus int
	// asNames: the names themselves are published.
	asNames bool
	// KeptFor is how long to wait until the first address is dropped that is kept although the
	// answers about its name lack it; 0 if none is kept.
	KeptFor time.Duration
}

// nameFault is a name that does not lead to addresses now.
type nameFault struct {
	// origin is the index in the spec, and name what has the fault.
	origin int
	name   string
	// kept counts the addresses that it led to last.
	kept int
	// detail says why the name servers may not be asked; "" if they may.
	detail string
	resolution
}

// Len returns how many endpoints there are.
func (e *Expansion) Len() int {
	if e.list == nil {
		return len(e.Spec.Endpoints)
	}
	return len(e.list)
}

// At returns an endpoint by its index, in the order of the spec.
func (e *Expansion) At(i int) ExpandedEndpoint {
	if e.list == nil {
		return ExpandedEndpoint{Spec: &e.Spec.Endpoints[i], Origin: i}
	}
	return e.list[i]
}

// sameEndpoints reports whether two expansions of one generation have the same endpoints,
// whatever name servers say besides.
func (e *Expansion) sameEndpoints(other *Expansion) bool {
	return e.asNames == other.asNames && slices.EqualFunc(e.list, other.list, func(a, b ExpandedEndpoint) bool {
		sameRefusal := a.Refused == b.Refused || a.Refused != nil && b.Refused != nil && *a.Refused == *b.Refused
		a.Refused, b.Refused = nil, nil
		sameSpec := a.Spec.Address == b.Spec.Address && a.Spec.Priority == b.Spec.Priority && slices.Equal(a.Spec.Ports, b.Spec.Ports)
		a.Spec, b.Spec = nil, nil
		return sameRefusal && sameSpec && a == b
	})
}

// Expander resolves the names of a spec. It is pure.
type Expander struct {
	Rules NameRules
	// Ports are the Service's.
	Ports  []corev1.ServicePort
	Answer func(resolver.Question) resolver.Answer
	// Refused reports addresses that may not be published.
	Refused func(netip.Addr) bool
	// Before is the status, from which only the reason why a name leads nowhere is taken, for as
	// long as no name server has answered.
	Before []farpointv1.EndpointStatus
	// Retention keeps addresses that answers lack.
	Retention Retention

	expansion *Expansion
	// room is how many more endpoints there may be than entries in the spec.
	room int
}

// Expand replaces each name by what it leads to, in an order that depends only on the answers.
// Addresses of the spec come before the second and further addresses of names.
func (x Expander) Expand(spec *farpointv1.ExternalServiceSpec) *Expansion {
	x.expansion = &Expansion{Spec: spec, asNames: x.Rules.asNames}
	if !endpoint.HasDNSName(spec) {
		return x.expansion
	}
	x.room = max(endpoint.MaxPerObject-len(spec.Endpoints), 0)
	x.expansion.list = make([]ExpandedEndpoint, 0, len(spec.Endpoints))
	for i := range spec.Endpoints {
		e := ExpandedEndpoint{Spec: &spec.Endpoints[i], Origin: i}
		if !endpoint.IsDNSName(e.Spec.Address) {
			x.expansion.list = append(x.expansion.list, e)
			continue
		}
		x.expansion.Names++
		e.from = e.Spec.Address
		parsed, err := endpoint.ParseName(e.Spec.Address)
		switch {
		case err != nil:
			e.Refused = &endpoint.Rejection{Reason: farpointv1.InvalidAddressReason, Message: err.Error()}
			x.expansion.list = append(x.expansion.list, e)
		case parsed.Service != nil:
			x.expandServices(e, parsed.Service)
		default:
			e.Name = parsed.Name
			x.collect(e, x.hosts(e))
		}
	}
	x.expansion.KeptFor = x.Retention.finish()
	return x.expansion
}

// answer is what the name servers of the spec say.
func (x *Expander) answer(question resolver.Question) resolver.Answer {
	return x.Rules.Ask(x.Answer)(question)
}

// hosts returns the endpoints of a host's name.
func (x *Expander) hosts(e ExpandedEndpoint) []ExpandedEndpoint {
	resolved := resolutionOf(e.Name, x.Rules.Types, x.answer)
	if resolved.outcome != resolver.LookupFound {
		fault := nameFault{origin: e.Origin, name: e.Name, kept: len(resolved.addresses), detail: x.Rules.serverFault, resolution: resolved}
		if x.Rules.asNames {
			fault.kept = 0 // the name is what is published
		}
		x.expansion.faults = append(x.expansion.faults, fault)
	}
	if x.Rules.asNames {
		return []ExpandedEndpoint{x.asName(e, resolved.addresses)}
	}
	resolved.addresses = x.withKept(e.Name, resolved)
	endpoints := make([]ExpandedEndpoint, len(resolved.addresses))
	for i, address := range resolved.addresses {
		endpoints[i] = e
		endpoints[i].Spec = with(e.Spec, address.String())
		if x.Refused(address) {
			endpoints[i].Refused = &endpoint.Rejection{Reason: farpointv1.RefusedAddressReason}
		}
	}
	return endpoints
}

// withKept returns the addresses of a name together with those that are kept although the answers
// lack them. The order depends only on the addresses, so that another answer moves none.
func (x *Expander) withKept(name string, resolved resolution) []netip.Addr {
	room := min(resolver.MaxRecords, x.room+1) - len(resolved.addresses)
	kept := slices.DeleteFunc(x.Retention.keep(name, resolved, x.Rules.Types, room), x.Refused)
	if len(kept) == 0 {
		return resolved.addresses
	}
	return slices.SortedFunc(slices.Values(append(kept, resolved.addresses...)), netip.Addr.Compare)
}

// asName returns the endpoint of a name that is published as such. It is refused if it leads to
// any refused address, which clients that resolve it could reach.
func (x *Expander) asName(e ExpandedEndpoint, addresses []netip.Addr) ExpandedEndpoint {
	e.Spec, e.asName = with(e.Spec, e.Name), true
	if slices.ContainsFunc(addresses, x.Refused) {
		e.Refused = &endpoint.Rejection{Reason: farpointv1.RefusedAddressReason}
	}
	return e
}

func with(spec *farpointv1.Endpoint, address string) *farpointv1.Endpoint {
	changed := *spec
	changed.Address = address
	return &changed
}

// expandServices expands SRV records. Their priorities become tiers, in their order, from the
// spec's priority on. Slices cannot express their weights.
func (x *Expander) expandServices(e ExpandedEndpoint, service *resolver.ServiceName) {
	if e.Spec.Port != nil || len(e.Spec.Ports) > 0 {
		e.Refused = &endpoint.Rejection{Reason: farpointv1.InvalidPortReason, Message: "srv:// takes the ports from SRV records: remove port and ports"}
		x.expansion.list = append(x.expansion.list, e)
		return
	}
	answer := x.answer(resolver.Question{Name: service.Name, Type: resolver.RecordSRV})
	if answer.Outcome != resolver.LookupFound {
		x.expansion.faults = append(x.expansion.faults, nameFault{
			origin: e.Origin, name: service.Name, kept: len(answer.Services), detail: x.Rules.serverFault,
			resolution: resolution{outcome: answer.Outcome, keptUntil: answer.KeptUntil, requestedAt: answer.FirstAsked},
		})
	}
	var endpoints []ExpandedEndpoint
	rank := int32(0)
	for i, record := range answer.Services {
		if i > 0 && record.Priority != answer.Services[i-1].Priority {
			rank++
		}
		named := e
		named.Name, named.target = record.Target, record.Target
		changed := *e.Spec
		changed.Priority = min(e.Spec.Priority+rank, endpoint.LastTier)
		if answer.Stale {
			changed.Priority = int32(record.Priority) // not all former priorities may be known
		}
		changed.Ports = []farpointv1.EndpointPort{{
			Name: x.portNamed(service.Service), Protocol: corev1.Protocol(strings.ToUpper(service.Protocol)), Port: int32(record.Port),
		}}
		named.Spec = &changed
		endpoints = append(endpoints, x.hosts(named)...)
	}
	x.collect(e, endpoints)
}

// portNamed returns the name of the Service's port for the service of SRV records: "" for the
// only one there is.
func (x *Expander) portNamed(service string) string {
	if slices.ContainsFunc(x.Ports, func(port corev1.ServicePort) bool { return port.Name == service }) {
		return service
	}
	return ""
}

// collect adds what a name of the spec leads to. Its refused addresses are one entry, which does
// not name them: people who can write names could learn from it what is where. A name that leads
// nowhere is one entry, too.
func (x *Expander) collect(e ExpandedEndpoint, endpoints []ExpandedEndpoint) {
	all := len(endpoints)
	endpoints = slices.DeleteFunc(endpoints, func(other ExpandedEndpoint) bool { return other.Refused != nil })
	refused := all - len(endpoints)
	if surplus := len(endpoints) - 1 - x.room; surplus > 0 {
		x.expansion.Surplus += surplus
		endpoints = endpoints[:len(endpoints)-surplus]
	}
	x.room -= max(len(endpoints)-1, 0)
	x.expansion.list = append(x.expansion.list, endpoints...)
	switch {
	case refused > 0:
		e.Refused = &endpoint.Rejection{Reason: farpointv1.RefusedAddressReason, Message: refusedMessage(refused, all)}
	case len(endpoints) > 0:
		return
	default:
		e.Refused, e.unresolved = x.unresolved(e)
	}
	x.expansion.list = append(x.expansion.list, e)
}

func refusedMessage(refused, all int) string {
	text := "its addresses may not be published"
	if refused < all {
		text = fmt.Sprintf("%d of its %d addresses may not be published, and are left out", refused, all)
	}
	return text + ": correct the name's records, or have the operator's administrator allow the range (--allowed-cidrs)"
}

// unresolved says why a name leads nowhere.
func (x *Expander) unresolved(e ExpandedEndpoint) (why *endpoint.Rejection, unresolved bool) {
	worst := nameFault{resolution: resolution{outcome: resolver.LookupEmpty}}
	for _, fault := range x.expansion.faults {
		if fault.origin == e.Origin && (worst.name == "" || worse(fault.outcome, worst.outcome)) {
			worst = fault
		}
	}
	if worst.outcome == resolver.LookupPending {
		// The status may know better, from before the operator was started.
		for i := range x.Before {
			if previous := &x.Before[i]; previous.Address == e.Spec.Address && previous.Health == farpointv1.EndpointRejected {
				return &endpoint.Rejection{Reason: previous.Reason, Message: previous.Message}, previous.Reason != farpointv1.RefusedAddressReason
			}
		}
	}
	return &endpoint.Rejection{Reason: nameReasons[worst.outcome], Message: worst.explain()}, true
}

var nameReasons = map[resolver.LookupOutcome]string{
	resolver.LookupPending:       farpointv1.ResolvingReason,
	resolver.LookupEmpty:         farpointv1.NoAddressesReason,
	resolver.LookupMissing:       farpointv1.NameNotFoundReason,
	resolver.LookupAliasLoop:     farpointv1.AliasLoopReason,
	resolver.LookupServerFailure: farpointv1.NameServerFailureReason,
	resolver.LookupRefused:       farpointv1.NameServerFailureReason,
	resolver.LookupInvalid:       farpointv1.NameServerFailureReason,
	resolver.LookupTimeout:       farpointv1.NameServerTimeoutReason,
	resolver.LookupForbidden:     farpointv1.NameServerNotAllowedReason,
}

var nameAdvice = map[resolver.LookupOutcome]string{
	resolver.LookupPending:       "has no answer yet",
	resolver.LookupEmpty:         "has no record of the queried types: create one, or set spec.dns.ipFamilies",
	resolver.LookupMissing:       "does not exist (NXDOMAIN): correct it, or create it; names are absolute, without a search path",
	resolver.LookupAliasLoop:     "is an alias of itself, or follows too many aliases: correct its CNAME records",
	resolver.LookupServerFailure: "cannot be resolved, the name servers fail (SERVFAIL): check the name servers of its zone",
	resolver.LookupRefused:       "cannot be resolved, the name servers refuse (REFUSED): check whether the operator's name servers serve the zone",
	resolver.LookupInvalid:       "cannot be resolved, the name servers send invalid answers: check them",
	resolver.LookupTimeout:       "cannot be resolved, the name servers do not answer: check the operator's DNS and the name servers of the zone",
	resolver.LookupForbidden:     "cannot be resolved, its name servers may not be queried",
}

// explain says what is wrong, what happens to the endpoints, and what to do.
func (f *nameFault) explain() string {
	text := nameAdvice[f.outcome]
	if f.name != "" {
		text = f.name + " " + text
	}
	if f.detail != "" {
		text += ": " + f.detail
	}
	if f.kept == 0 {
		return text
	}
	text += fmt.Sprintf("; its previous addresses (%d) are kept", f.kept)
	if !f.keptUntil.IsZero() {
		text += " until " + f.keptUntil.UTC().Format(time.RFC3339)
	}
	return text
}

// answerPatience is how long a name without an answer delays the rest of its object. Usually
// there is an answer by then, so that one write suffices.
const answerPatience = time.Second

// Awaited returns how long to wait for the first answers before anything is published.
func (e *Expansion) Awaited(now time.Time) time.Duration {
	var longest time.Duration
	for i := range e.faults {
		if fault := &e.faults[i]; fault.outcome == resolver.LookupPending {
			longest = max(longest, fault.requestedAt.Add(answerPatience).Sub(now))
		}
	}
	return longest
}

// Condition summarizes the names for the condition AddressesResolved.
func (e *Expansion) Condition() (status metav1.ConditionStatus, reason, message string) {
	if slices.ContainsFunc(e.faults, func(fault nameFault) bool { return fault.outcome == resolver.LookupPending }) {
		return metav1.ConditionUnknown, farpointv1.ResolvingReason, "not all DNS names have an answer yet"
	}
	surplus := fmt.Sprintf("DNS names yield %d endpoints more than the %d allowed: the last ones are left out", e.Surplus, endpoint.MaxPerObject)
	switch {
	case len(e.faults) > 0:
		parts := make([]string, len(e.faults))
		for i := range e.faults {
			parts[i] = fmt.Sprintf("spec.endpoints[%d]: %s", e.faults[i].origin, e.faults[i].explain())
		}
		message = phrase.List(parts, "; ")
		if e.Surplus > 0 {
			message += "; " + surplus
		}
		return metav1.ConditionFalse, nameReasons[e.faults[0].outcome], message
	case e.Surplus > 0:
		return metav1.ConditionFalse, farpointv1.TooManyAddressesReason, surplus
	case e.asNames:
		return metav1.ConditionTrue, farpointv1.NamesPublishedReason, "DNS names are published in EndpointSlices of the type FQDN: kube-proxy and most other consumers do not route to these"
	}
	return metav1.ConditionTrue, farpointv1.NamesResolvedReason, "all DNS names are resolved"
}
