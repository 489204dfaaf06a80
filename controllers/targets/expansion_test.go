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

package targets_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/fixtures"
)

// zone is what is known of questions, as in "db.example A".
type zone map[string]resolver.Answer

func (z zone) answer(question resolver.Question) resolver.Answer {
	kind := map[resolver.RecordType]string{resolver.RecordA: "A", resolver.RecordAAAA: "AAAA", resolver.RecordSRV: "SRV"}[question.Type]
	return z[question.Name+" "+kind]
}

func known(outcome resolver.LookupOutcome, texts ...string) resolver.Answer {
	answer := resolver.Answer{Outcome: outcome}
	for _, text := range texts {
		answer.Addresses = append(answer.Addresses, netip.MustParseAddr(text))
	}
	return answer
}

func resolved(texts ...string) resolver.Answer { return known(resolver.LookupFound, texts...) }

func records(list ...resolver.ServiceRecord) resolver.Answer {
	return resolver.Answer{Outcome: resolver.LookupFound, RecordSet: resolver.RecordSet{Services: list}}
}

func expanding(z zone) targets.Expander {
	policy := egress.NewPolicy(egress.Rules{})
	return targets.Expander{
		Rules:   targets.NameRules{Types: []resolver.RecordType{resolver.RecordA, resolver.RecordAAAA}},
		Answer:  z.answer,
		Refused: func(address netip.Addr) bool { return policy.CheckPublished(address) != nil },
		Ports:   []corev1.ServicePort{{Name: "postgresql", Port: 5432}, {Name: "metrics", Port: 9187}},
	}
}

// shown is an expansion in short: index, address, priority and port, or why it is refused.
func shown(expansion *targets.Expansion) string {
	var lines []string
	for i := range expansion.Len() {
		e := expansion.At(i)
		switch {
		case e.Refused != nil:
			lines = append(lines, fmt.Sprintf("%d %s: %s", e.Origin, e.Refused.Reason, e.Refused.Message))
		case len(e.Spec.Ports) > 0:
			port := e.Spec.Ports[0]
			lines = append(lines, fmt.Sprintf("%d %s %s/%s:%d tier %d of %s", e.Origin, e.Spec.Address, port.Name, port.Protocol, port.Port, e.Spec.Priority, e.Name))
		default:
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %s %s", e.Origin, e.Spec.Address, e.Name)))
		}
	}
	return strings.Join(lines, "\n")
}

type expansionCase struct {
	name      string
	zone      zone
	addresses []string
	want      string
	condition string
}

func checkExpansions(t *testing.T, cases []expansionCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			expansion := expanding(test.zone).Expand(fixtures.SpecOf(test.addresses...))
			if got := shown(expansion); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			if expansion.Names == 0 {
				return
			}
			status, reason, message := expansion.Condition()
			if got := fmt.Sprintf("%s %s: %s", status, reason, message); got != test.condition {
				t.Errorf("got\n%s\nwant\n%s", got, test.condition)
			}
		})
	}
}

