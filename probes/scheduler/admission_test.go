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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
	"farpoint.dev/farpoint/probes/health"
)

// started is a scheduler that runs until the test ends.
func started(t testing.TB, options Options) *Scheduler {
	t.Helper()
	if options.Notify == nil {
		options.Notify = func(probes.Owner) {}
	}
	s := New(options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// many are targets with keys and identities of their own.
func many(n int, prober func(i int) probes.Prober) []Target {
	list := make([]Target, n)
	for i := range list {
		list[i] = target(prober(i))
		list[i].Key = fmt.Sprintf("%04d", i)
		list[i].Identity = Identity{byte(i), byte(i >> 8), 1}
	}
	return list
}

// elsewhere is a scripted prober with a place of its own.
type elsewhere struct {
	*scripted
	at probes.Location
}

func (e elsewhere) Location() probes.Location { return e.at }

func (e elsewhere) Scheme() string { return "tcp" }

func TestTheSteadilyDownHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{MaxInFlight: 40, MaxInFlightPerNamespace: 40, Guard: guard.Options{Share: 1, Networks: 1000, Release: 1, MaxHold: time.Minute}})
		dead := &scripted{answer: hang}
		s.Set(probes.Owner{Namespace: "a", Name: "dead"}, many(400, func(int) probes.Prober { return dead }))
		time.Sleep(5 * time.Minute) // until all have been found dead
		synctest.Wait()
		living := answering(pass)
		s.Set(owner, []Target{target(living)})
		time.Sleep(10 * timing.Interval)
		synctest.Wait()
		times := living.times()
		if len(times) < 10 {
			t.Fatalf("%d probes of the living in 10 intervals", len(times))
		}
		for i := 2; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); (gap - timing.Interval).Abs() > 2*tick {
				t.Errorf("a living target waited %v for its turn", gap)
			}
		}
		if n := testutil.ToFloat64(s.options.Metrics.skipped); n == 0 {
			t.Error("nothing says that the dead are probed less often than asked for")
		}
	})
}

// A backend that is restarted is to be found in time, however many black holes there are.
func TestWhoRefusesDoesNotWaitAmongBlackHoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{MaxInFlight: 40, MaxInFlightPerNamespace: 40, Guard: guard.Options{Share: 1, Networks: 1000, Release: 1, MaxHold: time.Minute}})
		hole := &scripted{answer: hang}
		s.Set(probes.Owner{Namespace: owner.Namespace, Name: "holes"}, many(400, func(int) probes.Prober { return hole }))
		stopped := answering(refused)
		s.Set(owner, []Target{target(stopped)})
		time.Sleep(5 * time.Minute) // until all have been found dead
		if state := s.stateOf("a"); state != health.StateUnhealthy {
			t.Fatalf("who refuses is %v", state)
		}
		before := len(stopped.times())
		time.Sleep(10 * timing.Interval)
		synctest.Wait()
		if n := len(stopped.times()) - before; n < 9 {
			t.Errorf("%d probes in 10 intervals", n)
		}
	})
}

func TestLimitsByNamespaceAndDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		inFlight, most := map[string]int{}, map[string]int{}
		count := func(by int, names ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				inFlight[name] += by
				most[name] = max(most[name], inFlight[name])
			}
		}
		slow := func(names ...string) *scripted {
			return &scripted{answer: func(ctx context.Context) probes.Result {
				count(1, names...)
				defer count(-1, names...)
				time.Sleep(time.Second)
				return probes.SuccessResult()
			}}
		}
		s := started(t, Options{MaxInFlightPerNamespace: 7, MaxInFlightPerDestination: 3})
		gateway := probes.Location{Addr: netip.MustParseAddr("192.0.2.1")}
		s.Set(probes.Owner{Namespace: "greedy", Name: "a"}, many(30, func(int) probes.Prober { return slow("greedy") }))
		modest := many(5, func(int) probes.Prober { return elsewhere{slow("modest", "gateway"), gateway} })
		for i := range modest {
			modest[i].Identity[5] = 1
		}
		s.Set(probes.Owner{Namespace: "modest", Name: "b"}, modest)
		time.Sleep(timing.Interval)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if most["greedy"] != 7 || most["gateway"] != 3 {
			t.Errorf("at most %v at one time, want greedy 7, gateway 3", most)
		}
		for _, of := range []probes.Owner{{Namespace: "greedy", Name: "a"}, {Namespace: "modest", Name: "b"}} {
			for key, current := range s.Health(of) {
				if current.State != health.StateHealthy {
					t.Errorf("%v %s has not had its turn", of, key)
				}
			}
		}
		for _, limit := range []string{"namespace", "destination"} {
			if testutil.ToFloat64(s.options.Metrics.deferred.WithLabelValues(limit)) == 0 {
				t.Errorf("nothing says that the limit %s was reached", limit)
			}
		}
	})
}

