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

package sliceplan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// routes is a set of endpoints that new connections may go to, as address and port.
type routes map[string]bool

// consumer reads EndpointSlices and sends traffic by them. The rules are those of its source,
// written out.
type consumer struct {
	name string
	// routes reads the slices of a Service, for its port http.
	routes func([]*discoveryv1.EndpointSlice) routes
	// expected is what it should find. It differs from the endpoints that are ready only for a
	// reason.
	expected func(expectedRoutes) routes
	because  string
}

// expectedRoutes is what the slices should say, according to the table of states.
type expectedRoutes struct {
	ready, serving, terminating routes
}

// usable are the ready endpoints, which is all there is to most consumers.
func (s expectedRoutes) usable() routes { return s.ready }

// usableOrLingering are the ready ones or, if there are none, those that are on their way
// out and still answer.
func (s expectedRoutes) usableOrLingering() routes {
	if len(s.ready) > 0 {
		return s.ready
	}
	return s.serving.and(s.terminating)
}

// honest are those that answer and are not on their way out, whatever ready says.
func (s expectedRoutes) honest() routes { return s.serving.without(s.terminating) }

func (r routes) and(other routes) routes {
	both := routes{}
	for key := range r {
		if other[key] {
			both[key] = true
		}
	}
	return both
}

func (r routes) without(other routes) routes {
	left := routes{}
	for key := range r {
		if !other[key] {
			left[key] = true
		}
	}
	return left
}

// Why a consumer differs from what is ready.
const (
	lastResort    = "(with nothing ready, those that are on their way out but answer are better than nothing)"
	goesByServing = "(it goes by serving, which stays honest: publishNotReadyAddresses makes endpoints ready that do not answer)"
)

var consumers = []consumer{
	{"kube-proxy", kubeProxyFrom("nowhere"), expectedRoutes.usableOrLingering, lastResort},
	{"Traefik, HTTP", reading(func(c discoveryv1.EndpointConditions) bool {
		fenced := ptr.Deref(c.Terminating, false) && ptr.Deref(c.Serving, false) // gets clients that it had before
		return ptr.Deref(c.Serving, true) && !fenced
	}), expectedRoutes.honest, goesByServing},
	{"Traefik, TCP and UDP", reading(func(c discoveryv1.EndpointConditions) bool {
		return ptr.Deref(c.Ready, false)
	}), expectedRoutes.usable, ""},
	{"Envoy Gateway", reading(func(c discoveryv1.EndpointConditions) bool {
		if c.Serving == nil || c.Terminating == nil {
			return ptr.Deref(c.Ready, true)
		}
		return *c.Serving && !*c.Terminating
	}), expectedRoutes.honest, goesByServing},
	{"Cilium", cilium, expectedRoutes.usableOrLingering, lastResort},
	{"Istio", reading(func(c discoveryv1.EndpointConditions) bool {
		return ptr.Deref(c.Ready, true) // others are terminating (also if that is nil) or unhealthy, and get nothing
	}), expectedRoutes.usable, ""},
	{"CoreDNS", reading(func(c discoveryv1.EndpointConditions) bool {
		return ptr.Deref(c.Ready, true)
	}), expectedRoutes.usable, ""},
	{"ingress-nginx", reading(func(c discoveryv1.EndpointConditions) bool {
		return *c.Ready // nil would end the process
	}), expectedRoutes.usable, ""},
}

// reading makes a reader of one that looks at each endpoint by itself.
func reading(takes func(discoveryv1.EndpointConditions) bool) func([]*discoveryv1.EndpointSlice) routes {
	return func(slices []*discoveryv1.EndpointSlice) routes {
		used := routes{}
		forEachEndpoint(slices, func(key string, endpoint *discoveryv1.Endpoint) {
			if takes(endpoint.Conditions) {
				used[key] = true
			}
		})
		return used
	}
}

// forEachEndpoint calls fn with the endpoints behind the port http. Consumers match ports by
// name, and skip one without a number.
func forEachEndpoint(slices []*discoveryv1.EndpointSlice, fn func(key string, endpoint *discoveryv1.Endpoint)) {
	for _, slice := range slices {
		for _, port := range slice.Ports {
			if port.Name == nil || *port.Name != "http" || ptr.Deref(port.Port, 0) == 0 || ptr.Deref(port.Protocol, "") != corev1.ProtocolTCP {
				continue
			}
			for i := range slice.Endpoints { // the first address is all that kube-proxy reads
				fn(fmt.Sprintf("%s %d", slice.Endpoints[i].Addresses[0], *port.Port), &slice.Endpoints[i])
			}
		}
	}
}

