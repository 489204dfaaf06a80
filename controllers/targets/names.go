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
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/resolver"
)

// Defaults of spec.dns, which are those of the CRD.
const (
	defaultMinTTL = 5 * time.Second
	defaultMaxTTL = 5 * time.Minute
)

// NameRules say how names are looked up, and how they are published: spec.dns.
type NameRules struct {
	bounds resolver.TTLBounds
	// Types are those of the addresses.
	Types []resolver.RecordType
	// asNames: the names themselves are published.
	asNames bool
	// servers are the name servers, as a resolver.Question has them, and serverFault says why they
	// may not be asked; "" if they may.
	servers, serverFault string
}

// Through returns the rules with the name servers of a spec, all of which the planner must let
// probes go to.
func (r NameRules) Through(options *farpointv1.DNSOptions, planner Planner) NameRules {
	if options == nil || len(options.Nameservers) == 0 {
		return r
	}
	servers := make([]netip.AddrPort, len(options.Nameservers))
	for i, text := range options.Nameservers {
		var err error
		if servers[i], err = nameServerOf(string(text)); err == nil {
			err = planner.checkNameServer(servers[i])
		}
		if err != nil {
			r.servers, r.serverFault = resolver.NoServers, fmt.Sprintf("spec.dns.nameservers[%d]: %v", i, err)
			return r
		}
	}
	r.servers = resolver.JoinServers(servers)
	return r
}

// nameServerOf reads an address with or without a port.
func nameServerOf(text string) (netip.AddrPort, error) {
	if server, err := netip.ParseAddrPort(text); err == nil {
		return server, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no IP address with or without a port", text)
	}
	return netip.AddrPortFrom(address, resolver.DNSPort), nil
}

// checkNameServer returns an error if an object may not ask a name server. It is checked again
// whenever it is asked, except for policies, which may differ for those who share the question.
func (p Planner) checkNameServer(server netip.AddrPort) error {
	if err := p.Egress.CheckProbe(server.Addr()); err != nil {
		return err
	}
	return p.limits.CheckNameServer(server)
}

// Ask returns answers of the name servers of these rules.
func (r NameRules) Ask(answer func(resolver.Question) resolver.Answer) func(resolver.Question) resolver.Answer {
	return func(question resolver.Question) resolver.Answer {
		question.Servers = r.servers
		return answer(question)
	}
}

// NameRulesOf applies the bounds of the CRD, whatever version of it is installed. The families
// default to those of the Service.
func NameRulesOf(options *farpointv1.DNSOptions, service *corev1.Service) NameRules {
	if options == nil {
		options = &farpointv1.DNSOptions{}
	}
	rules := NameRules{bounds: resolver.TTLBounds{Min: defaultMinTTL, Max: defaultMaxTTL}, asNames: options.Publish == farpointv1.PublishFQDN}
	if options.MinTTL != nil {
		rules.bounds.Min = max(options.MinTTL.Duration, time.Second)
	}
	if options.MaxTTL != nil {
		rules.bounds.Max = options.MaxTTL.Duration
	}
	rules.bounds.Max = max(rules.bounds.Max, rules.bounds.Min)
	families := options.IPFamilies
	if len(families) == 0 {
		families = service.Spec.IPFamilies
	}
	for family, kind := range map[corev1.IPFamily]resolver.RecordType{corev1.IPv4Protocol: resolver.RecordA, corev1.IPv6Protocol: resolver.RecordAAAA} {
		if len(families) == 0 || slices.Contains(families, family) {
			rules.Types = append(rules.Types, kind)
		}
	}
	slices.Sort(rules.Types)
	return rules
}

