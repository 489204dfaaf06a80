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
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
)

// world is some sites with some endpoints each, every site an owner and a network of its
// own.
type world struct {
	scheduler *Scheduler
	sites     [][]*scripted
}

func newWorld(t *testing.T, sites, endpoints int, options Options) *world {
	w := &world{scheduler: started(t, options)}
	for site := range sites {
		var probers []*scripted
		targets := many(endpoints, func(i int) probes.Prober {
			prober := answering(pass)
			probers = append(probers, prober)
			return elsewhere{prober, probes.Location{Addr: netip.AddrFrom4([4]byte{10, 0, byte(site), byte(i)})}}
		})
		for i := range targets {
			targets[i].Identity[3] = byte(site)
			targets[i].Identity[4] = byte(i * 37)
		}
		w.sites = append(w.sites, probers)
		w.scheduler.Set(siteOwner(site), targets)
	}
	time.Sleep(2 * timing.Interval)
	synctest.Wait()
	return w
}

func siteOwner(site int) probes.Owner {
	return probes.Owner{Namespace: "sites", Name: fmt.Sprint(site)}
}

func (w *world) answer(site int, answer func(context.Context) probes.Result) {
	for _, prober := range w.sites[site] {
		prober.set(answer)
	}
}

// down counts the endpoints of a site that are taken out.
func (w *world) down(site int) int {
	synctest.Wait()
	n := 0
	for _, current := range w.scheduler.Health(siteOwner(site)) {
		if current.State == health.StateUnhealthy {
			n++
		}
	}
	return n
}

// probeNow makes the first endpoint of a site due.
func (w *world) probeNow(site int) {
	w.scheduler.mu.Lock()
	defer w.scheduler.mu.Unlock()
	w.scheduler.owners[siteOwner(site)].entries[0].probe.dueAt(w.scheduler.now())
	w.scheduler.nudge()
}

// isolated is the value of the metric.
func (w *world) isolated() bool {
	return testutil.ToFloat64(w.scheduler.options.Metrics.isolation) == 1
}

func TestOurOwnLossTakesNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, 10, Options{})
		for site := range w.sites {
			w.answer(site, hang)
		}
		// Some of it shows as a lack of routes, which clears no suspect.
		var calls atomic.Int32
		w.answer(3, func(ctx context.Context) probes.Result {
			if calls.Add(1)%2 == 0 {
				return noRoute
			}
			return hang(ctx)
		})
		for range 60 {
			time.Sleep(5 * time.Second)
			for site := range w.sites {
				if n := w.down(site); n != 0 {
					t.Fatalf("%d endpoints of site %d taken out", n, site)
				}
			}
		}
		for site := range w.sites {
			if !w.isolated() || !w.scheduler.Held(siteOwner(site)) {
				t.Errorf("isolated %v, site %d held %v", w.isolated(), site, w.scheduler.Held(siteOwner(site)))
			}
		}

		// One site stays dead when the network is back, and is found to be.
		for site := 1; site < len(w.sites); site++ {
			w.answer(site, func(context.Context) probes.Result { return pass })
		}
		time.Sleep(timing.Interval)
		if w.isolated() || w.scheduler.Held(siteOwner(0)) {
			t.Error("still isolated after the network came back")
		}
		if n := w.down(0); n != 10 {
			t.Errorf("%d of 10 endpoints of the dead site taken out", n)
		}
	})
}

// A single failure that others have to confirm is not left for the next probe.
func TestSingleFailures_ShortlyAfterOneAnother_AreConfirmedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6, 10, Options{})
		impatient := thresholds
		impatient.Failure = 1
		for site := range 3 {
			targets := many(10, func(i int) probes.Prober {
				return elsewhere{w.sites[site][i], probes.Location{Addr: netip.AddrFrom4([4]byte{10, 0, byte(site), byte(i)})}}
			})
			for i := range targets {
				targets[i].Thresholds = impatient
				targets[i].Identity[3], targets[i].Identity[4] = byte(site), byte(i*37)
			}
			w.scheduler.Set(siteOwner(site), targets)
		}
		time.Sleep(timing.Interval)
		w.sites[3][0].set(func(context.Context) probes.Result { return probes.FailureResult(probes.ReasonStatus) })
		w.probeNow(3) // a suspect all the time
		for site := range 3 {
			w.sites[site][0].set(func(context.Context) probes.Result { return probes.FailureResult(probes.ReasonStatus) })
			w.probeNow(site)
			time.Sleep(30 * time.Millisecond)
			if n := w.down(site); n != 1 {
				t.Errorf("%d endpoints of site %d taken out, want the one that fails", n, site)
			}
		}
	})
}

// Nor does it end connections of endpoints that are draining.
func TestOurOwnLossCutsNoDrainShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, 10, Options{})
		for site := range w.sites {
			w.answer(site, func(context.Context) probes.Result { return drains })
		}
		time.Sleep(timing.Interval + 4*timing.FastInterval)
		for site := range w.sites {
			w.answer(site, hang)
		}
		time.Sleep(20 * timing.Interval)
		synctest.Wait()
		for site := range w.sites {
			for key, current := range w.scheduler.Health(siteOwner(site)) {
				if current.State != health.StateDraining {
					t.Fatalf("%s of site %d is in state %d", key, site, current.State)
				}
			}
		}
		if !w.isolated() {
			t.Error("did not attribute it to our own network")
		}
	})
}

func TestTheLossOfASiteIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, 10, Options{})
		w.answer(1, hang)
		time.Sleep(timing.Interval + 4*timing.Timeout)
		if down := [3]int{w.down(0), w.down(1), w.down(2)}; down != [3]int{0, 10, 0} {
			t.Errorf("taken out %v, want site 1 only", down)
		}
		if w.isolated() {
			t.Error("attributed it to our own network")
		}
	})
}

// Whatever it is that everybody has in common: it is us.
func TestGuard_EverybodyFailsAlike_TakesNothingOut(t *testing.T) {
	for _, result := range []probes.Result{
		refused, probes.FailureResult(probes.ReasonConnectionClosed), probes.FailureResult(probes.ReasonCertificate), probes.FailureResult(probes.ReasonTLSHandshake),
		probes.FailureResult(probes.ReasonDNSServerFailure), {Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: 502}, probes.FailureResult(probes.ReasonContent), probes.FailureResult(probes.ReasonProtocol),
	} {
		t.Run(result.Reason.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endpoints := effort.Rounds(30, 3)
				w := newWorld(t, 10, endpoints, Options{})
				for site := range w.sites {
					w.answer(site, func(context.Context) probes.Result { return result })
				}
				for range 9 * 60 / 5 {
					time.Sleep(5 * time.Second)
					w.wantNobodyOut(t)
				}
				if !w.isolated() {
					t.Error("did not attribute it to our own network")
				}
				time.Sleep(time.Minute + 3*timing.Interval)
				for site := range w.sites {
					if n := w.down(site); n != endpoints {
						t.Errorf("%d of %d endpoints of site %d taken out after the longest freeze", n, endpoints, site)
					}
				}
				if w.isolated() {
					t.Error("still isolated")
				}
			})
		})
	}
}

// wantNobodyOut tests that all endpoints are in use.
func (w *world) wantNobodyOut(t *testing.T) {
	t.Helper()
	for site := range w.sites {
		if n := w.down(site); n != 0 {
			t.Fatalf("%d endpoints of site %d taken out", n, site)
		}
	}
}

func TestFewTargetsAreJudgedByWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Three sites die at a time when hardly anything else is probed: the healthy ones
		// have to be asked.
		w := newWorld(t, 8, 1, Options{})
		for site := range 3 {
			w.answer(site, hang)
		}
		time.Sleep(timing.Interval + 6*timing.Timeout)
		for site := range w.sites {
			want := 0
			if site < 3 {
				want = 1
			}
			if n := w.down(site); n != want {
				t.Errorf("site %d: %d taken out, want %d", site, n, want)
			}
		}
		if w.isolated() {
			t.Error("attributed it to our own network")
		}
	})
}

func TestCanaries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canary := answering(pass)
		of := target(canary)
		of.Key, of.Identity, of.Thresholds.Failure, of.Timing.Interval = "canary", Identity{99}, 1, time.Second
		w := newWorld(t, 1, 4, Options{Canaries: []Target{of}, Notify: func(owner probes.Owner) {
			if owner == canaries {
				t.Error("an owner was notified of the canaries as if they were its own")
			}
		}})
		canary.set(hang)
		time.Sleep(2*time.Second + timing.Timeout)
		w.answer(0, hang)
		time.Sleep(timing.Interval + 4*timing.Timeout)
		if n := w.down(0); n != 0 || !w.isolated() {
			t.Errorf("%d taken out while the canary was down", n)
		}
		canary.set(func(context.Context) probes.Result { return pass })
		time.Sleep(timing.Interval + 4*timing.Timeout)
		if n := w.down(0); n != 4 || w.isolated() {
			t.Errorf("%d of 4 taken out while the canary is well", n)
		}
	})
}

// A replica that waits for its turn has canaries already. They are not due before it comes.
func TestCanariesAreNotLateAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Canaries: []Target{target(answering(pass))}, Notify: func(probes.Owner) {}})
		time.Sleep(5 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Start(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := testutil.ToFloat64(s.options.Metrics.skipped); n != 0 {
			t.Errorf("%v intervals are said to have been skipped", n)
		}
	})
}

// Nobody waits for a canary's turn: it is asked at once.
func TestACanaryDelaysNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canary := target(answering(pass))
		canary.Key, canary.Identity = "canary", Identity{99}
		s := started(t, Options{Canaries: []Target{canary}})
		prober := answering(pass)
		hasty := target(prober)
		hasty.Thresholds.Failure = 1
		s.Set(owner, []Target{hasty})
		time.Sleep(time.Minute)
		prober.set(hang)
		time.Sleep(timing.Interval + timing.Timeout + 2*tick) // finally the canary is probed
		if state := s.stateOf("a"); state != health.StateUnhealthy {
			t.Errorf("state %v after the bound", state)
		}
	})
}

// Verdicts on canaries are trusted whatever happens to the network. A target that is a canary
// as well is probed and judged separately.
func TestACanaryIsNobodysTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{Canaries: []Target{target(answering(pass))}})
		synctest.Wait()
		s.Set(owner, []Target{target(answering(refused))})
		time.Sleep(timing.Interval)
		if state := s.stateOf("a"); state != health.StateUnhealthy {
			t.Errorf("state %v is the canary's", state)
		}
	})
}
