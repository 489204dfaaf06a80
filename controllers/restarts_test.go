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
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/fixtures"
)

// TestDrainOverAnyEdits edits at random, lets time pass, health change and operators
// restart. An endpoint that leaves while it gets traffic is terminating until its time is
// up, and every endpoint is published once.
func TestDrainOverAnyEdits(t *testing.T) {
	for seed := range uint64(effort.Rounds(200, 10)) {
		random := rand.New(rand.NewPCG(seed, 5))
		w := newHarness(t)
		w.object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: 10 * time.Second}
		due := map[string]time.Time{}
		for range 40 {
			before := w.published()
			w.now = w.now.Add(time.Duration(random.IntN(5)) * time.Second)
			w.object.Spec.Endpoints = nil
			requested := map[string]bool{}
			for i := range 8 {
				if random.IntN(3) > 0 {
					port := int32(8080 + random.IntN(2))
					name := fmt.Sprintf("192.0.2.%d:%d", i, port)
					requested[name], w.verdicts[name] = true, health.StateHealthy
					if random.IntN(4) == 0 {
						w.verdicts[name] = health.StateUnhealthy
					}
					w.object.Spec.Endpoints = append(w.object.Spec.Endpoints, farpointv1.Endpoint{Address: fmt.Sprintf("192.0.2.%d", i), Port: ptr.To(port)})
				}
			}
			w.look()
			after := w.published()
			for name, conditions := range before {
				switch {
				case requested[name]:
					delete(due, name)
				case due[name].IsZero() && conditions == "TTF":
					due[name] = w.now.Add(10 * time.Second)
				}
			}
			for name, conditions := range after {
				if drains := !due[name].IsZero(); drains != (conditions == "FTT") || !drains && !requested[name] {
					t.Fatalf("seed %d: %s is published %s; requested %v, drains until %v", seed, name, conditions, requested[name], due[name])
				}
			}
			maps.DeleteFunc(due, func(name string, until time.Time) bool {
				if gone := !w.now.Before(until); gone == (after[name] != "") {
					t.Fatalf("seed %d: %s is published %q at %v and drains until %v", seed, name, after[name], w.now, until)
				}
				return !w.now.Before(until)
			})
			if random.IntN(3) == 0 {
				w.restart()
			}
		}
	}
}

// TestRestarts_AnyState_ChangeNothing restarts operators in any state that a harness can be in.
func TestRestarts_AnyState_ChangeNothing(t *testing.T) {
	policies := []farpointv1.NoneHealthyPolicy{farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll}
	states := []farpointv1.EndpointState{"", "", "", farpointv1.EndpointActive, farpointv1.EndpointDraining, farpointv1.EndpointDisabled}
	seen := map[farpointv1.EndpointPublication]int{}
	for seed := range uint64(effort.Rounds(200, 20)) {
		random := rand.New(rand.NewPCG(seed, 6))
		w := newHarness(t)
		w.service.Spec.PublishNotReadyAddresses = random.IntN(4) == 0
		w.object.Spec.Availability = farpointv1.Availability{
			MinReady: int32(1 + random.IntN(3)), WhenNoneHealthy: policies[random.IntN(3)], MinHealthyPercent: int32(random.IntN(3) * 40),
			DrainPeriod: &metav1.Duration{Duration: time.Duration(random.IntN(20)) * time.Second},
		}
		for range 25 {
			w.now = w.now.Add(time.Duration(random.IntN(5)) * time.Second)
			if random.IntN(3) == 0 {
				w.object.Spec.Endpoints = nil
				for i := range 7 {
					if random.IntN(4) > 0 {
						changed := fixtures.At(fmt.Sprintf("192.0.2.%d", i), 8080)
						changed.Priority, changed.State = int32(i%3), states[random.IntN(len(states))]
						w.object.Spec.Endpoints = append(w.object.Spec.Endpoints, changed)
					}
				}
			}
			for i := range 7 {
				if random.IntN(3) == 0 {
					w.verdicts[fmt.Sprintf("192.0.2.%d:8080", i)] = health.State(random.IntN(4))
				}
			}
			w.look()
			for _, endpoint := range w.object.Status.Endpoints {
				seen[endpoint.Published]++
			}
			w.restart()
		}
	}
	if len(seen) != 7 {
		t.Errorf("there were only %v", seen)
	}
}

