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
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// smallWorld is a few endpoints behind a network that is cut at times.
type smallWorld struct {
	*network
	scheduler *Scheduler
	owners    []probes.Owner
	endpoints []*remote
}

// newSmallWorld makes endpoints at these addresses, each of an owner of its own, and a canary
// elsewhere if that is wanted.
func newSmallWorld(t *testing.T, addresses []string, withCanary bool) *smallWorld {
	w := &smallWorld{network: &network{origin: time.Now()}}
	options := Options{}
	if withCanary {
		canary := w.remote("203.0.113.1")
		options.Canaries = []Target{{
			Key: "canary", Identity: Identity{99}, Prober: canary, Thresholds: health.Thresholds{Failure: 1, Success: 1},
			Timing: Timing{Interval: time.Second, FastInterval: time.Second, Timeout: time.Second},
		}}
	}
	w.scheduler = started(t, options)
	for i, address := range addresses {
		one := w.remote(address)
		w.endpoints = append(w.endpoints, one)
		newTarget := target(one)
		newTarget.Identity = Identity{byte(i * 71), byte(i * 29), byte(i), 5}
		w.owners = append(w.owners, probes.Owner{Namespace: "small", Name: fmt.Sprint(i)})
		w.scheduler.Set(w.owners[i], []Target{newTarget})
	}
	time.Sleep(3 * timing.Interval)
	synctest.Wait()
	return w
}

func (w *smallWorld) remote(address string) *remote {
	return &remote{network: w.network, at: probes.Location{Addr: netip.MustParseAddr(address)}, latency: 5 * time.Millisecond}
}

// out lists the endpoints that are not in use.
func (w *smallWorld) out() (list []int) {
	synctest.Wait()
	for i, owner := range w.owners {
		if w.scheduler.Health(owner)["a"].State != health.StateHealthy {
			list = append(list, i)
		}
	}
	return list
}

// wantOut tests that exactly these are out after the bound for silent ones.
func (w *smallWorld) wantOut(t *testing.T, want ...int) {
	t.Helper()
	time.Sleep(timing.Interval + time.Duration(thresholds.Failure)*timing.Timeout + 250*time.Millisecond)
	if got := w.out(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("out are %v after the bound, want %v", got, want)
	}
}

func addressesIn(networks, item int) (list []string) {
	for i := range networks {
		for k := range item {
			list = append(list, fmt.Sprintf("192.0.%d.%d", i, k+1))
		}
	}
	return list
}

func TestGuard_HostWithThreeOwnersDies_IsOutWithinTheBound(t *testing.T) {
	for _, others := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			w := newSmallWorld(t, append([]string{"198.51.100.7", "198.51.100.7", "198.51.100.7"}, addressesIn(others, 1)...), false)
			for i := range 3 {
				w.endpoints[i].die()
			}
			w.wantOut(t, 0, 1, 2)
		})
	}
}

func TestGuard_SiteWithNearlyEverythingDies_IsOutWithinTheBound(t *testing.T) {
	for name, test := range map[string]struct {
		addresses []string
		canary    bool
	}{
		"one network":                {append(addressesIn(1, 19), "198.51.100.1", "203.0.113.9"), false},
		"one network, canary":        {append(addressesIn(1, 19), "198.51.100.1", "203.0.113.9"), true},
		"four networks and a canary": {append(addressesIn(4, 5)[:19], "198.51.100.1", "203.0.113.9"), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSmallWorld(t, test.addresses, test.canary)
				var dead []int
				for i := range 19 {
					w.endpoints[i].die()
					dead = append(dead, i)
				}
				w.wantOut(t, dead...)
			})
		})
	}
}

// In an installation that is too small for statistics a canary keeps everybody in use. With
// none, nobody is out for longer than the cut and one recovery.
func TestGuard_SmallInstallation_OutlivesCuts(t *testing.T) {
	for _, endpoints := range []int{1, 2, 3} {
		for _, canary := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d endpoints, canary %v", endpoints, canary), func(t *testing.T) {
				for _, length := range []time.Duration{1, 2, 5, 10, 30} {
					length *= time.Second
					for phase := range 20 {
						synctest.Test(t, func(t *testing.T) {
							w := newSmallWorld(t, addressesIn(1, endpoints), canary)
							time.Sleep(timing.Interval * time.Duration(phase) / 20)
							w.cut(time.Since(w.origin), length)
							// A recovery: probes that are lost still, and the passes that it takes.
							recovery := timing.Timeout + time.Duration(thresholds.Success)*max(timing.FastInterval, timing.Timeout)
							for startedAt := time.Now(); time.Since(startedAt) < length+3*timing.Interval; {
								time.Sleep(100 * time.Millisecond)
								late := time.Since(startedAt) > length+timing.Interval+recovery
								if out := w.out(); len(out) > 0 && (canary || late) {
									t.Fatalf("cut of %v at phase %d: %v out after %v", length, phase, out, time.Since(startedAt))
								}
							}
						})
					}
				}
				synctest.Test(t, func(t *testing.T) {
					w := newSmallWorld(t, addressesIn(1, endpoints), canary)
					w.endpoints[0].die()
					w.wantOut(t, 0)
				})
			})
		}
	}
}

// linkDown is a network of ours that is known to be down.
type linkDown struct{}

func (linkDown) Down() (noCarrier, noGateway bool) { return true, true }

func (linkDown) OnLink(netip.Addr) bool { return false }

func TestGuard_OwnLinkIsDown_HoldsForTheLongestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSmallWorld(t, addressesIn(1, 1), false)
		w.scheduler.options.Network = linkDown{}
		w.endpoints[0].die()
		time.Sleep(9 * time.Minute)
		if out := w.out(); len(out) > 0 || !w.scheduler.Held(w.owners[0]) {
			t.Errorf("%v out while our link is down, held %v", out, w.scheduler.Held(w.owners[0]))
		}
		time.Sleep(2 * time.Minute)
		if out := w.out(); len(out) != 1 {
			t.Errorf("%v out after the longest time", out)
		}
	})
}