func TestExpansion_NamesOfEndpoints_BecomeTheirAddresses(t *testing.T) {
	const leadsNowhere = "its addresses may not be published: correct the name's records, or have the operator's administrator allow the range (--allowed-cidrs)"
	until := fixtures.Noon.Add(5 * time.Minute)
	nxdomain := known(resolver.LookupMissing, "192.0.2.1")
	nxdomain.KeptUntil = until
	checkExpansions(t, []expansionCase{
		{"no names", nil, []string{"192.0.2.1", "2001:db8::1"}, "0 192.0.2.1\n1 2001:db8::1", ""},
		{"dual stack", zone{"db.example A": resolved("192.0.2.1", "192.0.2.2"), "db.example AAAA": resolved("2001:db8::1")}, []string{"192.0.2.9", "DB.example."},
			"0 192.0.2.9\n1 192.0.2.1 db.example\n1 192.0.2.2 db.example\n1 2001:db8::1 db.example", "True NamesResolved: all DNS names are resolved"},
		{"one family only", zone{"db.example A": resolved("192.0.2.1"), "db.example AAAA": known(resolver.LookupEmpty, "2001:db8::1")}, []string{"db.example"},
			"0 192.0.2.1 db.example", "True NamesResolved: all DNS names are resolved"},
		{"server that denies the other family", zone{"db.example A": resolved("192.0.2.1"), "db.example AAAA": known(resolver.LookupMissing, "2001:db8::1")}, []string{"db.example"},
			"0 192.0.2.1 db.example", "True NamesResolved: all DNS names are resolved"},
		{"one family fails", zone{"db.example A": resolved("192.0.2.1"), "db.example AAAA": known(resolver.LookupTimeout, "2001:db8::1")}, []string{"db.example"},
			"0 192.0.2.1 db.example\n0 2001:db8::1 db.example",
			"False NameServerTimeout: spec.endpoints[0]: db.example cannot be resolved, the name servers do not answer: check the operator's DNS and the name servers of the zone; its previous addresses (2) are kept"},
		{"empty", zone{"db.example A": known(resolver.LookupEmpty, "192.0.2.1"), "db.example AAAA": known(resolver.LookupEmpty)}, []string{"db.example"},
			"0 192.0.2.1 db.example", "False NoAddresses: spec.endpoints[0]: db.example has no record of the queried types: create one, or set spec.dns.ipFamilies; its previous addresses (1) are kept"},
		{"missing", zone{"db.example A": nxdomain, "db.example AAAA": known(resolver.LookupMissing)}, []string{"db.example"},
			"0 192.0.2.1 db.example", "False NameNotFound: spec.endpoints[0]: db.example does not exist (NXDOMAIN): correct it, or create it; names are absolute, without a search path; its previous addresses (1) are kept until " + until.UTC().Format(time.RFC3339)},
		{"gone", zone{"db.example A": known(resolver.LookupMissing), "db.example AAAA": known(resolver.LookupMissing)}, []string{"db.example", "192.0.2.9"},
			"0 NameNotFound: db.example does not exist (NXDOMAIN): correct it, or create it; names are absolute, without a search path\n1 192.0.2.9",
			"False NameNotFound: spec.endpoints[0]: db.example does not exist (NXDOMAIN): correct it, or create it; names are absolute, without a search path"},
		{"alias loop", zone{"db.example A": known(resolver.LookupAliasLoop), "db.example AAAA": known(resolver.LookupAliasLoop)}, []string{"db.example"},
			"0 AliasLoop: db.example is an alias of itself, or follows too many aliases: correct its CNAME records",
			"False AliasLoop: spec.endpoints[0]: db.example is an alias of itself, or follows too many aliases: correct its CNAME records"},
		{"not answered yet", zone{}, []string{"db.example"}, "0 Resolving: db.example has no answer yet", "Unknown Resolving: not all DNS names have an answer yet"},
		{"refused addresses", zone{"db.example A": resolved("10.0.0.1", "169.254.169.254", "127.0.0.1"), "db.example AAAA": resolved("::1")}, []string{"db.example"},
			"0 10.0.0.1 db.example\n0 RefusedAddress: 3 of its 4 addresses may not be published, and are left out: correct the name's records, or have the operator's administrator allow the range (--allowed-cidrs)", "True NamesResolved: all DNS names are resolved"},
		{"nothing but refused addresses", zone{"db.example A": resolved("127.0.0.1"), "db.example AAAA": known(resolver.LookupEmpty)}, []string{"db.example"}, "0 RefusedAddress: " + leadsNowhere, "True NamesResolved: all DNS names are resolved"},
		{"no names at all", nil, []string{"exämple.com", "a..b", "db_example", "10.300.1.1"},
			`0 InvalidAddress: "exämple.com" is not in ASCII: write xn--exmple-cua.com` + "\n" + `1 InvalidAddress: "a..b" is neither an IPv4 or IPv6 address nor a DNS name` + "\n2 Resolving: db_example has no answer yet\n3 10.300.1.1", "Unknown Resolving: not all DNS names have an answer yet"},
	})
}

