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

// at is a place in a network of its own for each number divided by 100.
func at(n int) Location {
	return Location{Addr: netip.AddrFrom4([4]byte{10, 0, byte(n / 100), byte(n % 100)})}
}

// fails has targets fail three times by the second, as refusals if that is their class, with
// witnesses asked at the first failure.
func fails(g *Guard[int], places map[int]Location, class Class) (now time.Duration) {
	for i := range 3 {
		now = time.Duration(10+i) * time.Second
		for k, location := range places {
			g.Failed(k, Run{Location: location, Class: class, StartedAt: now, Threshold: 3}, now)
			if g.WantsWitnesses(k, now) > 0 {
				g.WitnessesAsked(nil, now+time.Second, now)
			}
		}
	}
	return now
}

func TestJudge_ByShare(t *testing.T) {
	for name, test := range map[string]struct {
		// failing and well are how many there are, in so many networks.
		failing, networks, well int
		class                   Class
		want                    Decision
	}{
		"one of two":                         {1, 1, 1, Silence, Dead},
		"the only one":                       {1, 1, 0, Silence, Dead},
		"18 of 20 in three networks":         {18, 3, 2, Refusal, Hold},
		"17 of 20 in three networks":         {17, 3, 3, Refusal, Dead},
		"18 of 20 in two networks":           {18, 2, 2, Refusal, Dead},
		"all in three networks, silent":      {9, 3, 0, Silence, Hold},
		"12 of 15 in three networks, silent": {12, 3, 3, Silence, Dead},
		"all in three networks, content":     {9, 3, 0, Content, Hold},
		"all in three networks, own words":   {9, 3, 0, Answered, Dead},
	} {
		t.Run(name, func(t *testing.T) {
			g := New[int](DefaultOptions())
			places := map[int]Location{}
			for i := range test.failing {
				places[i] = at(i%test.networks*100 + i/test.networks)
			}
			now := fails(g, places, test.class)
			for i := range test.well {
				g.Passed(1000+i, at(5000+i), now, now)
			}
			if got := g.Evaluate(0, now); got != test.want {
				t.Errorf("decision %v, want %v", got, test.want)
			}
			if frozen := g.Frozen(now); frozen != (test.want == Hold) {
				t.Errorf("frozen %v", frozen)
			}
			if got := g.Evaluate(0, now+DefaultOptions().MaxHold); got != Dead {
				t.Errorf("decision %v after the longest time", got)
			}
		})
	}
}

// A loss leads some of those back that fall silent, and a death none of them.
func TestJudge_ManyFallSilentAndOneReturns_TakesNobodyOutYet(t *testing.T) {
	g := New[int](DefaultOptions())
	places := map[int]Location{}
	for i := range 12 {
		places[i] = at(i%3*100 + i/3)
	}
	now := fails(g, places, Silence)
	g.Passed(11, places[11], now, now)
	for i := range 3 {
		g.Passed(1000+i, at(5000+i), now, now)
	}
	if got := g.Evaluate(0, now); got != Doubt {
		t.Errorf("decision %v, want %v", got, Doubt)
	}
}

func TestJudge_OneAddressWithManyTargets_IsOneDomain(t *testing.T) {
	g := New[int](DefaultOptions())
	places := map[int]Location{}
	for i := range 300 { // three hosts, in three networks
		places[i] = at(i % 3 * 100)
	}
	now := fails(g, places, Refusal)
	g.Passed(1000, at(5000), now, now)
	if got := g.Evaluate(0, now); got != Dead {
		t.Errorf("decision %v though one of four hosts is well", got)
	}
}

func TestJudge_ByCanaries(t *testing.T) {
	near := Location{Addr: netip.MustParseAddr("10.9.9.9"), OnLink: true}
	for name, test := range map[string]struct {
		canary  Location
		passed  bool
		suspect Location
		want    Decision
	}{
		"a remote one passes":                      {at(9000), true, at(1), Dead},
		"a remote one fails":                       {at(9000), false, at(1), Hold},
		"one on our link fails":                    {near, false, at(1), Hold},
		"one on our link passes, for its neighbor": {near, true, Location{Addr: netip.MustParseAddr("10.9.9.1"), OnLink: true}, Dead},
		"one on our link passes, nine are away":    {near, true, at(1), Hold},
	} {
		t.Run(name, func(t *testing.T) {
			g := New[int](DefaultOptions())
			places := map[int]Location{0: test.suspect}
			for i := 1; i < 9; i++ {
				places[i] = at(i * 100)
			}
			now := fails(g, places, Refusal)
			for range canaryStreak {
				g.Canary(-1, test.canary, test.passed, now, now)
			}
			if got := g.Evaluate(0, now); got != test.want {
				t.Errorf("decision %v, want %v", got, test.want)
			}
		})
	}
}

func TestMultiplier(t *testing.T) {
	for name, test := range map[string]struct {
		// lostOf is after how many probes one is lost, in so many networks, and repeated.
		lostOf, networks int
		least, most      int
	}{
		"none":                  {1 << 30, 5, 1, 1},
		"a tenth":               {10, 5, 2, 3},
		"a quarter":             {3, 5, 5, 5},
		"half":                  {1, 5, 9, MaxMultiplier},
		"a quarter of one site": {3, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := New[int](DefaultOptions())
			now, highest := time.Duration(0), 0
			for i := range 3000 {
				now += 20 * time.Millisecond
				k := i % 100
				if i%test.lostOf == 0 {
					k = i / test.lostOf % test.networks
					g.Failed(k, Run{Location: at(k * 100), Class: Silence, StartedAt: now - time.Second, Threshold: 3}, now)
					g.Passed(k, at(k*100), now, now)
				} else {
					g.Passed(10000+k, at(7000+k), now, now)
				}
				highest = max(highest, g.Multiplier(now))
			}
			if highest < test.least || highest > test.most {
				t.Errorf("multiplier up to %d, want %d to %d", highest, test.least, test.most)
			}
			if repeated := g.Multiplier(now + time.Hour); repeated != 1 {
				t.Errorf("multiplier %d after an hour of peace", repeated)
			}
		})
	}
	g := New[int](DefaultOptions())
	if g.Stalled(3*time.Second, time.Second); g.Multiplier(time.Second) != 4 {
		t.Errorf("multiplier %d after a stall of 3 s in 10", g.Multiplier(time.Second))
	}
}
