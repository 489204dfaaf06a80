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

package localnet

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var (
	first  = Gateway{netip.MustParseAddr("192.0.2.1"), 2}
	second = Gateway{netip.MustParseAddr("2001:db8::1"), 3}
)

// healthySnapshot has two gateways on two links with carrier.
func healthySnapshot() Snapshot {
	return Snapshot{
		Carrier:  map[int]bool{1: true, 2: true, 3: true},
		Gateways: []Gateway{first, second},
		Failed:   map[Gateway]bool{},
		OnLink:   []Network{{netip.MustParsePrefix("192.0.2.0/24"), 2}, {netip.MustParsePrefix("2001:db8::/64"), 3}},
	}
}

func gatewayLost(m *Monitor) bool {
	_, noGateway := m.Down()
	return noGateway
}

func TestMonitor_OneGatewayIsLost_IsNotDown(t *testing.T) {
	for name, lose := range map[string]func(*Snapshot, Gateway){
		"no carrier":   func(s *Snapshot, g Gateway) { s.Carrier[g.Interface] = false },
		"no interface": func(s *Snapshot, g Gateway) { delete(s.Carrier, g.Interface) },
		"no neighbour": func(s *Snapshot, g Gateway) { s.Failed[g] = true },
	} {
		m, snapshot := New(Options{}), healthySnapshot()
		m.read = func() (Snapshot, error) { return snapshot, nil }
		for i, want := range []bool{false, false, true} {
			if i > 0 {
				lose(&snapshot, snapshot.Gateways[i-1])
			}
			m.look(t.Context())
			if gatewayLost(m) != want {
				t.Errorf("%s: %d of 2 gateways are lost, and Down is %t", name, i, gatewayLost(m))
			}
		}
		snapshot = healthySnapshot()
		if m.look(t.Context()); gatewayLost(m) {
			t.Errorf("%s: down when both are back", name)
		}
	}
}

func TestMonitor_NoGatewayOrNoAnswerOfTheKernel_IsNotDown(t *testing.T) {
	m := New(Options{})
	m.read = func() (Snapshot, error) { return Snapshot{}, nil }
	if m.look(t.Context()); gatewayLost(m) {
		t.Error("down without a default route")
	}
	snapshot := healthySnapshot()
	snapshot.Carrier = nil
	m.read = func() (Snapshot, error) { return snapshot, nil }
	if m.look(t.Context()); !gatewayLost(m) {
		t.Error("not down without any carrier")
	}
	m.read = func() (Snapshot, error) { return Snapshot{}, errors.New("no buffer space") }
	if m.look(t.Context()); gatewayLost(m) {
		t.Error("down although nothing is known")
	}
}

func TestMonitor_GatewayThatAnsweredStops_IsDownUntilItAnswers(t *testing.T) {
	answers, possible := true, true
	m, snapshot := New(Options{Echo: true}), healthySnapshot()
	snapshot.Gateways = snapshot.Gateways[:1]
	m.read = func() (Snapshot, error) { return snapshot, nil }
	m.ask = func(context.Context, Gateway) (bool, bool) { return answers, possible }
	looks := func(count int) bool {
		for range count {
			m.look(t.Context())
		}
		return gatewayLost(m)
	}
	answers = false
	if looks(20) {
		t.Error("down since a gateway is silent that never answered")
	}
	answers = true
	looks(minAnswers)
	answers, possible = false, false
	if looks(20) {
		t.Error("down since no echo request could be sent")
	}
	possible = true
	if looks(minSilence - 1) {
		t.Error("down after too few requests")
	}
	if !looks(1) {
		t.Error("not down although the gateway stopped answering")
	}
	answers = true
	if looks(1) {
		t.Error("down although the gateway answers")
	}
}

// A gateway that bounds the rate of its answers must not pass for a lost one.
func TestMonitor_GatewayAnswersNowAndThen_IsNotDown(t *testing.T) {
	requests := 0
	m, snapshot := New(Options{Echo: true}), healthySnapshot()
	snapshot.Gateways = snapshot.Gateways[:1]
	m.read = func() (Snapshot, error) { return snapshot, nil }
	m.ask = func(context.Context, Gateway) (bool, bool) { requests++; return requests%3 == 0, true }
	for range 300 {
		if m.look(t.Context()); gatewayLost(m) {
			t.Fatalf("down at request %d", requests)
		}
	}
}

// A host with very many routes must not keep a processor busy with being read.
func TestMonitor_KernelIsSlow_IsReadLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 200 * time.Millisecond
		reads := 0
		m := New(Options{})
		m.read = func() (Snapshot, error) { reads++; time.Sleep(slow); return healthySnapshot(), nil }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := m.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if most := int(10*time.Minute/(maxShare*slow)) + 1; reads > most {
			t.Errorf("%d reads of %v in 10 minutes, want at most %d", reads, slow, most)
		}
	})
}

func TestMonitor_OnLink_IsWhatIsConnected(t *testing.T) {
	m := New(Options{})
	if m.OnLink(first.Addr) {
		t.Error("on link before the first look")
	}
	m.read = func() (Snapshot, error) { return healthySnapshot(), nil }
	m.look(t.Context())
	for addr, want := range map[string]bool{"192.0.2.77": true, "::ffff:192.0.2.77": true, "192.0.3.1": false, "2001:db8::9": true, "2001:db8:1::": false} {
		if got := m.OnLink(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t, want %t", addr, got, want)
		}
	}
	if m.OnLink(netip.Addr{}) {
		t.Error("no address is on link")
	}
}

func TestMonitor_NoLinkHasACarrier_IsTheLinks(t *testing.T) {
	m, snapshot := New(Options{}), healthySnapshot()
	m.read = func() (Snapshot, error) { return snapshot, nil }
	for name, test := range map[string]struct {
		change func(*Snapshot)
		want   bool
	}{
		"all links":       {func(s *Snapshot) { s.Carrier = nil }, true},
		"one link":        {func(s *Snapshot) { s.Carrier[2] = false }, false},
		"dead gateways":   {func(s *Snapshot) { s.Failed[first], s.Failed[second] = true, true }, false},
		"no gateway":      {func(s *Snapshot) { s.Gateways, s.Carrier = nil, nil }, true},
		"no route at all": {func(s *Snapshot) { s.Gateways, s.OnLink, s.Carrier = nil, nil, nil }, false},
	} {
		snapshot = healthySnapshot()
		test.change(&snapshot)
		m.look(t.Context())
		if noCarrier, _ := m.Down(); noCarrier != test.want {
			t.Errorf("%s: no carrier is %t", name, noCarrier)
		}
	}
}