func TestExpansion_NamesOfServices_BecomeTheirHostsAndPorts(t *testing.T) {
	checkExpansions(t, []expansionCase{
		{"services", zone{
			"_postgresql._tcp.example SRV": records(resolver.ServiceRecord{Priority: 10, Target: "a.example", Port: 5432}, resolver.ServiceRecord{Priority: 10, Target: "b.example", Port: 5433}, resolver.ServiceRecord{Priority: 700, Target: "c.example", Port: 5432}),
			"a.example A":                  resolved("192.0.2.1"), "a.example AAAA": known(resolver.LookupEmpty),
			"b.example A": resolved("192.0.2.1"), "b.example AAAA": known(resolver.LookupEmpty), "c.example A": resolved("192.0.2.3", "192.0.2.4"), "c.example AAAA": known(resolver.LookupEmpty),
		}, []string{"srv://_postgresql._tcp.example"},
			"0 192.0.2.1 postgresql/TCP:5432 tier 0 of a.example\n0 192.0.2.1 postgresql/TCP:5433 tier 0 of b.example\n0 192.0.2.3 postgresql/TCP:5432 tier 1 of c.example\n0 192.0.2.4 postgresql/TCP:5432 tier 1 of c.example", "True NamesResolved: all DNS names are resolved"},
		{"services of no port's name", zone{
			"_db._udp.example SRV": records(resolver.ServiceRecord{Target: "a.example", Port: 53}), "a.example A": resolved("192.0.2.1"), "a.example AAAA": known(resolver.LookupEmpty),
		}, []string{"srv://_db._udp.example"}, "0 192.0.2.1 /UDP:53 tier 0 of a.example", "True NamesResolved: all DNS names are resolved"},
		{"a service's host that fails", zone{
			"_db._tcp.example SRV": records(resolver.ServiceRecord{Target: "a.example", Port: 53}), "a.example A": known(resolver.LookupServerFailure), "a.example AAAA": known(resolver.LookupServerFailure),
		}, []string{"srv://_db._tcp.example"},
			"0 NameServerFailure: a.example cannot be resolved, the name servers fail (SERVFAIL): check the name servers of its zone",
			"False NameServerFailure: spec.endpoints[0]: a.example cannot be resolved, the name servers fail (SERVFAIL): check the name servers of its zone"},
		{"no services", zone{"_db._tcp.example SRV": known(resolver.LookupMissing)}, []string{"srv://_db._tcp.example"},
			"0 NameNotFound: _db._tcp.example does not exist (NXDOMAIN): correct it, or create it; names are absolute, without a search path",
			"False NameNotFound: spec.endpoints[0]: _db._tcp.example does not exist (NXDOMAIN): correct it, or create it; names are absolute, without a search path"},
		{"no name of services", nil, []string{"srv://db.example"}, "0 InvalidAddress: write srv:// and the name of SRV records, as in srv://_postgresql._tcp.example.internal", "True NamesResolved: all DNS names are resolved"},
	})
}

func TestExpansion_ServiceWithPorts_IsRefused(t *testing.T) {
	spec := fixtures.SpecOf("srv://_db._tcp.example")
	spec.Endpoints[0].Port = new(int32(5432))
	if got := shown(expanding(nil).Expand(spec)); got != "0 InvalidPort: srv:// takes the ports from SRV records: remove port and ports" {
		t.Error(got)
	}
}

func TestExpansion_TooManyAddresses_IsBounded(t *testing.T) {
	var many []string
	for i := range 700 {
		many = append(many, fmt.Sprintf("10.0.%d.%d", i/250, 1+i%250))
	}
	z := zone{"a.example A": resolved(many...), "b.example A": resolved(many...), "a.example AAAA": known(resolver.LookupEmpty), "b.example AAAA": known(resolver.LookupEmpty)}
	addresses := []string{"a.example", "b.example", "192.0.2.1"}
	expansion := expanding(z).Expand(fixtures.SpecOf(addresses...))
	if expansion.Len() != 1000 || expansion.At(999).Spec.Address != "192.0.2.1" || expansion.Surplus != 401 {
		t.Errorf("%d endpoints, the last one %+v, and %d too many", expansion.Len(), expansion.At(expansion.Len()-1), expansion.Surplus)
	}
	status, reason, message := expansion.Condition()
	if want := "DNS names yield 401 endpoints more than the 1000 allowed: the last ones are left out"; status != "False" || reason != farpointv1.TooManyAddressesReason || message != want {
		t.Errorf("%s %s: %s", status, reason, message)
	}
	second := expanding(z).Expand(fixtures.SpecOf(addresses...))
	if shown(expansion) != shown(second) {
		t.Error("two expansions of the same differ")
	}
	var literals []string
	for i := range 999 {
		literals = append(literals, fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250))
	}
	if expansion := expanding(z).Expand(fixtures.SpecOf(append(literals, "a.example")...)); expansion.Len() != 1000 || expansion.At(999).Spec.Address != "10.0.0.1" {
		t.Errorf("%d endpoints, the last one %+v", expansion.Len(), expansion.At(expansion.Len()-1).Spec)
	}
}

