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
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// departed returns a drain of the slice that 192.0.2.1:8080 has left behind, with these
// conditions, and with this annotation if it is not nil.
func departed(conditions string, hidden *slicestate.State) (Drain, *discoveryv1.EndpointSlice) {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "integration", Name: "a", Labels: map[string]string{discoveryv1.LabelServiceName: "legacy"}},
		Ports:      fixtures.HTTPPort(8080).Ports,
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"192.0.2.1"}, Zone: new("eu-1"), NodeName: new("node-a"), Hostname: new("db-0"),
			Conditions: discoveryv1.EndpointConditions{Ready: new(conditions[0] == 'T'), Serving: new(conditions[1] == 'T'), Terminating: new(conditions[2] == 'T')},
		}},
	}
	if hidden != nil {
		fixtures.Annotate(slice, *hidden)
	}
	return Drain{
		Service: fixtures.Service(),
		Period:  30 * time.Second,
		Now:     fixtures.Noon.Time,
		Refused: func(netip.Addr, []discoveryv1.EndpointPort) bool { return false },
		Prior:   slicestate.Read([]*discoveryv1.EndpointSlice{slice}),
		Health:  func(string) (health.Health, bool) { return health.Health{}, false },
	}, slice
}

// probed makes the endpoint one that probes find healthy.
func probed(d *Drain, _ *discoveryv1.EndpointSlice) {
	d.Health = func(string) (health.Health, bool) { return health.New(health.StateHealthy), true }
}

// dead makes the endpoint one that probes find unhealthy.
func dead(d *Drain, _ *discoveryv1.EndpointSlice) {
	d.Health = func(string) (health.Health, bool) { return health.Health{State: health.StateUnhealthy}, true }
}

// afterNoon is a time at which a drain may end.
func afterNoon(seconds int) time.Time {
	return fixtures.Noon.Truncate(time.Second).Add(time.Duration(seconds) * time.Second)
}

// hiding is the annotation for an endpoint with this role and health.
func hiding(role string, current farpointv1.EndpointHealth) *slicestate.State {
	return &slicestate.State{Endpoints: []slicestate.HiddenVerdict{{Role: role, Health: string(current), Addresses: []string{"192.0.2.1"}}}}
}

// leaving is the annotation for an endpoint that drains until then.
func leaving(until time.Time) *slicestate.State {
	return &slicestate.State{Drains: []slicestate.DrainEnd{{Until: until, Addresses: []string{"192.0.2.1"}}}}
}

type drainCase struct {
	name       string
	conditions string
	hidden     *slicestate.State
	change     func(*Drain, *discoveryv1.EndpointSlice)
	want       string // conditions, and seconds after noon, rounded up to whole ones
}

