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
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

func TestStale_ProbesThatSayNothing_MakeVerdictsStaleOnce(t *testing.T) {
	for name, test := range map[string]struct {
		answer   probes.Result
		interval time.Duration
	}{
		"no descriptors":            {probes.UnknownResult(probes.ReasonLocalResources), 10 * time.Second},
		"no route":                  {noRoute, 10 * time.Second},
		"no name, short interval":   {probes.UnknownResult(probes.ReasonNameResolution), time.Second},
		"no route, longer interval": {noRoute, 40 * time.Second},
	} {
		for _, last := range []probes.Result{pass, refused, drains} {
			t.Run(name+", "+last.Reason.String(), func(t *testing.T) {
				running(t, func(t *testing.T, s *Scheduler, owners func() int) {
					prober, timing := answering(last), timing
					timing.Interval = test.interval
					one := target(prober)
					one.Timing = timing
					s.Set(owner, []Target{one})
					time.Sleep(5 * test.interval)
					before, verdict := owners(), s.stateOf("a")
					prober.set(func(context.Context) probes.Result { return test.answer })
					time.Sleep(timing.StaleAfter() - test.interval)
					synctest.Wait()
					if health := s.Health(owner)["a"]; health.IsStale() {
						t.Fatal("stale too early")
					}
					time.Sleep(2 * test.interval)
					synctest.Wait()
					if health := s.Health(owner)["a"]; health.StaleReason != test.answer.Reason || health.State != verdict {
						t.Fatalf("stale for %q, state %v; want %q, %v", health.StaleReason, health.State, test.answer.Reason, verdict)
					}
					// The owner of an endpoint that does not pass is notified of the reason as well.
					wantTold := before + 1
					if verdict != health.StateHealthy {
						wantTold++
					}
					time.Sleep(time.Hour)
					if n := owners(); n != wantTold {
						t.Errorf("told %d times that it is stale, want %d", n-before, wantTold-before)
					}
					prober.set(func(context.Context) probes.Result { return last })
					time.Sleep(test.interval)
					synctest.Wait()
					if health := s.Health(owner)["a"]; health.IsStale() || health.State != verdict {
						t.Errorf("stale for %q in state %v after a probe that said something", health.StaleReason, health.State)
					}
					if n := owners(); n != wantTold+1 {
						t.Errorf("told %d times of the end, want once", n-wantTold)
					}
				})
			})
		}
	}
}

func TestStale_TargetThatNoLimitLetsIn_IsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{MaxInFlight: 1})
		prober := answering(pass)
		s.Set(owner, []Target{target(prober)})
		time.Sleep(timing.Interval)
		greedy := target(&scripted{answer: func(ctx context.Context) probes.Result { <-ctx.Done(); return pass }})
		greedy.Identity, greedy.Timing.Timeout = Identity{9}, 2*time.Minute
		s.Set(probes.Owner{Namespace: "greedy", Name: "one"}, []Target{greedy})
		time.Sleep(timing.StaleAfter() + timing.Interval + sweepInterval)
		synctest.Wait()
		if health := s.Health(owner)["a"]; health.StaleReason != probes.ReasonDeferred {
			t.Errorf("stale for %q, want %q", health.StaleReason, probes.ReasonDeferred)
		}
		s.Remove(probes.Owner{Namespace: "greedy", Name: "one"})
		time.Sleep(tick)
		synctest.Wait()
		if health := s.Health(owner)["a"]; health.IsStale() {
			t.Error("stale although it was probed again")
		}
	})
}

func TestStale_SchedulerThatStartsLate_MakesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owners := 0
		s := New(Options{Notify: func(probes.Owner) { owners++ }})
		healthy := target(answering(pass))
		healthy.Initial = health.New(health.StateHealthy)
		s.Set(owner, []Target{healthy})
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Start(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if owners != 0 {
			t.Errorf("told %d times though nothing changed", owners)
		}
	})
}

func TestStale_SeededStale_LastsUntilAProbeSaysSomething(t *testing.T) {
	current := health.SeededStale(health.StateHealthy, probes.ReasonUnsoundDefinition)
	if !current.IsStale() || current.State != health.StateHealthy {
		t.Fatalf("%+v is not stale", current)
	}
	if current.Observe(noRoute, thresholds, time.Time{}); !current.IsStale() {
		t.Error("a probe that says nothing made it fresh")
	}
	if !current.Observe(refused, thresholds, time.Time{}) || current.IsStale() {
		t.Error("a failure did not make it fresh, or the owner was not told")
	}
	if none := health.SeededStale(health.StateUnknown, probes.ReasonUnsoundDefinition); none.IsStale() {
		t.Error("there is no verdict that could be stale")
	}
}

// There are tens of thousands of them.
func TestHealth_SizeIsBounded(t *testing.T) {
	if size := unsafe.Sizeof(health.Health{}); size > 32 {
		t.Errorf("a Health takes %d bytes", size)
	}
}