// A held endpoint that was published goes on as before, unless a valid one claims its key.
func TestKeys_HeldEndpoint_LeavesItsKeyToAValidOne(t *testing.T) {
	w := newHarness(t)
	w.object.Spec.Endpoints = []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080)}
	w.verdicts = map[string]health.State{"192.0.2.1:8080": health.StateHealthy}
	w.look()
	w.object.Spec.Endpoints[0].HealthCheckURL = "ftp://192.0.2.1/"
	w.object.Spec.Endpoints = append(w.object.Spec.Endpoints, fixtures.At("192.0.2.1", 8080))
	w.look()
	rows := w.object.Status.Endpoints
	if len(rows) != 2 || rows[0].Name != "endpoints[0]" || rows[0].Reason != farpointv1.InvalidHealthCheckURLReason || rows[1].Name != "192.0.2.1:8080" || rows[1].Health != farpointv1.EndpointHealthy {
		t.Errorf("%+v", rows)
	}
	if got := w.published(); got["192.0.2.1:8080"] != "TTF" {
		t.Errorf("published %v", got)
	}
}

func TestKeys_NameBesideARejectedAddress_IsPublished(t *testing.T) {
	w := namedHarness(t, "192.0.2.1", "db.example")
	w.object.Spec.Endpoints[0].HealthCheckURL = "ftp://192.0.2.1/"
	w.names.host("db.example", "192.0.2.1")
	w.verdicts = map[string]health.State{"192.0.2.1:8080": health.StateHealthy}
	w.look()
	w.expect("the name's", map[string]string{"192.0.2.1:8080": "TTF"}, "True NamesResolved")
	if rows := w.object.Status.Endpoints; len(rows) != 2 || rows[0].Health != farpointv1.EndpointRejected || rows[1].ResolvedFrom != "db.example" {
		t.Errorf("%+v", rows)
	}
	w.restart()
}

func TestKeys_SameNameWithOtherPorts_IsPublishedWithBoth(t *testing.T) {
	w := namedHarness(t, "db.example", "db.example")
	w.service.Spec.Ports = nil
	for i, port := range []int32{5432, 6432} {
		w.object.Spec.Endpoints[i].Port = &port
	}
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	for _, name := range []string{"192.0.2.1:5432", "192.0.2.2:5432", "192.0.2.1:6432", "192.0.2.2:6432"} {
		w.verdicts[name] = health.StateHealthy
	}
	all := map[string]string{"192.0.2.1:5432": "TTF", "192.0.2.2:5432": "TTF", "192.0.2.1:6432": "TTF", "192.0.2.2:6432": "TTF"}
	w.look()
	w.expect("at first", all, "True NamesResolved")
	w.names.fail = resolver.LookupTimeout
	w.look()
	w.restart()
	w.expect("after a restart in an outage of name servers", all, "False NameServerTimeout")
	if rows := w.object.Status.Endpoints; len(rows) != 4 {
		t.Errorf("%+v", rows)
	}
}

func TestKeys_NameBesideItsOwnAddress_IsNoDuplicate(t *testing.T) {
	for _, order := range [][]string{{"db.example", "192.0.2.1"}, {"192.0.2.1", "db.example"}} {
		w := namedHarness(t, order...)
		w.names.host("db.example", "192.0.2.1", "192.0.2.2")
		w.verdicts = map[string]health.State{"192.0.2.1:8080": health.StateHealthy, "192.0.2.2:8080": health.StateHealthy}
		w.look()
		w.expect("with a second address", map[string]string{"192.0.2.1:8080": "TTF", "192.0.2.2:8080": "TTF"}, "True NamesResolved")
		if status := w.object.Status; status.ReadyEndpoints != "2/2" || w.condition(farpointv1.ReadyCondition) != "True Published" {
			t.Errorf("%v: %+v", order, status)
		}
		w.restart()

		w.names.host("db.example", "192.0.2.1")
		w.object.Spec.Availability.DrainPeriod = nil
		w.look()
		if status := w.object.Status; status.ReadyEndpoints != "1/1" || w.condition(farpointv1.ReadyCondition) != "True Published" {
			t.Errorf("%v: %+v", order, status)
		}
		message := meta.FindStatusCondition(w.object.Status.Conditions, farpointv1.AddressesResolvedCondition).Message
		if !strings.Contains(message, "(db.example) adds no address to spec.endpoints[") {
			t.Errorf("%v: AddressesResolved says %q, and nothing of the name", order, message)
		}
	}
}

func TestKeys_NameTwiceWithTheSamePort_IsReported(t *testing.T) {
	w := namedHarness(t, "db.example", "db.example")
	w.names.host("db.example", "192.0.2.1", "192.0.2.2")
	w.look()
	if message := meta.FindStatusCondition(w.object.Status.Conditions, farpointv1.AddressesResolvedCondition).Message; !strings.HasSuffix(message, "; spec.endpoints[1] (db.example) adds no address to spec.endpoints[0]") {
		t.Errorf("AddressesResolved says %q", message)
	}
}