// QuestionsOf returns all lookups that resolve the names of a spec. They start with what the
// slices hold: the addresses that each name led to last. The hosts that SRV records name are
// those of the present answer.
func QuestionsOf(spec *farpointv1.ExternalServiceSpec, rules NameRules, prior *slicestate.Prior, answer func(resolver.Question) resolver.Answer) []resolver.Request {
	if !endpoint.HasDNSName(spec) {
		return nil
	}
	known, answer := KnownRecords(prior), rules.Ask(answer)
	var requested []resolver.Request
	seen := map[resolver.Question]bool{}
	ask := func(name string, types ...resolver.RecordType) {
		for _, kind := range types {
			question := resolver.Question{Name: name, Type: kind}
			if !seen[question] {
				seen[question] = true
				request := resolver.Request{Question: question, TTLBounds: rules.bounds, Known: known[question]}
				request.Servers = rules.servers
				requested = append(requested, request)
			}
		}
	}
	for i := range spec.Endpoints {
		if !endpoint.IsDNSName(spec.Endpoints[i].Address) {
			continue
		}
		parsed, err := endpoint.ParseName(spec.Endpoints[i].Address)
		switch {
		case err != nil:
		case parsed.Service == nil:
			ask(parsed.Name, rules.Types...)
		default:
			ask(parsed.Name, resolver.RecordSRV)
			question := resolver.Question{Name: parsed.Name, Type: resolver.RecordSRV}
			services := answer(question).Services
			if len(services) == 0 {
				services = known[question].Services
			}
			for _, service := range services {
				ask(service.Target, rules.Types...)
			}
		}
	}
	return requested
}

// KnownRecords returns where the DNS names of a spec led to, as far as that is published. The
// priorities of SRV records are the tiers that were made of them.
func KnownRecords(published *slicestate.Prior) map[resolver.Question]resolver.RecordSet {
	var known map[resolver.Question]resolver.RecordSet
	for at, origin := range published.Origins() {
		parsed, err := endpoint.ParseName(origin.Name)
		if err != nil {
			continue
		}
		if known == nil {
			known = map[resolver.Question]resolver.RecordSet{}
		}
		name := parsed.Name
		if parsed.Service != nil {
			name = origin.Target
			if canonical, err := resolver.CanonicalName(name); err != nil || canonical != name {
				continue // somebody has edited it
			}
			question := resolver.Question{Name: parsed.Name, Type: resolver.RecordSRV}
			set := known[question]
			set.Services = append(set.Services, resolver.ServiceRecord{Priority: uint16(origin.Tier), Target: name, Port: uint16(at.Port)})
			known[question] = set
		}
		if at.Address.IsValid() {
			question := resolver.Question{Name: name, Type: resolver.RecordAAAA}
			if at.Address.Is4() {
				question.Type = resolver.RecordA
			}
			set := known[question]
			set.Addresses = append(set.Addresses, at.Address)
			known[question] = set
		}
	}
	for question, set := range known {
		set.Sort()
		known[question] = set
	}
	return known
}

// resolution is what is known of one name, of all families together.
type resolution struct {
	// addresses are sorted.
	addresses []netip.Addr
	// outcome is LookupFound if the name leads to addresses now, or else what is wrong.
	outcome resolver.LookupOutcome
	// keptUntil is when the addresses of a name that does not exist are removed; zero for none.
	keptUntil time.Time
	// requestedAt is when the name was first looked up.
	requestedAt time.Time
}

// resolutionOf combines what is known of a name's families. A family without records yields no
// addresses while the other one has some: only if neither has any, the last known addresses are
// kept.
func resolutionOf(name string, types []resolver.RecordType, answer func(resolver.Question) resolver.Answer) resolution {
	var result resolution
	var answers []resolver.Answer
	alive := false
	for _, kind := range types {
		got := answer(resolver.Question{Name: name, Type: kind})
		alive = alive || got.Outcome == resolver.LookupFound
		answers = append(answers, got)
	}
	result.outcome = resolver.LookupFound
	for i, got := range answers {
		gone := got.Outcome == resolver.LookupEmpty || got.Outcome == resolver.LookupMissing
		if i == 0 || got.FirstAsked.After(result.requestedAt) {
			result.requestedAt = got.FirstAsked
		}
		if gone && alive {
			continue
		}
		result.addresses = append(result.addresses, got.Addresses...)
		if worse(got.Outcome, result.outcome) {
			result.outcome, result.keptUntil = got.Outcome, got.KeptUntil
		}
	}
	slices.SortFunc(result.addresses, netip.Addr.Compare)
	return result
}

// worse orders outcomes by which to report: that a name has no answer yet, that it cannot be
// resolved, that it does not exist, that it is empty.
func worse(a, b resolver.LookupOutcome) bool {
	rank := func(outcome resolver.LookupOutcome) int {
		switch outcome {
		case resolver.LookupFound:
			return 0
		case resolver.LookupEmpty:
			return 1
		case resolver.LookupMissing:
			return 2
		case resolver.LookupPending:
			return 4
		}
		return 3
	}
	return cmp.Less(rank(b), rank(a))
}
