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
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/fixtures"
)

// groupedVerdicts reads endpoints such as "192.0.2.1 http=80,https=443 1 down": address,
// ports, priority and what is known.
func groupedVerdicts(t *testing.T, lines ...string) []endpoint.Verdict {
	t.Helper()
	var all []endpoint.Verdict
	for i, line := range lines {
		words := strings.Fields(line)
		var ports []discoveryv1.EndpointPort
		for _, word := range strings.Split(words[1], ",") {
			name, number, _ := strings.Cut(word, "=")
			name, appProtocol, _ := strings.Cut(name, "+")
			protocol := corev1.ProtocolTCP
			if rest, ok := strings.CutSuffix(name, "/udp"); ok {
				name, protocol = rest, corev1.ProtocolUDP
			}
			parsed, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, endpoint.NewPort(name, protocol, int32(parsed), fixtures.TextOrNil(appProtocol)))
		}
		var made endpoint.Verdict
		if words[0] == "db.example" {
			made.Endpoint = &endpoint.Endpoint{Text: words[0], Ports: endpoint.NewPortSet(ports)}
		} else {
			made = fixtures.Healthy(words[0], endpoint.NewPortSet(ports))
		}
		priority, err := strconv.Atoi(words[2])
		if err != nil {
			t.Fatal(err)
		}
		made.Spec, made.Index, made.Name = &farpointv1.Endpoint{Address: words[0], Priority: int32(priority)}, i, endpoint.NameOf(words[0], ports[0])
		made.Health = health.Seeded(map[string]health.State{"up": health.StateHealthy, "down": health.StateUnhealthy, "new": health.StateUnknown, "drains": health.StateDraining}[words[3]])
		all = append(all, made)
	}
	return all
}

// publishedAtPorts are the conditions of each endpoint at each port in the slices that are
// planned for these verdicts.
func publishedAtPorts(t *testing.T, all []endpoint.Verdict) string {
	t.Helper()
	wants := fixtures.Wants(splitByRole(all))
	_, written := fixtures.CarryOut(t, wants, nil)
	found := conditionsAtPorts(t, written)
	var words []string
	for i := range all {
		for _, port := range all[i].Ports.Ports {
			words = append(words, found[fmt.Sprintf("%s %s/%s", all[i].Text, *port.Name, *port.Protocol)])
		}
	}
	return strings.Join(words, " ")
}

// conditionsAtPorts maps address, port name and protocol to conditions.
func conditionsAtPorts(t *testing.T, written []*discoveryv1.EndpointSlice) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, slice := range written {
		for _, endpoint := range slice.Endpoints {
			for _, port := range slice.Ports {
				key := fmt.Sprintf("%s %s/%s", endpoint.Addresses[0], *port.Name, *port.Protocol)
				if _, twice := found[key]; twice {
					t.Fatalf("%s is published twice", key)
				}
				c := endpoint.Conditions
				found[key] = fixtures.Letter(*c.Ready) + fixtures.Letter(*c.Serving) + fixtures.Letter(*c.Terminating)
			}
		}
	}
	return found
}

