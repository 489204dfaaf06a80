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

package guard

import (
	"net/netip"
	"testing"
	"time"
)

const second = time.Second

var (
	near    = Place{Addr: netip.MustParseAddr("192.0.2.10"), OnLink: true}
	distant = Place{Addr: netip.MustParseAddr("198.51.100.10")}
)

// suspecting returns a guard whose only target has failed three times in a row, since its
// own network is down or not.
func suspecting(at Place, noCarrier, noGateway bool) *Guard[string] {
	g := New[string](DefaultOptions())
	g.SetOwnNetwork(noCarrier, noGateway, 9*second)
	for i := range 3 {
		begun := time.Duration(10+i) * second
		g.Failed("target", Run{Place: at, Class: Silence, Begun: begun, Threshold: 3, Patience: second}, begun+second/2)
	}
	return g
}

func TestGuard_OwnNetworkIsDown_HoldsWhatIsReachedByIt(t *testing.T) {
	for _, each := range []struct {
		at                   Place
		noCarrier, noGateway bool
		want                 bool
	}{
		{near, false, false, false},
		{near, false, true, false}, // it needs no gateway
		{near, true, true, true},
		{distant, false, false, false},
		{distant, false, true, true},
		{distant, true, false, true},
	} {
		got := suspecting(each.at, each.noCarrier, each.noGateway).Judge("target", 13*second)
		if (got == Hold) != each.want {
			t.Errorf("%+v: decision %d", each, got)
		}
	}
}

func TestGuard_OwnNetworkIsDownForTooLong_HoldsNoMore(t *testing.T) {
	g := suspecting(distant, true, true)
	if got := g.Judge("target", 9*second+DefaultOptions().MaxHold); got == Hold {
		t.Error("held for longer than MaxHold")
	}
}

// The gateway may be silent for a cause of its own.
func TestGuard_GatewaySeemsLostAndSomethingBeyondIsReached_HoldsNoMore(t *testing.T) {
	g := suspecting(distant, false, true)
	g.Passed("on link", near, 12*second, 12*second+1)
	if got := g.Judge("target", 13*second); got != Hold {
		t.Errorf("decision %d after a target on the link was reached, want Hold", got)
	}
	g.Passed("asked before", Place{Addr: netip.MustParseAddr("203.0.113.9")}, 8*second, 8*second+1)
	if got := g.Judge("target", 13*second); got != Hold {
		t.Errorf("decision %d after a target was reached before, want Hold", got)
	}
	g.Passed("beyond", Place{Addr: netip.MustParseAddr("203.0.113.10")}, 12*second, 12*second+1)
	for range 2 {
		g.SetOwnNetwork(false, true, 13*second)
		if got := g.Judge("target", 13*second); got == Hold {
			t.Error("held although a target beyond the link was reached")
		}
	}
	g.SetOwnNetwork(false, false, 14*second)
	g.SetOwnNetwork(false, true, 15*second)
	if got := g.Judge("target", 16*second); got != Hold {
		t.Errorf("decision %d when the gateway is lost once more, want Hold", got)
	}
}

// Canaries that are never there again must not keep what dies later published for ever, nor
// take away the protection by all others.
func TestGuard_CanariesAreDeadForGood_DecideNoMore(t *testing.T) {
	for endpoints, want := range map[int]Decision{1: Dead, 2: Dead, 9: Hold} {
		options := DefaultOptions()
		g := New[int](options)
		for now := second; now < options.MaxHold+time.Minute; now += second {
			g.Canary(-1, at(9000), false, now, now+second/2)
		}
		now := options.MaxHold + time.Minute
		for range 3 {
			now += second
			for i := range endpoints {
				g.Failed(i, Run{Place: at(i * 100), Class: Refusal, Begun: now, Threshold: 3, Patience: second}, now)
				if g.WantsWitnesses(i, now) > 0 {
					g.Asked(nil, now, now)
				}
			}
		}
		if got := g.Judge(0, now); got != want {
			t.Errorf("%d endpoints fail alike: decision %d, want %d", endpoints, got, want)
		}
		if got := g.Judge(0, now+options.MaxHold); got != Dead {
			t.Errorf("%d endpoints fail alike for the longest time: decision %d, want Dead", endpoints, got)
		}
	}
}