func TestQuestions(t *testing.T) {
	spec := fixtures.SpecOf("db.example", "192.0.2.1", "DB.Example.", "srv://_db._tcp.example", "a..b")
	service := &corev1.Service{Spec: corev1.ServiceSpec{IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}}}
	questions := func(options *farpointv1.DNSOptions, prior *slicestate.Prior, z zone) []string {
		var words []string
		for _, request := range targets.QuestionsOf(spec, targets.NameRulesOf(options, service), prior, z.answer) {
			words = append(words, fmt.Sprintf("%s %d %v-%v %v%v", request.Name, request.Type, request.Min, request.Max, request.Known.Addresses, request.Known.Services))
		}
		return words
	}
	slice := func(port int32, protocol corev1.Protocol, names ...slicestate.NameOrigin) *discoveryv1.EndpointSlice {
		ports := fixtures.HTTPPort(port).Ports
		*ports[0].Protocol = protocol
		s := &discoveryv1.EndpointSlice{Ports: ports}
		for i, address := range []string{"192.0.2.7", "192.0.2.6", "192.0.2.8", "192.0.2.1", "192.0.2.9"} {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Serving: new(true), Terminating: new(i == 2)}})
		}
		fixtures.Annotate(s, slicestate.State{Names: names, Drains: []slicestate.DrainEnd{{Until: fixtures.Noon.Time, Addresses: []string{"192.0.2.8"}}}})
		return s
	}
	prior := slicestate.Read([]*discoveryv1.EndpointSlice{
		slice(80, corev1.ProtocolTCP, slicestate.NameOrigin{Name: "db.example.", Addresses: []string{"192.0.2.7", "192.0.2.6", "192.0.2.8"}}),
		slice(5433, corev1.ProtocolTCP, slicestate.NameOrigin{Name: "srv://_db._tcp.example", Target: "b.example", Tier: 1, Addresses: []string{"192.0.2.9"}}),
		slice(5432, corev1.ProtocolUDP, slicestate.NameOrigin{Name: "srv://_db._tcp.example", Target: "b.example", Addresses: []string{"192.0.2.9"}}),
	})
	nothing := slicestate.Read(nil)
	for _, test := range []struct {
		name    string
		options *farpointv1.DNSOptions
		prior   *slicestate.Prior
		zone    zone
		want    []string
	}{
		{"nothing known", nil, nothing, nil, []string{"db.example 1 5s-5m0s [][]", "_db._tcp.example 33 5s-5m0s [][]"}},
		{"both families", &farpointv1.DNSOptions{IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}}, nothing, nil,
			[]string{"db.example 1 5s-5m0s [][]", "db.example 28 5s-5m0s [][]", "_db._tcp.example 33 5s-5m0s [][]"}},
		{"after a restart", nil, prior, nil, []string{
			"db.example 1 5s-5m0s [192.0.2.6 192.0.2.7][]", "_db._tcp.example 33 5s-5m0s [][{0 0 b.example 5432} {1 0 b.example 5433}]", "b.example 1 5s-5m0s [192.0.2.9][]",
		}},
		{"the present answer counts", nil, prior, zone{"_db._tcp.example SRV": records(resolver.ServiceRecord{Target: "c.example", Port: 1})}, []string{
			"db.example 1 5s-5m0s [192.0.2.6 192.0.2.7][]", "_db._tcp.example 33 5s-5m0s [][{0 0 b.example 5432} {1 0 b.example 5433}]", "c.example 1 5s-5m0s [][]",
		}},
	} {
		if got := questions(test.options, test.prior, test.zone); !slices.Equal(got, test.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
	if got := targets.QuestionsOf(fixtures.SpecOf("192.0.2.1", "2001:db8::abc"), targets.NameRules{}, prior, zone{}.answer); len(got) > 0 {
		t.Errorf("lookups %v for addresses", got)
	}
}

// An address is one endpoint, whatever names lead to it.
func TestExpansion_SharedAddresses_AreOneEndpoint(t *testing.T) {
	spec := fixtures.SpecOf("a.example", "b.example")
	z := zone{"a.example A": resolved("192.0.2.1", "192.0.2.2"), "b.example A": resolved("192.0.2.2", "192.0.2.3"), "a.example AAAA": known(resolver.LookupEmpty), "b.example AAAA": known(resolver.LookupEmpty)}
	got := fixtures.PlannedWith(t, expanding(z).Expand(spec), fixtures.OnePort)
	var names []string
	for _, endpoint := range got.Accepted {
		names = append(names, endpoint.Name+" "+endpoint.Resolved.Name)
	}
	if want := "192.0.2.1:8080 a.example, 192.0.2.2:8080 a.example, 192.0.2.3:8080 b.example"; strings.Join(names, ", ") != want || len(got.Rejected) > 0 {
		t.Errorf("accepted %v, rejected %v", names, got.Rejected)
	}
}

// A probe by another name is another probe.
func TestIdentity_OtherName_Differs(t *testing.T) {
	identity := func(name string) scheduler.Identity {
		z := zone{name + " A": resolved("192.0.2.1"), name + " AAAA": known(resolver.LookupEmpty)}
		return fixtures.PlannedWith(t, expanding(z).Expand(fixtures.SpecOf(name)), fixtures.OnePort).Probers[0].Identity
	}
	literal := fixtures.Planned(t, *fixtures.SpecOf("192.0.2.1"), fixtures.OnePort).Probers[0].Identity
	if identity("a.example") == identity("b.example") || identity("a.example") == literal {
		t.Error("another name is the same probe")
	}
	first := identity("a.example")
	if first != identity("a.example") {
		t.Error("the same name is another probe")
	}
}

// A policy about names covers those of endpoints, of SRV records and of the hosts that these
// name.
func TestPolicies_Names_AreChecked(t *testing.T) {
	z := zone{
		"db.corp.example A": resolved("192.0.2.1", "192.0.2.2"), "_db._tcp.corp.example SRV": records(resolver.ServiceRecord{Target: "a.elsewhere.example", Port: 1}),
		"a.elsewhere.example A": resolved("192.0.2.3"), "web.example A": resolved("192.0.2.4"),
	}
	for suffix, want := range map[farpointv1.DNSSuffix]string{
		"corp.example":      "192.0.2.4:8080",
		"db.corp.example":   "192.0.2.3:1 192.0.2.4:8080",
		"elsewhere.example": "192.0.2.1:8080 192.0.2.2:8080 192.0.2.4:8080",
	} {
		within := fixtures.LimitsOf(t, fixtures.PolicyNamed("p", func(s *farpointv1.ExternalServicePolicySpec) {
			s.DeniedDNSSuffixes = []farpointv1.DNSSuffix{suffix}
		}))
		expanding := expanding(z)
		expanding.Rules.Types = []resolver.RecordType{resolver.RecordA}
		names := expanding.Expand(fixtures.SpecOf("db.corp.example", "srv://_db._tcp.corp.example", "web.example"))
		common, err := targets.NewSettings(names.Spec, targets.Certificates{}, targets.Login{})
		if err != nil {
			t.Fatal(err)
		}
		egress := egress.NewPolicy(egress.Rules{})
		planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
		got := planner.Within(within, 100).Plan(names, fixtures.OnePort, fixtures.ProbedBy(common), &slicestate.Prior{})
		var accepted []string
		for _, endpoint := range got.Accepted {
			accepted = append(accepted, endpoint.Name)
		}
		if strings.Join(accepted, " ") != want {
			t.Errorf("without %s: %v, want %s", suffix, accepted, want)
		}
		if reason, message := got.Rejections(); reason != farpointv1.NotAllowedByPolicyReason || !strings.Contains(message, "ExternalServicePolicy p") || strings.Contains(message, "192.0.2.") {
			t.Errorf("without %s: %s: %s", suffix, reason, message)
		}
	}
}