func checkDrains(t *testing.T, cases []drainCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			drain, slice := departed(test.conditions, test.hidden)
			if test.change != nil {
				test.change(&drain, slice)
			}
			var got []string
			for _, left := range drain.Leaving([]*discoveryv1.EndpointSlice{slice}) {
				c := left.Conditions(false)
				got = append(got, fmt.Sprintf("%s%s%s %v", fixtures.Letter(c.Ready), fixtures.Letter(c.Serving), fixtures.Letter(c.Terminating), left.DrainUntil.Sub(afterNoon(0)).Seconds()))
				if left.Name != "192.0.2.1:8080" || left.Spec.Zone != "eu-1" || left.Spec.NodeName != "node-a" || left.Spec.Hostname != "db-0" || left.Ports.Key != endpoint.PortsKeyOf(slice.Ports) {
					t.Errorf("%+v %+v is not what was published", left.Endpoint, left.Spec)
				}
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestDrain_EndpointLeaves_DrainsIfItGotTraffic(t *testing.T) {
	written, selfReported := &slicestate.State{}, hiding("", farpointv1.EndpointHealthDraining)
	selfReported.Drains = leaving(afterNoon(10)).Drains
	checkDrains(t, []drainCase{
		{"leaves while it is healthy", "TTF", written, nil, "FTT 31"},
		{"leaves while it is drained by hand", "FTT", written, nil, "FTT 31"},
		{"leaves while it drains by its own word", "FTT", hiding("", farpointv1.EndpointHealthDraining), nil, "FTT 31"},
		{"the same, and has some time left", "FTT", selfReported, nil, "FTT 10"},
		{"leaves while it is unhealthy", "FFF", written, nil, ""},
		{"leaves while it is published although it is unhealthy", "TTF", hiding("", farpointv1.EndpointUnhealthy), nil, ""},
		{"leaves as a standby", "FFF", hiding(slicestate.StandbyWord, farpointv1.EndpointHealthy), nil, ""},
		{"leaves disabled", "FFF", hiding(slicestate.DisabledWord, ""), nil, ""},
		{"has died meanwhile", "TTF", written, dead, ""},
	})
}

func TestDrain_EndpointDrainsAlready_EndsWhenPromisedAtTheLatest(t *testing.T) {
	checkDrains(t, []drainCase{
		{"drains", "FTT", leaving(afterNoon(10)), nil, "FTT 10"},
		{"dies while it drains", "FTT", leaving(afterNoon(10)), dead, "FFT 10"},
		{"died while it drained", "FFT", leaving(afterNoon(10)), nil, "FFT 10"},
		{"has drained", "FTT", leaving(afterNoon(0)), nil, ""},
		{"has a shorter time left by an edit", "FTT", leaving(afterNoon(20)), func(d *Drain, _ *discoveryv1.EndpointSlice) { d.Period = 5 * time.Second }, "FTT 6"},
		{"has no longer one", "FTT", leaving(afterNoon(20)), func(d *Drain, _ *discoveryv1.EndpointSlice) { d.Period = time.Hour }, "FTT 20"},
		{"has none", "FTT", leaving(afterNoon(20)), func(d *Drain, _ *discoveryv1.EndpointSlice) { d.Period = 0 }, ""},
		{"an end for one that has not left counts for nothing", "TTF", leaving(afterNoon(10)), nil, "FTT 31"},
	})
}

func TestDrain_AnnotationIsLost_DependsOnConditionsAndProbes(t *testing.T) {
	checkDrains(t, []drainCase{
		{"the annotation got lost, but it drains", "FTT", nil, nil, "FTT 31"},
		{"the same, and it is unhealthy", "FFT", nil, nil, ""},
		{"nobody knows it", "TTF", nil, nil, ""},
		{"the annotation got lost, but it is probed", "TTF", nil, probed, "FTT 31"},
	})
}

func TestDrain_EndpointIsPublishedElsewhereOrRefused_EndsAtOnce(t *testing.T) {
	written := &slicestate.State{}
	checkDrains(t, []drainCase{
		{"its address may not be published any more", "TTF", written, func(d *Drain, _ *discoveryv1.EndpointSlice) {
			d.Refused = func(netip.Addr, []discoveryv1.EndpointPort) bool { return true }
		}, ""},
		{"it has not left", "TTF", written, func(d *Drain, _ *discoveryv1.EndpointSlice) {
			d.Claimed = map[endpoint.Key]int{endpoint.HostOf("192.0.2.1").Key(fixtures.HTTPPort(8080).Ports[0]): 3}
		}, ""},
		{"its port has changed", "TTF", written, func(d *Drain, _ *discoveryv1.EndpointSlice) {
			d.Claimed = map[endpoint.Key]int{endpoint.HostOf("192.0.2.1").Key(fixtures.HTTPPort(9090).Ports[0]): 3}
		}, "FTT 31"},
		{"it was published for another Service", "TTF", written, func(_ *Drain, s *discoveryv1.EndpointSlice) {
			s.Labels[discoveryv1.LabelServiceName] = "other"
		}, ""},
		{"it has moved to another object", "TTF", written, func(d *Drain, s *discoveryv1.EndpointSlice) { d.Rivals = []*discoveryv1.EndpointSlice{s.DeepCopy()} }, ""},
		{"another object has another port of it", "TTF", written, func(d *Drain, s *discoveryv1.EndpointSlice) {
			rival := s.DeepCopy()
			rival.Ports = fixtures.HTTPPort(9090).Ports
			d.Rivals = []*discoveryv1.EndpointSlice{rival}
		}, "FTT 31"},
	})
}

func TestDrain_SliceIsEditedByHand_KeepsOnlyWhatCanBePublished(t *testing.T) {
	written := &slicestate.State{}
	checkDrains(t, []drainCase{
		{"somebody has taken its ports away", "TTF", written, func(_ *Drain, s *discoveryv1.EndpointSlice) { s.Ports = nil }, ""},
		{"somebody has taken its port's number away", "TTF", written, func(_ *Drain, s *discoveryv1.EndpointSlice) { s.Ports[0].Port = nil }, ""},
		{"somebody has taken its address away", "TTF", written, func(_ *Drain, s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = nil }, ""},
		{"somebody has given it a zone that cannot be a hint", "TTF", written, func(_ *Drain, s *discoveryv1.EndpointSlice) { s.Endpoints[0].Zone = new("eu 1") }, ""},
		{"somebody has written it twice", "TTF", written, func(d *Drain, s *discoveryv1.EndpointSlice) {
			probed(d, s)
			s.Endpoints = append(s.Endpoints, s.Endpoints[0])
		}, "FTT 31"},
		{"somebody has added another one, and the operator has been restarted", "TTF", written, func(_ *Drain, s *discoveryv1.EndpointSlice) {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"203.0.113.66"}, Conditions: s.Endpoints[0].Conditions})
		}, ""},
	})
}