// kubeProxyFrom reads as kube-proxy on a node in this zone (pkg/proxy/topology.go,
// CategorizeEndpoints): hints count if every ready endpoint has one, and one is for the
// zone.
func kubeProxyFrom(zone string) func([]*discoveryv1.EndpointSlice) routes {
	return func(slices []*discoveryv1.EndpointSlice) routes {
		ready, near, lingering, allHinted := routes{}, routes{}, routes{}, true
		forEachEndpoint(slices, func(key string, endpoint *discoveryv1.Endpoint) {
			c := endpoint.Conditions
			switch {
			case ptr.Deref(c.Ready, true):
				ready[key] = true
				allHinted = allHinted && endpoint.Hints != nil && len(endpoint.Hints.ForZones) > 0
				for i := 0; endpoint.Hints != nil && i < len(endpoint.Hints.ForZones); i++ {
					if endpoint.Hints.ForZones[i].Name == zone {
						near[key] = true
					}
				}
			case ptr.Deref(c.Serving, true) && ptr.Deref(c.Terminating, false):
				lingering[key] = true
			}
		})
		switch {
		case len(ready) == 0:
			return lingering
		case allHinted && len(near) > 0:
			return near
		}
		return ready
	}
}

// cilium drops what is neither ready nor serving, and uses terminating backends only where
// there are no others (pkg/k8s/endpoints.go, ParseEndpointSliceV1).
func cilium(slices []*discoveryv1.EndpointSlice) routes {
	active, terminating := routes{}, routes{}
	forEachEndpoint(slices, func(key string, endpoint *discoveryv1.Endpoint) {
		c := endpoint.Conditions
		ready := ptr.Deref(c.Ready, true)
		serving := ptr.Deref(c.Serving, ready)
		switch {
		case !ready && !serving:
		case !ready && ptr.Deref(c.Terminating, false):
			terminating[key] = true
		default:
			active[key] = true
		}
	})
	if len(active) == 0 {
		return terminating
	}
	return active
}

// states is the table of what an endpoint is published as: ready, serving, terminating.
var states = map[string]string{
	"active and healthy":     "TTF",
	"active and unhealthy":   "FFF",
	"active and not known":   "FFF",
	"active and draining":    "FTT",
	"draining and healthy":   "FTT",
	"draining and unhealthy": "FFT",
	"disabled":               "FFF",
	"standby":                "FFF",
	"fail-open":              "TTF",
}

// stateOfVerdict is the row of the table that an endpoint is in.
func stateOfVerdict(v *endpoint.Verdict) string {
	healthy := v.Health.State == health.StateHealthy
	switch {
	case v.Role == endpoint.Disabled:
		return "disabled"
	case v.Role == endpoint.Standby:
		return "standby"
	case v.Role == endpoint.FailOpen:
		return "fail-open"
	case v.Role == endpoint.Draining && (healthy || v.Health.State == health.StateDraining):
		return "draining and healthy"
	case v.Role == endpoint.Draining:
		return "draining and unhealthy"
	case healthy:
		return "active and healthy"
	case v.Health.State == health.StateDraining:
		return "active and draining"
	case v.Health.State == health.StateUnhealthy:
		return "active and unhealthy"
	}
	return "active and not known"
}

// add adds the row of an endpoint.
func (s expectedRoutes) add(v *endpoint.Verdict, publishNotReady bool) {
	row := states[stateOfVerdict(v)]
	key := fmt.Sprintf("%s %d", v.Text, *v.Ports.Ports[0].Port)
	if row[0] == 'T' || publishNotReady && v.Role != endpoint.Disabled && v.Role != endpoint.Standby {
		s.ready[key] = true
	}
	if row[1] == 'T' {
		s.serving[key] = true
	}
	if row[2] == 'T' {
		s.terminating[key] = true
	}
}

