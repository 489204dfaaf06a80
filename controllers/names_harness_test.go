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

package controllers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/fixtures"
)

// nameServers are the name servers of a harness, and their answers to the operator since it
// started.
type nameServers struct {
	records map[resolver.Question]resolver.RecordSet
	// fail is their answer instead while it is not LookupPending.
	fail    resolver.LookupOutcome
	answers map[resolver.Question]resolver.Answer
	// departures are forgotten by a restart.
	departures targets.Departures
}

// expand does what the operator does. As with a resolver, the answers to its first questions are
// there at its second look.
func (s *nameServers) expand(object *farpointv1.ExternalService, service *corev1.Service, prior *slicestate.Prior, now time.Time, known func() map[string]health.Health) *targets.Expansion {
	rules := targets.NameRulesOf(object.Spec.DNS, service)
	answer := func(question resolver.Question) resolver.Answer { return s.answers[question] }
	if s.answers == nil {
		s.answers = map[resolver.Question]resolver.Answer{}
	}
	for range 2 { // the second time for the hosts of services
		requested := map[resolver.Question]bool{}
		for _, request := range targets.QuestionsOf(&object.Spec, rules, prior, answer) {
			requested[request.Question] = true
			known, ok := s.answers[request.Question]
			if !ok {
				known.RecordSet, known.Stale = request.Known, true
			}
			records, there := s.records[request.Question]
			switch {
			case s.fail != resolver.LookupPending:
				known.Outcome = s.fail
			case there:
				known = resolver.Answer{RecordSet: records, Outcome: resolver.LookupFound}
			default:
				known.Outcome = resolver.LookupEmpty
			}
			s.answers[request.Question] = known
		}
		maps.DeleteFunc(s.answers, func(question resolver.Question, _ resolver.Answer) bool { return !requested[question] })
	}
	policy := egress.NewPolicy(egress.Rules{})
	return targets.Expander{
		Rules: rules, Ports: service.Spec.Ports, Answer: answer, Before: object.Status.Endpoints,
		Refused:   func(address netip.Addr) bool { return policy.CheckPublished(address) != nil },
		Retention: targets.NewRetention(object.Spec.DNS, now, prior, &s.departures, known),
	}.Expand(&object.Spec)
}

func (s *nameServers) set(name string, kind resolver.RecordType, set resolver.RecordSet) {
	if s.records == nil {
		s.records = map[resolver.Question]resolver.RecordSet{}
	}
	question := resolver.Question{Name: name, Type: kind}
	set.Sort()
	if delete(s.records, question); len(set.Addresses)+len(set.Services) > 0 {
		s.records[question] = set
	}
}

func (s *nameServers) host(name string, texts ...string) {
	var set resolver.RecordSet
	for _, text := range texts {
		set.Addresses = append(set.Addresses, netip.MustParseAddr(text))
	}
	s.set(name, resolver.RecordA, set)
}

func namedHarness(t *testing.T, addresses ...string) *harness {
	w := newHarness(t)
	w.service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	w.object.Spec.Endpoints = fixtures.SpecOf(addresses...).Endpoints
	return w
}

func (w *harness) condition(kind string) string {
	condition := meta.FindStatusCondition(w.object.Status.Conditions, kind)
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}

func (w *harness) expect(what string, want map[string]string, resolved string) {
	w.t.Helper()
	if got := w.published(); !maps.Equal(got, want) {
		w.t.Errorf("%s: published %v, want %v", what, got, want)
	}
	if got := w.condition(farpointv1.AddressesResolvedCondition); got != resolved {
		w.t.Errorf("%s: AddressesResolved is %q, want %q", what, got, resolved)
	}
}

func TestNames_AnswersChange_EndpointsComeAndDrain(t *testing.T) {
	w := namedHarness(t, "db.example")
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	w.verdicts = map[string]health.State{"192.0.2.1:8080": health.StateHealthy, "192.0.2.2:8080": health.StateHealthy}
	w.look()
	const resolved = "True NamesResolved"
	w.expect("at first", map[string]string{"192.0.2.1:8080": "TTF", "192.0.2.2:8080": "TTF"}, resolved)
	if status := w.object.Status; status.ReadyEndpoints != "2/2" || status.Endpoints[0].ResolvedFrom != "db.example" || status.Endpoints[0].Address != "192.0.2.1" {
		t.Errorf("%+v", status)
	}
	w.names.host("db.example", "192.0.2.2", "192.0.2.3")
	w.look()
	w.expect("after a change", map[string]string{"192.0.2.1:8080": "FTT", "192.0.2.2:8080": "TTF", "192.0.2.3:8080": "FFF"}, resolved)
	if status := w.object.Status; status.ReadyEndpoints != "1/2" || status.Draining != 1 || status.Endpoints[2].ResolvedFrom != "db.example" {
		t.Errorf("%+v", status)
	}
	w.restart()
	w.verdicts["192.0.2.3:8080"] = health.StateHealthy
	w.now = w.now.Add(availability.DefaultDrainPeriod)
	w.look()
	w.expect("once it has drained", map[string]string{"192.0.2.2:8080": "TTF", "192.0.2.3:8080": "TTF"}, resolved)
}