func TestAssign_FamiliesAndPorts_AreJudgedEachByItself(t *testing.T) {
	type rules = availabilityRules
	const all, last = farpointv1.PublishAll, farpointv1.PublishLastHealthy
	tests := []struct {
		name      string
		rules     rules
		endpoints []string
		want      string // for each endpoint and port
	}{
		{"a healthy IPv6 endpoint keeps no IPv4 standby away", rules{minReady: 1},
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"}, "FFF TTF TTF FFF"},
		{"nor a healthy IPv4 endpoint an IPv6 standby", rules{minReady: 1},
			[]string{"192.0.2.1 http=80 0 up", "2001:db8::1 http=80 0 down", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"}, "TTF FFF FFF TTF"},
		{"nor one that is published as a name", rules{minReady: 1},
			[]string{"db.example http=80 0 up", "192.0.2.1 http=80 0 down", "192.0.2.2 http=80 1 up"}, "TTF FFF TTF"},
		{"another number is the same port: standby", rules{minReady: 1},
			[]string{"192.0.2.1 postgres=5432 0 up", "192.0.2.2 postgres=6432 1 up"}, "TTF FFF"},
		{"another number is the same port: takeover", rules{minReady: 1},
			[]string{"192.0.2.1 postgres=5432 0 down", "192.0.2.2 postgres=6432 1 up"}, "FFF TTF"},
		{"another appProtocol is the same port", rules{minReady: 1},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 web+kubernetes.io/h2c=80 1 up"}, "TTF FFF"},
		{"another protocol is another port", rules{minReady: 1},
			[]string{"192.0.2.1 dns=53 0 up", "192.0.2.2 dns/udp=53 1 up"}, "TTF TTF"},
		{"ports of one Service", rules{minReady: 1},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 db=5432 0 down", "192.0.2.3 web=80 1 up", "192.0.2.4 db=5432 1 up"}, "TTF FFF FFF TTF"},
		{"one endpoint stands by at one port and is needed at another", rules{minReady: 1},
			[]string{"192.0.2.1 pg=5432 0 up", "192.0.2.2 metrics=9187 0 down", "192.0.2.3 pg=5432,metrics=9187 1 up"}, "TTF FFF FFF TTF"},
		{"the other way round", rules{minReady: 1},
			[]string{"192.0.2.1 pg=5432 0 down", "192.0.2.2 metrics=9187 0 up", "192.0.2.3 metrics=9187,pg=5432 1 up"}, "FFF TTF FFF TTF"},
		{"three ports, of which the middle one is needed", rules{minReady: 1},
			[]string{"192.0.2.1 a=1,c=3 0 up", "192.0.2.2 a=1,b=2,c=3 1 up"}, "TTF TTF FFF TTF FFF"},
		{"a standby alone has a port", rules{minReady: 1},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 web=80,tls=443 1 up"}, "TTF FFF TTF"},
		{"minReady for each family", rules{minReady: 2},
			[]string{"192.0.2.1 http=80 0 up", "192.0.2.2 http=80 0 up", "2001:db8::1 http=80 0 up", "192.0.2.3 http=80 1 up", "2001:db8::2 http=80 1 up"}, "TTF TTF TTF FFF TTF"},
		{"whenNoneHealthy for each family", rules{minReady: 1, whenNoneHealthy: all},
			[]string{"192.0.2.1 http=80 0 down", "192.0.2.2 http=80 0 down", "2001:db8::1 http=80 0 up", "2001:db8::2 http=80 0 down"}, "TTF TTF TTF FFF"},
		{"whenNoneHealthy for each port", rules{minReady: 1, whenNoneHealthy: all},
			[]string{"192.0.2.1 web=80,db=1 0 down", "192.0.2.2 web=80 0 up"}, "FFF TTF TTF"},
		{"minHealthyPercent for each port", rules{minReady: 1, minHealthyPercent: 60},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 web=80 0 up", "192.0.2.3 web=80,db=1 0 down", "192.0.2.4 db=1 0 up"}, "TTF TTF FFF TTF TTF"},
		{"none was healthy last", rules{minReady: 1, whenNoneHealthy: last},
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"}, "FFF TTF"},
		{"what drains by its own word keeps no standby of the other family away", rules{minReady: 1},
			[]string{"192.0.2.1 http=80 0 drains", "2001:db8::1 http=80 0 up", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"}, "FTT TTF TTF FFF"},
		{"a new IPv6 endpoint keeps no IPv4 standby waiting", rules{minReady: 1},
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 new", "192.0.2.2 http=80 1 up"}, "FFF FFF TTF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := groupedVerdicts(t, test.endpoints...)
			test.rules.assign(all, noPast())
			if got := publishedAtPorts(t, all); got != test.want {
				t.Errorf("published as %s, want %s", got, test.want)
			}
		})
	}
}

// A verdict on a split endpoint is one, whichever of its slices is asked.
func TestSplitByRole_Restart_ReadsBackBothRoles(t *testing.T) {
	all := groupedVerdicts(t, "192.0.2.1 pg=5432 0 up", "192.0.2.2 metrics=9187 0 down", "192.0.2.3 pg=5432,metrics=9187 1 up")
	rules := availabilityRules{minReady: 1}
	first := rules.assign(all, noPast())
	_, written := fixtures.CarryOut(t, fixtures.Wants(splitByRole(all)), nil)
	read := slicestate.Read(written)
	if state, ok := read.State(all[2].Endpoint); !ok || state != health.StateHealthy {
		t.Errorf("the split endpoint is read back %v", state)
	}
	again := rules.assign(all, history{published: read.At})
	for i := range first {
		if first[i].tierDecision != again[i].tierDecision {
			t.Errorf("%s: %+v, after a restart %+v", first[i], first[i].tierDecision, again[i].tierDecision)
		}
	}
	if plan, _ := fixtures.CarryOut(t, fixtures.Wants(splitByRole(all)), written); fixtures.Writes(plan) != [3]int{} {
		t.Errorf("a restart writes %v", fixtures.Writes(plan))
	}
}

// groupStatus is the status of an object with these endpoints, and the families and ports
// of its Service.
func groupStatus(t *testing.T, rules farpointv1.Availability, families []corev1.IPFamily, ports []string, lines ...string) farpointv1.ExternalServiceStatus {
	t.Helper()
	object := fixtures.Owner()
	object.Spec.Availability = rules
	service := fixtures.Service()
	service.Spec.IPFamilies = families
	for _, port := range ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: port, Protocol: corev1.ProtocolTCP, Port: 80})
	}
	found := findings{service: judgeService(object, service), targets: &targets.Targets{Rejected: map[int]endpoint.Rejection{}, Names: &targets.Expansion{Spec: &object.Spec}}}
	found.verdicts = groupedVerdicts(t, lines...)
	for i := range found.verdicts {
		object.Spec.Endpoints = append(object.Spec.Endpoints, *found.verdicts[i].Spec)
		found.targets.Accepted = append(found.targets.Accepted, *found.verdicts[i].Endpoint)
	}
	found.availability = rulesOf(&object.Spec.Availability).assign(found.verdicts, noPast())
	found.familiesReason, found.familiesMessage = familyMismatch(found.targets.Accepted, neighbours{service: service})
	return summarize(object, found, fixtures.Noon)
}

func TestStatus_FamiliesAndPorts_TheLeastAvailableDecides(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	type rules = farpointv1.Availability
	type families = []corev1.IPFamily
	http := []string{"http"}
	tests := []struct {
		name      string
		rules     rules
		families  families
		ports     []string
		endpoints []string
		want      string
	}{
		{"both families", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 up", "2001:db8::1 http=80 0 up"},
			"Available True EndpointsReady: 2 of 2 endpoints are ready"},
		{"a dead family", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			`Available False NoEndpointsReady: 1 of 2 endpoints are ready; IPv4 port "http"/TCP has 0`},
		{"too few of a family", rules{MinReady: 2}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 up", "2001:db8::1 http=80 0 up", "2001:db8::2 http=80 0 up"},
			`Available False TooFewEndpointsReady: 3 of 3 endpoints are ready; IPv4 port "http"/TCP has 1`},
		{"a family without a verdict", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 new", "2001:db8::1 http=80 0 up"},
			`Available Unknown AwaitingProbes: 1 of 2 endpoints are ready; IPv4 port "http"/TCP has 0, 1 have no verdict yet`},
		{"a family that the Service lacks", rules{}, families{v4}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			"Available False NoEndpointsReady: 1 of 2 endpoints are ready\n" +
				"FamiliesMatched False AddressFamilyNotInService: [2001:db8::1]:80 is of an address family that the Service lacks, which has only IPv4: clients do not reach them; give the Service both families (ipFamilyPolicy, ipFamilies), or remove the endpoints"},
		{"none but that", rules{}, families{v4}, http, []string{"2001:db8::1 http=80 0 up"},
			"Available False NoEndpointsReady: 1 of 1 endpoints are ready; none has an address family and a port of the Service\n" +
				"FamiliesMatched False AddressFamilyNotInService: "},
		{"a dead family that the Service lacks", rules{}, families{v6}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			"Available True EndpointsReady: 1 of 2 endpoints are ready\nFamiliesMatched False AddressFamilyNotInService: "},
		{"a family of the Service that no endpoint has", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 up"},
			"Available True EndpointsReady: 1 of 1 endpoints are ready\n" +
				"FamiliesMatched False AddressFamilyWithoutEndpoints: no endpoint has an IPv6 address, but the Service has one, which leads nowhere: add IPv6 endpoints, or make the Service SingleStack"},
		{"a dead port", rules{}, families{v4}, []string{"web", "db"}, []string{"192.0.2.1 web=80,db=1 0 down", "192.0.2.2 web=80 0 up"},
			`Available False NoEndpointsReady: 1 of 2 endpoints are ready; IPv4 port "db"/TCP has 0`},
		{"all ports alike", rules{}, families{v4}, []string{"web", "db"}, []string{"192.0.2.1 web=80,db=1 0 down"},
			"Available False NoEndpointsReady: 0 of 1 endpoints are ready"},
		{"one family has failed over", rules{}, families{v4, v6}, http,
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"},
			"Available True EndpointsReady: 2 of 4 endpoints are ready, 1 on standby\n" +
				`FailedOver True TooFewHealthy: IPv4 port "http"/TCP: standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1`},
		{"both have", rules{}, families{v4, v6}, http,
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 down", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"},
			"Available True EndpointsReady: 2 of 4 endpoints are ready\n" +
				`FailedOver True TooFewHealthy: standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1`},
		{"one family fails open", rules{WhenNoneHealthy: farpointv1.PublishAll}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			`Available False FailingOpen: 2 of 2 endpoints get traffic, 1 of them unhealthy; IPv4 port "http"/TCP has 0` + "\n" +
				`FailOpen True AllPublished: IPv4 port "http"/TCP: no endpoint is healthy: all 1 get traffic (whenNoneHealthy: PublishAll)`},
		{"what the Service lacks fails neither over nor open", rules{WhenNoneHealthy: farpointv1.PublishAll}, families{v6}, http,
			[]string{"192.0.2.1 http=80 0 down", "192.0.2.2 http=80 1 down", "2001:db8::1 http=80 0 up"},
			"Available True EndpointsReady: 3 of 3 endpoints are ready\nFamiliesMatched False AddressFamilyNotInService: "},
		{"a port that the Service lacks", rules{}, families{v4}, http, []string{"192.0.2.1 web=80 0 up"},
			"Available False NoEndpointsReady: 1 of 1 endpoints are ready; none has an address family and a port of the Service"},
		{"a Service of no known family", rules{}, nil, nil, []string{"192.0.2.1 http=80 0 up"},
			"Available True EndpointsReady: 1 of 1 endpoints are ready"},
		{"published as a name", rules{}, families{v4}, http, []string{"db.example http=80 0 up"},
			"Available True EndpointsReady: 1 of 1 endpoints are ready"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status := groupStatus(t, test.rules, test.families, test.ports, test.endpoints...)
			got := availabilityOf(status)
			if found := meta.FindStatusCondition(status.Conditions, farpointv1.FamiliesMatchedCondition); found != nil {
				got += fmt.Sprintf("\n%s %s %s: %s", found.Type, found.Status, found.Reason, found.Message)
			}
			if got != test.want && (!strings.HasSuffix(test.want, ": ") || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// A headless Service has both families in every cluster, and no cluster IP that leads
// nowhere.
func TestFamilyMismatch_HeadlessService_NeedNotHaveEndpointsOfBoth(t *testing.T) {
	service := fixtures.Service()
	service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	endpoints := []endpoint.Endpoint{*fixtures.Healthy("192.0.2.1", fixtures.HTTPPort(80)).Endpoint}
	if reason, _ := familyMismatch(endpoints, neighbours{service: service}); reason != farpointv1.AddressFamilyWithoutEndpointsReason {
		t.Errorf("with a cluster IP: %q", reason)
	}
	rival := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv6}
	if reason, _ := familyMismatch(endpoints, neighbours{service: service, rivals: []*discoveryv1.EndpointSlice{rival}}); reason != "" {
		t.Errorf("with IPv6 endpoints of another ExternalService: %q", reason)
	}
	service.Spec.ClusterIP = corev1.ClusterIPNone
	if reason, _ := familyMismatch(endpoints, neighbours{service: service}); reason != "" {
		t.Errorf("headless: %q", reason)
	}
}

// TestRestarts_MixedPortsAndFamilies_ChangeNothing has operators restart in any state that
// endpoints with different ports and families can be in, with the status emptied and not,
// and compares each family and port with an object that has nothing else.
func TestRestarts_MixedPortsAndFamilies_ChangeNothing(t *testing.T) {
	policies := []farpointv1.NoneHealthyPolicy{farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll}
	split := false
	for seed := range uint64(effort.Rounds(20, 4)) {
		random := rand.New(rand.NewPCG(seed, 14))
		rules := farpointv1.Availability{
			MinReady: int32(1 + random.IntN(2)), WhenNoneHealthy: policies[random.IntN(3)], MinHealthyPercent: int32(random.IntN(2) * 50),
			DrainPeriod: &metav1.Duration{},
		}
		names := []string{"web", "db", "admin"}
		newMixed := func() *world {
			w := newWorld(t)
			w.service.Spec.Ports = nil
			for i, name := range names {
				w.service.Spec.Ports = append(w.service.Spec.Ports, corev1.ServicePort{Name: name, Protocol: corev1.ProtocolTCP, Port: int32(80 + i)})
			}
			w.object.Spec.Availability = rules
			return w
		}
		mixed, alone := newMixed(), map[string]*world{}
		var endpoints []farpointv1.Endpoint
		for i := range 6 {
			address := fmt.Sprintf("192.0.2.%d", i)
			if random.IntN(3) == 0 {
				address = fmt.Sprintf("2001:db8::%d", i)
			}
			made := farpointv1.Endpoint{Address: address, Priority: int32(random.IntN(3))}
			for k, name := range names {
				if k == i%3 || random.IntN(2) == 0 {
					made.Ports = append(made.Ports, farpointv1.EndpointPort{Name: name, Port: int32(8080 + k)})
				}
			}
			endpoints = append(endpoints, made)
		}
		mixed.object.Spec.Endpoints = endpoints
		for _, family := range []string{"192.0.2.", "2001:db8::"} {
			for _, name := range names {
				w := newMixed()
				for _, each := range endpoints {
					at := slices.IndexFunc(each.Ports, func(port farpointv1.EndpointPort) bool { return port.Name == name })
					if at >= 0 && strings.HasPrefix(each.Address, family) {
						each.Ports = each.Ports[at : at+1]
						w.object.Spec.Endpoints = append(w.object.Spec.Endpoints, each)
					}
				}
				alone[family+name] = w
			}
		}
		for range 12 {
			for i := range endpoints {
				if random.IntN(3) > 0 {
					continue
				}
				state := health.State(random.IntN(4))
				for _, w := range append(slices.Collect(maps.Values(alone)), mixed) {
					for _, port := range endpoints[i].Ports {
						w.verdicts[endpoint.NameOf(endpoints[i].Address, endpoint.NewPort("", corev1.ProtocolTCP, port.Port, nil))] = state
					}
				}
			}
			together, apart := map[string]string{}, map[string]string{}
			for _, w := range alone {
				w.now = w.now.Add(time.Second)
				w.look()
				maps.Copy(apart, conditionsAtPorts(t, w.slices))
			}
			mixed.now = mixed.now.Add(time.Second)
			mixed.look()
			maps.Copy(together, conditionsAtPorts(t, mixed.slices))
			if !maps.Equal(together, apart) {
				t.Fatalf("seed %d: together %v, each by itself %v", seed, together, apart)
			}
			for _, endpoint := range mixed.object.Spec.Endpoints {
				first := together[endpoint.Address+" "+endpoint.Ports[0].Name+"/TCP"]
				for _, port := range endpoint.Ports {
					split = split || together[endpoint.Address+" "+port.Name+"/TCP"] != first
				}
			}
			mixed.restart()
			for _, w := range alone {
				w.restart()
			}
		}
	}
	if !split {
		t.Error("no endpoint had different roles at different ports")
	}
}