// A namespace that wants more probes than it may have gets fewer of each of its targets, and
// not none of some.
func TestAmongThoseWhoWaitTheLongestIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, options := range []Options{{MaxInFlightPerNamespace: 10}, {MaxInFlightPerDestination: 10}, {MaxInFlight: 10, MaxInFlightPerNamespace: 10}} {
			s := started(t, options)
			var all []*scripted
			gateway := probes.Location{Addr: netip.MustParseAddr("192.0.2.1")}
			s.Set(owner, many(300, func(int) probes.Prober {
				slow := &scripted{answer: func(context.Context) probes.Result {
					time.Sleep(timing.Timeout / 2)
					return probes.SuccessResult()
				}}
				all = append(all, slow)
				return elsewhere{slow, gateway}
			}))
			time.Sleep(10 * 300 / 10 * timing.Timeout / 2) // ten times each
			synctest.Wait()
			least, most := len(all[0].times()), 0
			for _, item := range all {
				least, most = min(least, len(item.times())), max(most, len(item.times()))
			}
			if least < 8 || most > least+3 { // at first, new targets go ahead of those that have been probed
				t.Errorf("with limits %d, %d, %d: targets were probed %d to %d times",
					options.MaxInFlight, options.MaxInFlightPerNamespace, options.MaxInFlightPerDestination, least, most)
			}
		}
	})
}

// Who waits for a slow host is in the way of nobody who is to be probed elsewhere.
func TestWhoWaitsForOneLimitHoldsNobodyUpAtAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{MaxInFlightPerNamespace: 4, MaxInFlightPerDestination: 1})
		gateway := probes.Location{Addr: netip.MustParseAddr("192.0.2.1")}
		slow := &scripted{answer: func(context.Context) probes.Result {
			time.Sleep(timing.Timeout * 9 / 10)
			return probes.SuccessResult()
		}}
		s.Set(probes.Owner{Namespace: owner.Namespace, Name: "slow"}, many(20, func(int) probes.Prober { return elsewhere{slow, gateway} }))
		var failedFast []*scripted
		targets := many(60, func(i int) probes.Prober {
			item := &scripted{answer: func(context.Context) probes.Result {
				time.Sleep(timing.Interval / 60)
				return probes.SuccessResult()
			}}
			failedFast = append(failedFast, item)
			return elsewhere{item, probes.Location{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})}}
		})
		for i := range targets {
			targets[i].Identity[5] = 1
		}
		s.Set(owner, targets)
		time.Sleep(10 * timing.Interval)
		synctest.Wait()
		for i, item := range failedFast {
			if n := len(item.times()); n < 9 {
				t.Errorf("%d was probed %d times in 10 intervals", i, n)
			}
		}
	})
}

func TestEqualTargetsShareAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notified := make(chan probes.Owner, 100)
		s := started(t, Options{Notify: func(o probes.Owner) { notified <- o }})
		shared, private := answering(pass), answering(pass)
		owners := []probes.Owner{{Namespace: "a", Name: "x"}, {Namespace: "a", Name: "y"}, {Namespace: "b", Name: "z"}}
		for _, item := range owners {
			secret := target(private)
			secret.Key, secret.Identity, secret.Private = "secret", Identity{9}, true
			s.Set(item, []Target{target(shared), secret})
		}
		synctest.Wait()
		if n, m := len(shared.times()), len(private.times()); n != 1 || m != 2 {
			t.Errorf("%d probes of the shared, %d of the private target; want 1, and 2: one in each namespace", n, m)
		}
		for len(notified) > 0 {
			<-notified
		}

		shared.set(func(context.Context) probes.Result { return refused })
		time.Sleep(timing.Interval + 2*timing.FastInterval)
		synctest.Wait()
		close(notified)
		heard := map[probes.Owner]int{}
		for item := range notified {
			heard[item]++
		}
		for _, item := range owners {
			if heard[item] != 1 || s.Health(item)["a"].State != health.StateUnhealthy {
				t.Errorf("%v was notified %d times and has %v", item, heard[item], s.Health(item)["a"].State)
			}
		}
	})
}