// A resolver outage of any length changes nothing, and neither does a restart in it.
func TestNames_NameServerOutage_ChangesNothing(t *testing.T) {
	w := namedHarness(t, "db.example", "192.0.2.9", "srv://_http._tcp.example")
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	w.names.host("a.example", "192.0.2.5")
	w.names.host("b.example", "192.0.2.6")
	w.names.set("_http._tcp.example", resolver.RecordSRV, resolver.RecordSet{Services: []resolver.ServiceRecord{{Priority: 20, Target: "b.example", Port: 81}, {Priority: 10, Target: "a.example", Port: 80}}})
	for _, name := range []string{"192.0.2.1:8080", "192.0.2.9:8080", "192.0.2.5:80", "192.0.2.6:81"} {
		w.verdicts[name] = health.StateHealthy
	}
	w.verdicts["192.0.2.2:8080"] = health.StateUnhealthy
	w.look()
	want := map[string]string{"192.0.2.1:8080": "TTF", "192.0.2.2:8080": "FFF", "192.0.2.9:8080": "TTF", "192.0.2.5:80": "TTF", "192.0.2.6:81": "FFF"}
	w.expect("at first", want, "True NamesResolved")
	var tiers []string
	for _, endpoint := range w.object.Status.Endpoints {
		if endpoint.Target != "" {
			tiers = append(tiers, fmt.Sprint(endpoint.Target, " ", endpoint.Priority))
		}
	}
	if !slices.Equal(tiers, []string{"a.example 0", "b.example 1"}) {
		t.Errorf("the hosts of services are in the tiers %v", tiers)
	}
	before := w.slices
	w.names.fail = resolver.LookupTimeout
	for range 10 {
		w.now = w.now.Add(100 * time.Hour)
		w.look()
		w.expect("in the outage", want, "False NameServerTimeout")
		w.restart()
	}
	for i := range before {
		if before[i].ResourceVersion != w.slices[i].ResourceVersion || len(before[i].Endpoints) != len(w.slices[i].Endpoints) {
			t.Errorf("a slice was written")
		}
	}
	if ready := w.condition(farpointv1.ReadyCondition); ready != "True Published" {
		t.Errorf("Ready is %s", ready)
	}
	w.names.fail = resolver.LookupPending
	w.look()
	w.expect("after the outage", want, "True NamesResolved")
}

func TestNames_NeverResolved_IsReported(t *testing.T) {
	w := namedHarness(t, "db.example", "192.0.2.9")
	w.names.fail = resolver.LookupMissing
	w.verdicts["192.0.2.9:8080"] = health.StateHealthy
	w.look()
	w.expect("without the name", map[string]string{"192.0.2.9:8080": "TTF"}, "False NameNotFound")
	status := w.object.Status
	if status.ReadyEndpoints != "1/2" || status.Rejected != 1 || status.Endpoints[0].Name != "endpoints[0]" || status.Endpoints[0].Address != "db.example" || status.Endpoints[0].Reason != "NameNotFound" {
		t.Errorf("%+v", status)
	}
	if ready, accepted := w.condition(farpointv1.ReadyCondition), w.condition(farpointv1.EndpointsAcceptedCondition); ready != "False NameNotFound" || accepted != "True Accepted" {
		t.Errorf("Ready is %s, EndpointsAccepted %s", ready, accepted)
	}
	if w.condition(farpointv1.ReconcilingCondition) == "" {
		t.Error("the name may come, but the object is stalled")
	}
	w.restart()
	w.names.fail = resolver.LookupPending
	w.names.host("db.example", "192.0.2.1")
	w.verdicts["192.0.2.1:8080"] = health.StateHealthy
	w.look()
	w.expect("with the name", map[string]string{"192.0.2.1:8080": "TTF", "192.0.2.9:8080": "TTF"}, "True NamesResolved")
	w.object.Spec.Endpoints = w.object.Spec.Endpoints[1:]
	w.look()
	w.expect("without a name in the spec", map[string]string{"192.0.2.1:8080": "FTT", "192.0.2.9:8080": "TTF"}, "")
}