// anyService is a Service with endpoints of all kinds, and what the slices are to say.
func anyService(random *rand.Rand, met map[string]int) (sliceplan.Wants, expectedRoutes) {
	wants := fixtures.Wants(nil)
	wants.MaxEndpoints = 1 + random.IntN(10)
	wants.Service.Spec.PublishNotReadyAddresses = random.IntN(4) == 0
	if random.IntN(2) == 0 {
		wants.Service.Spec.TrafficDistribution = ptr.To("PreferSameZone")
	}
	wants.Owner.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{GroupBy: []farpointv1.SliceGrouping{"", farpointv1.GroupByZone}[random.IntN(2)]}
	admin := endpoint.NewPort("admin", corev1.ProtocolTCP, 9090, nil)
	portSets := []*endpoint.PortSet{fixtures.HTTPPort(80), fixtures.HTTPPort(8080), endpoint.NewPortSet([]discoveryv1.EndpointPort{endpoint.NewPort("http", corev1.ProtocolTCP, 80, nil), admin})}
	specStates := []farpointv1.EndpointState{"", farpointv1.EndpointActive, farpointv1.EndpointActive, farpointv1.EndpointDraining, farpointv1.EndpointDisabled}
	fewHealthy := random.IntN(3) == 0
	for i := range 1 + random.IntN(30) {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		if random.IntN(4) == 0 {
			address = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i)})
		}
		v := fixtures.Healthy(address.String(), portSets[random.IntN(3)])
		v.Spec = &farpointv1.Endpoint{State: specStates[random.IntN(5)], Priority: int32(random.IntN(3)), Zone: []string{"a", "b", "c"}[random.IntN(3)]}
		if random.IntN(20) == 0 {
			v.Spec.Zone = ""
		}
		if random.IntN(5) == 0 {
			v.Spec.ForZones = []string{"a", "c"}
		}
		v.Health = health.New(health.State(random.IntN(4)))
		if fewHealthy && random.IntN(10) > 0 {
			v.Health = health.New(health.StateUnhealthy)
		}
		wants.Endpoints = append(wants.Endpoints, v)
	}
	rules := availability.Rules{
		MinReady:          1 + random.IntN(5),
		WhenNoneHealthy:   []farpointv1.NoneHealthyPolicy{farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll}[random.IntN(3)],
		MinHealthyPercent: random.IntN(2) * random.IntN(100),
	}
	rules.Assign(wants.Endpoints, availability.Past{Published: func(*endpoint.Endpoint, discoveryv1.EndpointPort) (slicestate.Published, bool) {
		open := random.IntN(2) == 0
		return slicestate.Published{Conditions: endpoint.Conditions{Ready: open, Serving: open}, State: health.StateUnhealthy}, true
	}})
	wants.Hints = sliceplan.DecideHints(wants.Service, wants.Endpoints).Hints
	expected := expectedRoutes{routes{}, routes{}, routes{}}
	for i := range wants.Endpoints {
		met[stateOfVerdict(&wants.Endpoints[i])]++
		expected.add(&wants.Endpoints[i], wants.Service.Spec.PublishNotReadyAddresses)
	}
	return wants, expected
}

// TestConsumers_RandomServices_Agree publishes Services at random and reads the slices by the
// rules of all consumers: they must send traffic to the same endpoints.
func TestConsumers_RandomServices_Agree(t *testing.T) {
	met := map[string]int{}
	for seed := range uint64(1000) {
		wants, expected := anyService(rand.New(rand.NewPCG(seed, 4)), met)
		published := sliceplan.Make(wants, nil).Create
		checkConditions(t, published)
		for _, c := range consumers {
			if got, want := c.routes(published), c.expected(expected); !maps.Equal(got, want) {
				t.Fatalf("seed %d: %s sends traffic to %v, want %v %s", seed, c.name, got, want, c.because)
			}
			// The differences above are the only ones there may be.
			if got := c.routes(published); !wants.Service.Spec.PublishNotReadyAddresses && len(expected.ready) > 0 && !maps.Equal(got, expected.ready) {
				t.Fatalf("seed %d: %s sends traffic to %v and not to what is ready, %v", seed, c.name, got, expected.ready)
			}
			if c.because == "" && !maps.Equal(c.expected(expected), expected.ready) {
				t.Fatalf("%s differs from others without a reason", c.name)
			}
		}
		checkZones(t, published, expected)
	}
	for state := range states {
		if met[state] == 0 {
			t.Errorf("no endpoint was %s", state)
		}
	}
}

// checkConditions finds conditions about which consumers disagree.
func checkConditions(t *testing.T, published []*discoveryv1.EndpointSlice) {
	t.Helper()
	for _, slice := range published {
		for _, endpoint := range slice.Endpoints {
			c := endpoint.Conditions
			if c.Ready == nil || c.Serving == nil || c.Terminating == nil {
				t.Fatalf("%s has a condition that is nil", endpoint.Addresses[0])
			}
			if !*c.Ready && *c.Serving && !*c.Terminating {
				t.Fatalf("%s is serving, but neither ready nor terminating", endpoint.Addresses[0])
			}
		}
	}
}

// checkZones reads as the kube-proxies of all zones: each has endpoints as long as there
// are some, and together they use all that are ready.
func checkZones(t *testing.T, published []*discoveryv1.EndpointSlice, expected expectedRoutes) {
	t.Helper()
	if len(expected.ready) == 0 {
		return
	}
	all := routes{}
	for _, zone := range []string{"a", "b", "c"} {
		used := kubeProxyFrom(zone)(published)
		if len(used) == 0 || len(used.without(expected.ready)) > 0 {
			t.Fatalf("clients in zone %s use %v of %v", zone, used, expected.ready)
		}
		maps.Copy(all, used)
	}
	if !maps.Equal(all, expected.ready) {
		t.Fatalf("all zones together use %v, want %v", all, expected.ready)
	}
}