func TestDrainedIn_SeveralDrain_FirstDecides(t *testing.T) {
	until := func(seconds int) endpoint.Verdict {
		return endpoint.Verdict{Endpoint: &endpoint.Endpoint{DrainUntil: fixtures.Noon.Add(time.Duration(seconds) * time.Second)}}
	}
	staying := endpoint.Verdict{Endpoint: &endpoint.Endpoint{}}
	if got := DrainedIn([]endpoint.Verdict{staying, until(20), until(5), staying}, fixtures.Noon.Time); got != 5*time.Second {
		t.Errorf("looks again in %v, want 5s", got)
	}
	if got := DrainedIn([]endpoint.Verdict{until(0)}, fixtures.Noon.Time); got <= 0 {
		t.Errorf("does not look again, although one has just drained")
	}
	if got := DrainedIn([]endpoint.Verdict{staying}, fixtures.Noon.Time); got != 0 {
		t.Errorf("looks again in %v for nothing", got)
	}
}

// Otherwise the status would be written again and again.
func TestDrain_CacheInAnyOrder_SameResult(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(20))
	wants.MaxEndpoints = 3
	_, existing := fixtures.PlanAndApply(t, wants, nil)
	order := func() []string {
		drain, _ := departed("TTF", nil)
		drain.Prior = slicestate.Read(existing)
		var names []string
		for _, left := range drain.Leaving(existing) {
			names = append(names, left.Name)
		}
		return names
	}
	first := order()
	if len(first) != 20 {
		t.Fatalf("%d of 20 drain", len(first))
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(existing), func(i, j int) { existing[i], existing[j] = existing[j], existing[i] })
	if second := order(); !slices.Equal(first, second) {
		t.Errorf("%v, then %v", first, second)
	}
}

// The oldest of too many are removed at once.
func TestDrain_TooMany_OldestAreRemoved(t *testing.T) {
	wants := fixtures.Wants(fixtures.Numbered(maxLeaving + 3))
	for i := range wants.Endpoints {
		left := &wants.Endpoints[i]
		left.Role, left.DrainUntil = endpoint.Draining, fixtures.Noon.Truncate(time.Second).Add(time.Duration(10+i%20)*time.Second)
	}
	_, existing := fixtures.PlanAndApply(t, wants, nil)
	drain, _ := departed("TTF", nil)
	drain.Prior = slicestate.Read(existing)
	left := drain.Leaving(existing)
	if len(left) != maxLeaving {
		t.Fatalf("%d drain, want %d", len(left), maxLeaving)
	}
	oldest := 0
	for i := range left {
		if left[i].DrainUntil.Before(fixtures.Noon.Truncate(time.Second).Add(11 * time.Second)) {
			oldest++
		}
	}
	if want := (maxLeaving+3+19)/20 - 3; oldest != want {
		t.Errorf("%d of the oldest drain still, want %d", oldest, want)
	}
}

// BenchmarkDrainNothing measures what draining costs while none of 1,000 endpoints drains.
func BenchmarkDrainNothing(b *testing.B) {
	wants := fixtures.Wants(fixtures.Numbered(1000))
	existing := sliceplan.Make(wants, nil).Create
	drain, _ := departed("TTF", nil)
	drain.Claimed = map[endpoint.Key]int{}
	for i := range wants.Endpoints {
		drain.Claimed[endpoint.Key{Host: wants.Endpoints[i].Host(), Protocol: corev1.ProtocolTCP, Port: 8080}] = i
	}
	b.ReportAllocs()
	for b.Loop() {
		if left := drain.Leaving(existing); len(left) > 0 {
			b.Fatal(len(left))
		}
	}
}