// portNames are the ports of the Service in mixed harnesses.
var portNames = []string{"web", "db", "admin"}

// mixedHarness has an object with these rules, and a Service with three ports.
func mixedHarness(t *testing.T, rules farpointv1.Availability) *harness {
	w := newHarness(t)
	w.service.Spec.Ports = nil
	for i, name := range portNames {
		w.service.Spec.Ports = append(w.service.Spec.Ports, corev1.ServicePort{Name: name, Protocol: corev1.ProtocolTCP, Port: int32(80 + i)})
	}
	w.object.Spec.Availability = rules
	return w
}

// mixedEndpoints returns endpoints of both families, each with some of the ports.
func mixedEndpoints(random *rand.Rand) (endpoints []farpointv1.Endpoint) {
	for i := range 6 {
		address := fmt.Sprintf("192.0.2.%d", i)
		if random.IntN(3) == 0 {
			address = fmt.Sprintf("2001:db8::%d", i)
		}
		e := farpointv1.Endpoint{Address: address, Priority: int32(random.IntN(3))}
		for k, name := range portNames {
			if k == i%3 || random.IntN(2) == 0 {
				e.Ports = append(e.Ports, farpointv1.EndpointPort{Name: name, Port: int32(8080 + k)})
			}
		}
		endpoints = append(endpoints, e)
	}
	return endpoints
}

// harnessesApart are objects that have the endpoints of one family and one port e.
func harnessesApart(t *testing.T, rules farpointv1.Availability, endpoints []farpointv1.Endpoint) (apart []*harness) {
	for _, family := range []string{"192.0.2.", "2001:db8::"} {
		for _, name := range portNames {
			w := mixedHarness(t, rules)
			for _, e := range endpoints {
				at := slices.IndexFunc(e.Ports, func(port farpointv1.EndpointPort) bool { return port.Name == name })
				if at >= 0 && strings.HasPrefix(e.Address, family) {
					e.Ports = e.Ports[at : at+1]
					w.object.Spec.Endpoints = append(w.object.Spec.Endpoints, e)
				}
			}
			apart = append(apart, w)
		}
	}
	return apart
}

// lookLater lets a second pass.
func (w *harness) lookLater() {
	w.now = w.now.Add(time.Second)
	w.look()
}

// TestRestarts_MixedPortsAndFamilies_ChangeNothing restarts operators in any state that endpoints
// with different ports and families can be in, with the status emptied and not, and compares each
// family and port with an object that has nothing else.
func TestRestarts_MixedPortsAndFamilies_ChangeNothing(t *testing.T) {
	policies := []farpointv1.NoneHealthyPolicy{farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll}
	split := false
	for seed := range uint64(effort.Rounds(20, 4)) {
		random := rand.New(rand.NewPCG(seed, 14))
		rules := farpointv1.Availability{
			MinReady: int32(1 + random.IntN(2)), WhenNoneHealthy: policies[random.IntN(3)], MinHealthyPercent: int32(random.IntN(2) * 50),
			DrainPeriod: &metav1.Duration{},
		}
		endpoints := mixedEndpoints(random)
		mixed, alone := mixedHarness(t, rules), harnessesApart(t, rules, endpoints)
		mixed.object.Spec.Endpoints = endpoints
		everything := append(slices.Clone(alone), mixed)
		for range 12 {
			for i := range endpoints {
				if random.IntN(3) > 0 {
					continue
				}
				state := health.State(random.IntN(4))
				for _, w := range everything {
					for _, port := range endpoints[i].Ports {
						w.verdicts[endpoint.HostOf(endpoints[i].Address).Key(endpoint.NewPort("", corev1.ProtocolTCP, port.Port, nil)).String()] = state
					}
				}
			}
			apart := map[string]string{}
			for _, w := range alone {
				w.lookLater()
				maps.Copy(apart, fixtures.ConditionsAtPorts(t, w.slices))
			}
			mixed.lookLater()
			together := fixtures.ConditionsAtPorts(t, mixed.slices)
			if !maps.Equal(together, apart) {
				t.Fatalf("seed %d: together %v, each by itself %v", seed, together, apart)
			}
			for _, endpoint := range mixed.object.Spec.Endpoints {
				first := together[endpoint.Address+" "+endpoint.Ports[0].Name+"/TCP"]
				for _, port := range endpoint.Ports {
					split = split || together[endpoint.Address+" "+port.Name+"/TCP"] != first
				}
			}
			for _, w := range everything {
				w.restart()
			}
		}
	}
	if !split {
		t.Error("no endpoint had different roles at different ports")
	}
}
