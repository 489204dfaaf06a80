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
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
)

// network is our own, which is cut at times.
type network struct {
	mu   sync.Mutex
	cuts []cut
	// origin is what times are counted from.
	origin time.Time
}

// cut is when the network is cut.
type cut struct{ from, to time.Duration }

// retransmission is after how long a lost SYN is sent again.
const retransmission = time.Second

func (n *network) cut(at, length time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts = append(n.cuts, cut{at, at + length})
}

// whole reports whether nothing was lost in a time.
func (n *network) whole(from, to time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, cut := range n.cuts {
		if from.Sub(n.origin) <= cut.to && to.Sub(n.origin) >= cut.from {
			return false
		}
	}
	return true
}

// remote is an endpoint behind the network. What is lost on the way to or from it is sent
// again after a second and after three, as TCP does.
type remote struct {
	network *network
	at      probes.Location
	latency time.Duration

	mu sync.Mutex
	// died is when it did; zero if it is alive.
	died time.Time
}

func (r *remote) Probe(ctx context.Context) probes.Result {
	startedAt := time.Now()
	r.mu.Lock()
	died := r.died
	r.mu.Unlock()
	for _, delay := range []time.Duration{0, retransmission, 3 * retransmission} {
		from := startedAt.Add(delay)
		to := from.Add(r.latency)
		if !r.network.whole(from, to) || !died.IsZero() && to.After(died) {
			continue
		}
		select {
		case <-time.After(time.Until(to)):
			return pass
		case <-ctx.Done():
			return probes.FailureResult(probes.ReasonTimeout)
		}
	}
	return hang(ctx)
}

func (r *remote) Location() probes.Location { return r.at }

func (r *remote) Scheme() string { return "tcp" }

func (r *remote) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.died = time.Now()
}

// randomInstallation has owners with random numbers of endpoints, each in a network of its own and with
// random timings.
type randomInstallation struct {
	*network
	scheduler *Scheduler
	owners    []randomOwner
	random    *rand.Rand
}

type randomOwner struct {
	probes.Owner
	timing     Timing
	thresholds health.Thresholds
	endpoints  []*remote
}

// bound is the longest time until a silent endpoint is found dead.
func (p *randomOwner) bound() time.Duration {
	return p.timing.Interval + time.Duration(p.thresholds.Failure)*max(p.timing.FastInterval, p.timing.Timeout)
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

func newRandomInstallation(t *testing.T, random *rand.Rand, minFailures int) *randomInstallation {
	r := &randomInstallation{network: &network{origin: time.Now()}, scheduler: started(t, Options{}), random: random}
	uniform := random.IntN(2) == 0
	var common Timing
	for i := range 3 + random.IntN(6) {
		if i == 0 || !uniform {
			interval := pick(random, time.Second, 2*time.Second, 5*time.Second, 10*time.Second)
			common = Timing{
				Interval:     interval,
				Timeout:      min(pick(random, 300*time.Millisecond, 500*time.Millisecond, time.Second, 2*time.Second, 5*time.Second), interval),
				FastInterval: min(pick(random, 100*time.Millisecond, 250*time.Millisecond, time.Second), interval),
			}
		}
		tenant := randomOwner{
			Owner: probes.Owner{Namespace: "random", Name: fmt.Sprint(i)}, timing: common,
			thresholds: health.Thresholds{Failure: uint8(minFailures + random.IntN(3)), Success: 2},
		}
		targets := many(1+random.IntN(6), func(k int) probes.Prober {
			one := &remote{
				network: r.network, at: probes.Location{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i), byte(k)})},
				latency: time.Duration(1+random.IntN(100)) * time.Millisecond,
			}
			tenant.endpoints = append(tenant.endpoints, one)
			return one
		})
		for k := range targets {
			for at := range targets[k].Identity {
				targets[k].Identity[at] = byte(random.IntN(256))
			}
			targets[k].Timing, targets[k].Thresholds = tenant.timing, tenant.thresholds
		}
		r.owners = append(r.owners, tenant)
		r.scheduler.Set(tenant.Owner, targets)
	}
	time.Sleep(25 * time.Second)
	synctest.Wait()
	return r
}

// changedSince lists the endpoints whose verdict has changed since a time.
func (r *randomInstallation) changedSince(since time.Time) (list []string) {
	synctest.Wait()
	for _, owner := range r.owners {
		for key, current := range r.scheduler.Health(owner.Owner) {
			if current.State != health.StateHealthy || current.Since().After(since) {
				list = append(list, fmt.Sprintf("%s of %s, timing %v, failures %d: %v", key, owner.Name, owner.timing, owner.thresholds.Failure, current.State))
			}
		}
	}
	return list
}