func TestNames_PublishFQDN_PublishesNames(t *testing.T) {
	w := namedHarness(t, "db.example", "192.0.2.9", "srv://_http._tcp.example", "single")
	w.object.Spec.DNS = &farpointv1.DNSOptions{Publish: farpointv1.PublishFQDN}
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	w.names.host("a.example", "192.0.2.5")
	w.names.host("single", "192.0.2.6")
	w.names.set("_http._tcp.example", resolver.RecordSRV, resolver.RecordSet{Services: []resolver.ServiceRecord{{Target: "a.example", Port: 80}}})
	w.verdicts = map[string]health.State{"db.example:8080": health.StateHealthy, "192.0.2.9:8080": health.StateHealthy, "a.example:80": health.StateUnhealthy}
	w.look()
	want := map[string]string{"db.example:8080": "TTF", "192.0.2.9:8080": "TTF", "a.example:80": "FFF"}
	w.expect("names", want, "True NamesPublished")
	for _, slice := range w.slices {
		isName := slice.Endpoints[0].Addresses[0] != "192.0.2.9"
		if (slice.AddressType == "FQDN") != isName {
			t.Errorf("%v in a slice of the type %s", slice.Endpoints[0].Addresses, slice.AddressType)
		}
	}
	status := w.object.Status
	if status.ReadyEndpoints != "2/4" || status.Endpoints[0].Address != "db.example" || status.Endpoints[0].ResolvedFrom != "db.example" || status.Endpoints[3].Reason != farpointv1.InvalidAddressReason {
		t.Errorf("%+v", status)
	}
	w.restart()
	w.names.fail = resolver.LookupTimeout
	w.look()
	w.expect("in an outage", want, "False NameServerTimeout")
	w.restart()
	w.names.fail = resolver.LookupPending
	w.names.host("db.example", "192.0.2.1", "127.0.0.1")
	w.look()
	w.expect("leading to a refused address", map[string]string{"192.0.2.9:8080": "TTF", "a.example:80": "FFF"}, "True NamesPublished")
	w.object.Spec.DNS = nil
	w.look()
	w.expect("the addresses again", map[string]string{"192.0.2.1:8080": "FFF", "192.0.2.9:8080": "TTF", "192.0.2.5:80": "FFF", "192.0.2.6:8080": "FFF"}, "True NamesResolved")
}

// Refused addresses appear nowhere.
func TestNames_RefusedAddresses_AreNotDisclosed(t *testing.T) {
	w := namedHarness(t, "db.example")
	w.names.host("db.example", "192.0.2.1", "169.254.169.254", "127.0.0.53")
	w.look()
	w.expect("what may be published is", map[string]string{"192.0.2.1:8080": "FFF"}, "True NamesResolved")
	if accepted := w.condition(farpointv1.EndpointsAcceptedCondition); accepted != "False RefusedAddress" {
		t.Errorf("EndpointsAccepted is %s", accepted)
	}
	if text := fmt.Sprintf("%+v", w.object.Status); strings.Contains(text, "169.254") || strings.Contains(text, "127.0.0") {
		t.Errorf("the status has refused addresses: %s", text)
	}
	if status := w.object.Status; status.Total != 2 || status.Rejected != 1 {
		t.Errorf("%+v", status)
	}
	w.restart()
}

// Whatever happens to names, a restart changes no slice, whether or not the name servers are up,
// and neither does an outage.
func TestRestarts_NamesAndOutages_ChangeNothing(t *testing.T) {
	for seed := range uint64(effort.Rounds(50, 5)) {
		random := rand.New(rand.NewPCG(seed, 7))
		w := namedHarness(t, "a.example", "192.0.2.9", "srv://_http._tcp.example", "b.example")
		w.object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Duration(random.IntN(20)) * time.Second}
		for range 25 {
			w.now = w.now.Add(time.Duration(random.IntN(5)) * time.Second)
			if random.IntN(2) == 0 {
				for i, name := range []string{"a.example", "b.example", "c.example", "d.example"} {
					var addresses []string
					for j := range 4 {
						if random.IntN(2) == 0 {
							addresses = append(addresses, fmt.Sprintf("192.0.2.%d", 4*i+j))
						}
					}
					w.names.host(name, addresses...)
				}
				var services resolver.RecordSet
				for i, target := range []string{"c.example", "d.example"} {
					if random.IntN(3) > 0 {
						services.Services = append(services.Services, resolver.ServiceRecord{Priority: uint16(random.IntN(2)), Target: target, Port: uint16(80 + i)})
					}
				}
				w.names.set("_http._tcp.example", resolver.RecordSRV, services)
			}
			for i := range 16 {
				for _, port := range []int{80, 81, 8080} {
					if random.IntN(3) == 0 {
						w.verdicts[fmt.Sprintf("192.0.2.%d:%d", i, port)] = health.State(random.IntN(3))
					}
				}
			}
			w.look()
			if random.IntN(2) == 0 {
				w.restartUnseen()
			}
			w.names.fail = []resolver.LookupOutcome{resolver.LookupPending, resolver.LookupTimeout, resolver.LookupServerFailure}[random.IntN(3)]
			if w.names.fail != resolver.LookupPending {
				published := w.published()
				for range 3 {
					w.look()
					if random.IntN(2) == 0 {
						w.restartUnseen()
					}
				}
				if got := w.published(); !maps.Equal(got, published) {
					t.Fatalf("seed %d: an outage makes\n%v of\n%v", seed, got, published)
				}
			}
			w.names.fail = resolver.LookupPending
		}
	}
}
