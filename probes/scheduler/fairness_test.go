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

package scheduler

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
)

var calm = Timing{Interval: 2 * time.Second, FastInterval: time.Second, Timeout: time.Second}

// A tenant with ten thousand endpoints at the shortest interval makes nobody else wait,
// whatever his endpoints do. The time is virtual: what is shown is whose turn it is, and
// not how fast this machine is.
func TestGreedyTenantsMakeNobodyWait(t *testing.T) {
	everybody, most, modestCount := 10000, 4096, 200
	if effort.Bounded {
		everybody, most, modestCount = everybody/5, most/5, modestCount/5
	}
	slowly := func(ctx context.Context) probes.Result {
		time.Sleep(450 * time.Millisecond)
		return probes.SuccessResult()
	}
	gateway := probes.Location{Addr: netip.MustParseAddr("192.0.2.1")}
	for _, test := range []struct {
		name string
		// greedy and modest are what the tenants' endpoints do.
		greedy, modest func(context.Context) probes.Result
		// same: all of them are at one address. shared: the greedy tenant has the modest
		// one's targets as well, and has had them first.
		same, shared bool
	}{
		{name: "black holes", greedy: hang},
		{name: "slow endpoints", greedy: slowly},
		{name: "endpoints that refuse", greedy: func(context.Context) probes.Result { return refused }},
		{name: "black holes at the other tenant's address", greedy: hang, same: true},
		{name: "black holes, and the other tenant's too", greedy: hang, modest: hang},
		{name: "the other tenant's own targets among them", greedy: slowly, shared: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := started(t, Options{MaxInFlight: most, Guard: guard.Options{Share: 1, Networks: 1 << 20, Release: 1, MaxHold: time.Minute}})
				prober := func(answer func(context.Context) probes.Result, i int) probes.Prober {
					at := probes.Location{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}
					if test.same {
						at = gateway
					}
					return elsewhere{&scripted{answer: answer}, at}
				}
				modest, late := modestTargets(modestCount, func(i int, answer func(context.Context) probes.Result) probes.Prober { return prober(answer, 1<<15+i) }, test.modest)
				greedy := many(everybody, func(i int) probes.Prober { return prober(test.greedy, i) })
				for i := range greedy {
					greedy[i].Timing = Timing{Interval: 500 * time.Millisecond, FastInterval: 100 * time.Millisecond, Timeout: 500 * time.Millisecond}
				}
				if test.shared {
					s.Set(probes.Owner{Namespace: "greedy", Name: "copies"}, modest)
				}
				s.Set(probes.Owner{Namespace: "greedy", Name: "all"}, greedy)
				time.Sleep(2 * time.Second) // until it has the first verdicts
				s.Set(probes.Owner{Namespace: "modest", Name: "api"}, modest)
				time.Sleep(5 * calm.Interval)
				synctest.Wait()
				all := late()
				if want := modestCount * 3; len(all) < want {
					t.Fatalf("%d probes of the modest tenant, want at least %d", len(all), want)
				}
				slices.Sort(all)
				if p99 := all[len(all)*99/100]; p99 > 200*time.Millisecond {
					t.Errorf("the modest tenant's lateness: p50 %v, p99 %v, most %v", all[len(all)/2], p99, all[len(all)-1])
				}
			})
		})
	}
}

// modestTargets are targets that write down how late they are probed: the time since the
// point of the grid that each is due at. The first probe is due at once, whenever that is.
func modestTargets(n int, proberFor func(int, func(context.Context) probes.Result) probes.Prober, answer func(context.Context) probes.Result) ([]Target, func() []time.Duration) {
	if answer == nil {
		answer = func(context.Context) probes.Result { return probes.SuccessResult() }
	}
	var mu sync.Mutex
	var late []time.Duration
	list := make([]Target, n)
	for i := range list {
		identity := Identity{15: 9}
		binary.BigEndian.PutUint64(identity[:], uint64(i)*uint64(calm.Interval)/uint64(n))
		before := 0
		list[i] = Target{Key: fmt.Sprint(i), Identity: identity, Timing: calm, Thresholds: health.Thresholds{Failure: 1, Success: 1}}
		list[i].Prober = proberFor(i, func(ctx context.Context) probes.Result {
			mu.Lock()
			if before++; before > 2 { // and so may be the second, of one that fails
				late = append(late, time.Duration((uint64(time.Now().UnixNano())-binary.BigEndian.Uint64(identity[:]))%uint64(calm.Interval)))
			}
			mu.Unlock()
			return answer(ctx)
		})
	}
	return list, func() []time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(late)
	}
}