// It waits for one of them, and not now for this and now for that.
func TestWhoIsSharedWaitsInOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{MaxInFlightPerNamespace: 1})
		shared := target(answering(pass))
		shared.Identity = Identity{9}
		for i, namespace := range []string{"a", "b"} {
			busy := target(&scripted{answer: hang})
			busy.Identity, busy.Timing.Timeout = Identity{byte(i)}, time.Minute
			s.Set(probes.Owner{Namespace: namespace, Name: "busy"}, []Target{busy})
			synctest.Wait()
		}
		s.Set(probes.Owner{Namespace: "a", Name: "shared"}, []Target{shared})
		s.Set(probes.Owner{Namespace: "b", Name: "shared"}, []Target{shared})
		time.Sleep(50 * time.Second)
		if n := testutil.ToFloat64(s.options.Metrics.deferred.WithLabelValues("namespace")); n != 1 {
			t.Errorf("%v probes were deferred, want one", n)
		}
	})
}

// An owner whose target has no verdict yet gets the one that the next owner brings, and is
// notified of it: no probe will change it.
func TestScheduler_SecondOwnerBringsAVerdict_FirstOwnerIsNotified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owners := make(chan probes.Owner, 100)
		s := started(t, Options{Notify: func(o probes.Owner) { owners <- o }})
		slow := &scripted{answer: func(context.Context) probes.Result { time.Sleep(time.Second); return pass }}
		first, second := probes.Owner{Namespace: "a", Name: "x"}, probes.Owner{Namespace: "b", Name: "y"}
		s.Set(first, []Target{target(slow)})
		synctest.Wait()
		healthy := target(slow)
		healthy.Initial = health.New(health.StateHealthy)
		s.Set(second, []Target{healthy})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(owners); n != 1 || <-owners != first {
			t.Errorf("%d are notified of a verdict that is new for the first owner", n)
		}
	})
}

func TestSharingEndsWithTheLastOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{})
		shared := answering(pass)
		first, second := probes.Owner{Namespace: "a", Name: "x"}, probes.Owner{Namespace: "a", Name: "y"}
		s.Set(first, []Target{target(shared)})
		s.Set(second, []Target{target(shared)})
		s.Remove(first)
		time.Sleep(timing.Interval)
		synctest.Wait()
		if n := len(shared.times()); n != 2 || s.Health(second)["a"].State != health.StateHealthy {
			t.Errorf("%d probes, %v after one of two owners left", n, s.Health(second))
		}

		// Another threshold is another verdict, which begins with what is known.
		strict := target(shared)
		strict.Thresholds.Failure = 1
		s.Set(first, []Target{target(shared)})
		s.Set(second, []Target{strict})
		shared.set(func(context.Context) probes.Result { return refused })
		time.Sleep(timing.Interval)
		synctest.Wait()
		if s.Health(first)["a"].State != health.StateHealthy || s.Health(second)["a"].State != health.StateUnhealthy {
			t.Errorf("%v and %v after one failure", s.Health(first)["a"].State, s.Health(second)["a"].State)
		}

		s.Remove(first)
		s.Remove(second)
		before := len(shared.times())
		time.Sleep(time.Hour)
		synctest.Wait()
		if after := len(shared.times()); after != before || len(s.shared) != 0 || len(s.owners) != 0 {
			t.Errorf("%d probes after the last owner left; %d probes, %d owners kept", after-before, len(s.shared), len(s.owners))
		}
	})
}

func TestWhatDiesTogetherIsFoundTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var owners []time.Time
		var mu sync.Mutex
		s := started(t, Options{Notify: func(probes.Owner) {
			mu.Lock()
			defer mu.Unlock()
			owners = append(owners, time.Now())
		}})
		prober := answering(pass)
		targets := many(10, func(int) probes.Prober { return prober })
		for i := range targets {
			targets[i].Identity[0] = byte(i * 25) // all over the interval
			targets[i].Timing.Interval, targets[i].Thresholds.Failure = time.Minute, 1
		}
		s.Set(owner, targets)
		time.Sleep(time.Minute)
		for _, answer := range []probes.Result{refused, pass} {
			synctest.Wait()
			owners = nil
			prober.set(func(context.Context) probes.Result { return answer })
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(owners) != len(targets) {
				t.Fatalf("%d of %d turned", len(owners), len(targets))
			}
			if spread := owners[len(owners)-1].Sub(owners[0]); spread > 2*timing.FastInterval {
				t.Errorf("with %v, found over %v of the interval", answer, spread)
			}
		}
	})
}