// worlds runs a test with as many seeds.
func worlds(t *testing.T, count int, test func(t *testing.T, random *rand.Rand)) {
	t.Helper()
	if effort.Bounded {
		count /= 10
	}
	for seed := range uint64(count) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 7))) })
		})
		if t.Failed() {
			return
		}
	}
}

// A cut of the operator's network takes out no endpoint, however long it is and whenever in the
// endpoints' intervals it begins.
func TestNoCutTakesAnythingOut(t *testing.T) {
	worlds(t, 300, func(t *testing.T, random *rand.Rand) {
		r := newRandomInstallation(t, random, 2)
		startedAt := time.Now()
		for range 5 {
			length := time.Duration(random.ExpFloat64() * float64(3*time.Second))
			r.cut(time.Since(r.origin)+time.Duration(random.IntN(2000))*time.Millisecond, length)
			time.Sleep(length + 40*time.Second)
			if turned := r.changedSince(startedAt); len(turned) > 0 {
				t.Fatalf("%d owners, cut for %v, taken out: %v", len(r.owners), length, turned)
			}
		}
		if frozen, suspects := r.scheduler.guard.Frozen(r.scheduler.now()), r.scheduler.guard.Suspects(); frozen || suspects != 0 {
			t.Errorf("frozen %v, %d suspects when all is well", frozen, suspects)
		}
	})
}

// Endpoints that die, whole sites or single ones, are found dead within their bound, or two probes
// later where too few others are probed to decide at once.
func TestDeathsAreFoundThoughManyDie(t *testing.T) {
	worlds(t, 300, func(t *testing.T, random *rand.Rand) {
		r := newRandomInstallation(t, random, 1)
		dying := r.killSome()
		r.expectOutInTime(t, dying, time.Now(), 0)
	})
}

// Endpoints that die while the operator's network is cut are found dead once it is back.
func TestDeathsDuringACutAreFound(t *testing.T) {
	worlds(t, 300, func(t *testing.T, random *rand.Rand) {
		r := newRandomInstallation(t, random, 2)
		length := time.Duration(random.ExpFloat64() * float64(5*time.Second))
		r.cut(time.Since(r.origin), length)
		dying := r.killSome()
		time.Sleep(length)
		// Those that still fail are waited for when the others are back.
		patience := time.Duration(0)
		for i := range r.owners {
			patience = max(patience, 2*max(r.owners[i].timing.Timeout, r.owners[i].timing.FastInterval))
		}
		r.expectOutInTime(t, dying, time.Now(), patience)
	})
}

// killSome lets endpoints die, single ones or whole sites, but not so many that the operator might be
// the cause.
func (r *randomInstallation) killSome() map[*remote]bool {
	dying := map[*remote]bool{}
	all := 0
	for i := range r.owners {
		all += len(r.owners[i].endpoints)
	}
	for i := range r.owners {
		wholeSite := r.random.IntN(3) == 0
		for _, item := range r.owners[i].endpoints {
			if (wholeSite || r.random.IntN(4) == 0) && len(dying) < all*4/5 {
				dying[item] = true
				item.die()
			}
		}
	}
	return dying
}

// expectOutInTime tests that these endpoints, and no others, are found dead in time.
func (r *randomInstallation) expectOutInTime(t *testing.T, dying map[*remote]bool, since time.Time, patience time.Duration) {
	t.Helper()
	// Deaths in several networks at once may be the beginning of a loss, which two more probes
	// rule out; a third one is made if no witness answered in the second one's time.
	const slack = 200 * time.Millisecond
	for range 60 * time.Second / (50 * time.Millisecond) {
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		for i := range r.owners {
			owner := &r.owners[i]
			known := r.scheduler.Health(owner.Owner)
			for k, item := range owner.endpoints {
				out := known[fmt.Sprintf("%04d", k)].State != health.StateHealthy
				late := time.Since(since) - owner.bound() - patience
				if out && !dying[item] {
					t.Fatalf("%d die; endpoint %d of %s was taken out, too", len(dying), k, owner.Name)
				}
				if !out && dying[item] && late > 3*max(owner.timing.Timeout, owner.timing.FastInterval)+slack {
					t.Fatalf("%d die; endpoint %d of %s (%v, %v) is late by %v", len(dying), k, owner.Name, owner.timing, owner.thresholds, late)
				}
			}
		}
	}
}
