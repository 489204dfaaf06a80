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
	near    = Location{Addr: netip.MustParseAddr("192.0.2.10"), OnLink: true}
	distant = Location{Addr: netip.MustParseAddr("198.51.100.10")}
)

// suspecting returns a guard whose only target has failed three times in a row, since its
// own network is down or not.
func suspecting(at Location, noCarrier, noGateway bool) *Guard[string] {
	g := New[string](DefaultOptions())
	g.SetOwnNetwork(noCarrier, noGateway, 9*second)
	for i := range 3 {
		startedAt := time.Duration(10+i) * second
		g.Failed("target", Run{Location: at, Class: Silence, StartedAt: startedAt, Threshold: 3, Patience: second}, startedAt+second/2)
	}
	return g
}

func TestGuard_OwnNetworkIsDown_HoldsWhatIsReachedByIt(t *testing.T) {
	for _, item := range []struct {
		at                   Location
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
		got := suspecting(item.at, item.noCarrier, item.noGateway).Evaluate("target", 13*second)
		if (got == Hold) != item.want {
			t.Errorf("%+v: decision %d", item, got)
		}
	}
}

func TestGuard_OwnNetworkIsDownForTooLong_HoldsNoMore(t *testing.T) {
	g := suspecting(distant, true, true)
	if got := g.Evaluate("target", 9*second+DefaultOptions().MaxHold); got == Hold {
		t.Error("held for longer than MaxHold")
	}
}

// The gateway may be silent for a cause of its own.
func TestGuard_GatewaySeemsLostAndSomethingBeyondIsReached_HoldsNoMore(t *testing.T) {
	g := suspecting(distant, false, true)
	g.Passed("on link", near, 12*second, 12*second+1)
	if got := g.Evaluate("target", 13*second); got != Hold {
		t.Errorf("decision %d after a target on the link was reached, want Hold", got)
	}
	g.Passed("asked before", Location{Addr: netip.MustParseAddr("203.0.113.9")}, 8*second, 8*second+1)
	if got := g.Evaluate("target", 13*second); got != Hold {
		t.Errorf("decision %d after a target was reached before, want Hold", got)
	}
	g.Passed("beyond", Location{Addr: netip.MustParseAddr("203.0.113.10")}, 12*second, 12*second+1)
	for range 2 {
		g.SetOwnNetwork(false, true, 13*second)
		if got := g.Evaluate("target", 13*second); got == Hold {
			t.Error("held although a target beyond the link was reached")
		}
	}
	g.SetOwnNetwork(false, false, 14*second)
	g.SetOwnNetwork(false, true, 15*second)
	if got := g.Evaluate("target", 16*second); got != Hold {
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
				g.Failed(i, Run{Location: at(i * 100), Class: Refusal, StartedAt: now, Threshold: 3, Patience: second}, now)
				if g.WantsWitnesses(i, now) > 0 {
					g.WitnessesAsked(nil, now, now)
				}
			}
		}
		if got := g.Evaluate(0, now); got != want {
			t.Errorf("%d endpoints fail alike: decision %d, want %d", endpoints, got, want)
		}
		if got := g.Evaluate(0, now+options.MaxHold); got != Dead {
			t.Errorf("%d endpoints fail alike for the longest time: decision %d, want Dead", endpoints, got)
		}
	}
}
