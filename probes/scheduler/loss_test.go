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
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
)

// lossyRemote is an HTTP endpoint behind a network that loses packets at random, both ways.
type lossyRemote struct {
	at      probes.Location
	latency time.Duration
	// loss is the share of the packets that get lost.
	loss func() float64

	mu     sync.Mutex
	random *rand.Rand
	dead   bool
}

// lossShare is a share of packets that changes while probes are made.
type lossShare struct{ bits atomic.Uint64 }

func (l *lossShare) get() float64      { return math.Float64frombits(l.bits.Load()) }
func (l *lossShare) set(share float64) { l.bits.Store(math.Float64bits(share)) }

func (r *lossyRemote) Location() probes.Location { return r.at }

func (r *lossyRemote) Scheme() string { return "http" }

// exchange returns how long it takes until a packet and its answer both arrive, which are
// sent again at these times; none if they never do.
func (r *lossyRemote) exchange(attempts ...time.Duration) (time.Duration, bool) {
	for _, after := range attempts {
		if r.random.Float64() < r.loss() {
			continue // the packet is lost
		}
		if r.random.Float64() >= r.loss() {
			return after + r.latency, true
		}
	}
	return 0, false
}

func (r *lossyRemote) Probe(ctx context.Context) probes.Result {
	r.mu.Lock()
	connectTime, ok := r.exchange(0, time.Second, 3*time.Second)
	ms := time.Millisecond
	answered, answers := r.exchange(0, 200*ms, 600*ms, 1400*ms, 3000*ms)
	dead := r.dead
	r.mu.Unlock()
	if dead || !ok || !answers {
		return hang(ctx)
	}
	select {
	case <-time.After(connectTime + answered):
		return pass
	case <-ctx.Done():
		return probes.FailureResult(probes.ReasonTimeout)
	}
}

func (r *lossyRemote) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

// lossyWorld is endpoints in some networks.
type lossyWorld struct {
	scheduler *Scheduler
	endpoints []*lossyRemote
	timing    Timing
}

func newLossyWorld(t *testing.T, random *rand.Rand, endpoints, networks int, timing Timing, loss func() float64) *lossyWorld {
	w := &lossyWorld{scheduler: started(t, Options{}), timing: timing}
	targets := many(endpoints, func(i int) probes.Prober {
		one := &lossyRemote{
			at:      probes.Location{Addr: netip.AddrFrom4([4]byte{10, 2, byte(i % networks), byte(i / networks)})},
			latency: time.Duration(1+random.IntN(50)) * time.Millisecond,
			loss:    loss, random: rand.New(rand.NewPCG(random.Uint64(), 0)),
		}
		w.endpoints = append(w.endpoints, one)
		return one
	})
	for i := range targets {
		for at := range targets[i].Identity {
			targets[i].Identity[at] = byte(random.IntN(256))
		}
		targets[i].Timing = timing
	}
	w.scheduler.Set(owner, targets)
	return w
}

// multiplier is the value of the metric.
func (w *lossyWorld) multiplier() int {
	return int(testutil.ToFloat64(w.scheduler.options.Metrics.multiplier))
}

// out lists the endpoints that are not in use.
func (w *lossyWorld) out() (list []int) {
	synctest.Wait()
	known := w.scheduler.Health(owner)
	for i := range w.endpoints {
		if known[fmt.Sprintf("%04d", i)].State != health.StateHealthy {
			list = append(list, i)
		}
	}
	return list
}

// Three packets in ten get lost, each way, for minutes, and nobody is taken out. At five in
// ten it is reported how many are.
func TestGuard_RandomLoss_TakesNobodyOut(t *testing.T) {
	for _, timing := range []Timing{
		{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second},
		{Interval: 5 * time.Second, FastInterval: time.Second, Timeout: time.Second},
		{Interval: 30 * time.Second, FastInterval: time.Second, Timeout: 5 * time.Second},
		{Interval: 2 * time.Second, FastInterval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond},
	} {
		for _, size := range []struct{ endpoints, networks int }{{30, 3}, {300, 10}} {
			for _, share := range []float64{0.1, 0.3, 0.5} {
				if effort.Bounded && (size.endpoints > 30 || share != 0.3) {
					continue
				}
				t.Run(fmt.Sprintf("%v of %d every %v within %v", share, size.endpoints, timing.Interval, timing.Timeout), func(t *testing.T) {
					falls, highest := 0, 0
					for seed := range uint64(1) {
						synctest.Test(t, func(t *testing.T) {
							var loss lossShare
							w := newLossyWorld(t, rand.New(rand.NewPCG(seed, 3)), size.endpoints, size.networks, timing, loss.get)
							time.Sleep(3 * timing.Interval)
							loss.set(share)
							out := map[int]bool{}
							for second := range 180 {
								time.Sleep(time.Second)
								highest = max(highest, w.multiplier())
								for _, item := range w.out() {
									if !out[item] {
										out[item] = true
										falls++
										if share <= 0.3 {
											t.Logf("endpoint %d of seed %d after %d s, multiplier %d", item, seed, second, w.multiplier())
										}
									}
								}
							}
						})
					}
					t.Logf("%d of %d taken out, the multiplier was up to %d", falls, size.endpoints, highest)
					// Before the multiplier has risen, three losses in a row look like a death: about
					// one endpoint in 4,000 goes when a heavy loss begins.
					if falls > 1 && share <= 0.3 {
						t.Errorf("%d endpoints that are well were taken out", falls)
					}
				})
			}
		}
	}
}

// What dies meanwhile goes within its bound, times the multiplier.
func TestGuard_DeathUnderLoss_IsFoundWithinTheMultipliedBound(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.3} {
		for seed := range uint64(5) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 4))
				var loss lossShare
				w := newLossyWorld(t, random, 60, 5, timing, loss.get)
				time.Sleep(time.Minute)
				loss.set(share)
				time.Sleep(time.Minute)
				dead := random.IntN(60)
				w.endpoints[dead].die()
				startedAt := time.Now()
				bound := timing.Interval + 3*timing.Timeout
				for len(w.out()) == 0 {
					if time.Since(startedAt) > guard.MaxMultiplier*bound {
						t.Fatalf("not found within %v", time.Since(startedAt))
					}
					time.Sleep(50 * time.Millisecond)
				}
				t.Logf("loss of %v: found after %v, with a bound of %v", share, time.Since(startedAt), bound)
				if out := w.out(); len(out) != 1 || out[0] != dead {
					t.Errorf("out are %v, want %d", out, dead)
				}
			})
		}
	}
}
