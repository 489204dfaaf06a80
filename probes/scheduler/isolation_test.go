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
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// newIsolatedWorld is a world all of whose sites have just fallen silent.
func newIsolatedWorld(t *testing.T, sites, endpoints int) *world {
	w := newWorld(t, sites, endpoints, Options{})
	for site := range w.sites {
		w.answer(site, hang)
	}
	time.Sleep(3 * timing.Interval)
	w.wantIsolated(t)
	return w
}

func (w *world) wantIsolated(t *testing.T) {
	t.Helper()
	for site := range w.sites {
		if n := w.down(site); n != 0 {
			t.Fatalf("%d endpoints of site %d taken out", n, site)
		}
	}
	if !w.isolated() {
		t.Fatal("not isolated")
	}
}

// setNear gives the world two targets that are reached all the time, which is no more than
// one in ten.
func (w *world) setNear(generation byte) {
	near := many(2, func(int) probes.Prober { return answering(pass) })
	for i := range near {
		near[i].Identity[6], near[i].Timing.Interval = generation, time.Second
	}
	w.scheduler.Set(probes.Owner{Namespace: "near", Name: "us"}, near)
}

// However often one that is near is probed: it is one of many, and does not show what the
// others could have reached. Some of these take long to fail, so that when the network is
// back there are probes under way that it has lost.
func TestOneThatIsNearSpeaksAgainstNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 10, Options{})
		patient := many(10, func(i int) probes.Prober {
			return elsewhere{w.sites[2][i], probes.Location{Addr: netip.AddrFrom4([4]byte{10, 0, 2, byte(i)})}}
		})
		for i := range patient {
			patient[i].Identity[3], patient[i].Timing.Timeout = 2, 7*time.Second
		}
		w.scheduler.Set(siteOwner(2), patient)
		near := Target{Key: "near", Identity: Identity{6: 9}, Prober: answering(pass), Thresholds: thresholds}
		near.Timing = Timing{Interval: 500 * time.Millisecond, FastInterval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond}
		w.scheduler.Set(owner, []Target{near})
		time.Sleep(timing.Interval)
		for site := range w.sites {
			w.answer(site, hang)
		}
		time.Sleep(timing.Interval)
		w.wantNobodyOut(t)
		for range 50 {
			time.Sleep(timing.Interval)
			w.wantIsolated(t)
		}
		for site := range w.sites {
			w.answer(site, func(context.Context) probes.Result { return pass })
		}
		for range 200 {
			time.Sleep(100 * time.Millisecond)
			if down := [3]int{w.down(0), w.down(1), w.down(2)}; down != [3]int{} {
				t.Fatalf("taken out %v when the network is back", down)
			}
		}
		if w.isolated() {
			t.Error("still isolated")
		}
	})
}

func TestEditsOfAFewEndNoIsolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newIsolatedWorld(t, 5, 10)
		for generation := range byte(50) {
			w.setNear(generation)
			time.Sleep(timing.Interval)
			w.wantIsolated(t)
		}
	})
}

func TestEditsOfTheSilentEndNoIsolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newIsolatedWorld(t, 10, 10)
		w.setNear(0)
		time.Sleep(3*timing.Interval + 300*time.Millisecond)
		for site := range 6 {
			edited := many(10, func(i int) probes.Prober {
				return elsewhere{&scripted{answer: hang}, probes.Location{Addr: netip.AddrFrom4([4]byte{10, 0, byte(site), byte(i)})}}
			})
			for i := range edited {
				edited[i].Identity[3], edited[i].Identity[4], edited[i].Identity[6] = byte(site), byte(i), 1
			}
			w.scheduler.Set(siteOwner(site), edited)
		}
		for range 10 {
			time.Sleep(timing.Interval)
			w.wantIsolated(t)
		}
	})
}

func TestIsolationEndsWithTheTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newIsolatedWorld(t, 4, 10)
		for site := range w.sites {
			w.scheduler.Remove(siteOwner(site))
		}
		if w.isolated() {
			t.Error("isolated from nobody")
		}
	})
}

// When some are reached again and others are not, the others are waited for; but not for
// hours because somebody has a target that is probed so slowly.
func TestTheSlowHoldUpNoVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := Target{Key: "slow", Identity: Identity{6: 9}, Prober: answering(probes.FailureResult(probes.ReasonTimeout)), Thresholds: thresholds, Initial: health.New(health.StateHealthy)}
		slow.Timing = Timing{Interval: time.Hour, FastInterval: time.Hour, Timeout: time.Second}
		w := newWorld(t, 9, 1, Options{})
		w.scheduler.Set(owner, []Target{slow})
		time.Sleep(time.Hour)
		for site := range w.sites {
			w.answer(site, hang)
		}
		time.Sleep(3 * timing.Interval)
		w.wantIsolated(t)
		for site := range 3 {
			w.answer(site, func(context.Context) probes.Result { return pass })
		}
		time.Sleep(2 * time.Minute)
		for site := 3; site < len(w.sites); site++ {
			if w.down(site) == 0 {
				t.Errorf("site %d has not been found dead two minutes after others were reached again", site)
			}
		}
	})
}
