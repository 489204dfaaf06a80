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
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

var (
	timing     = Timing{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second}
	thresholds = health.Thresholds{Failure: 3, Success: 2}
	owner      = probes.Owner{Namespace: "integration", Name: "legacy-api"}
)

// scripted answers probes by a script and records when they came.
type scripted struct {
	mu        sync.Mutex
	answer    func(context.Context) probes.Result
	startedAt []time.Time
}

func answering(result probes.Result) *scripted {
	s := &scripted{}
	s.set(func(context.Context) probes.Result { return result })
	return s
}

func (s *scripted) set(answer func(context.Context) probes.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *scripted) Probe(ctx context.Context) probes.Result {
	s.mu.Lock()
	s.startedAt = append(s.startedAt, time.Now())
	answer := s.answer
	s.mu.Unlock()
	return answer(ctx)
}

func (s *scripted) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.startedAt)
}

// hang waits for the context, as a prober before a black hole does.
func hang(ctx context.Context) probes.Result {
	<-ctx.Done()
	return probes.FailureResult(probes.ReasonTimeout)
}

func target(prober probes.Prober) Target {
	return Target{Key: "a", Identity: Identity{7}, Prober: prober, Timing: timing, Thresholds: thresholds}
}

// running runs a test in a bubble of fake time with a scheduler that is stopped and
// awaited at its end. owners counts the notifications.
func running(t *testing.T, test func(t *testing.T, s *Scheduler, owners func() int)) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		count := 0
		s := New(Options{Log: logr.Discard(), Notify: func(probes.Owner) {
			mu.Lock()
			defer mu.Unlock()
			count++
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Start(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		test(t, s, func() int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return count
		})
	})
}

func (s *Scheduler) stateOf(key string) health.State {
	synctest.Wait()
	return s.Health(owner)[key].State
}

func TestNewTargetIsProbedAtOnceThenOnItsGrid(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		prober := answering(pass)
		s.Set(owner, []Target{target(prober)})
		if s.stateOf("a") != health.StateHealthy || owners() != 1 {
			t.Fatalf("state %v, told %d times; want healthy, once", s.stateOf("a"), owners())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		times := prober.times()
		if len(times) != 7 {
			t.Fatalf("%d probes in a minute of 10s intervals, want 1 + 6", len(times))
		}
		for i := 2; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap != timing.Interval {
				t.Errorf("gap %v on the grid, want %v", gap, timing.Interval)
			}
		}
		if owners() != 1 {
			t.Errorf("told %d times while nothing changed", owners())
		}
	})
}

func TestGridSurvivesARestart(t *testing.T) {
	phase := func(t *testing.T, startAfter time.Duration) (at time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(startAfter)
			s := New(Options{Notify: func(probes.Owner) {}})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- s.Start(ctx) }()
			prober := answering(pass)
			healthy := target(prober)
			healthy.Initial = health.New(health.StateHealthy)
			s.Set(owner, []Target{healthy})
			time.Sleep(timing.Interval)
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			at = time.Duration(prober.times()[0].UnixNano() % int64(timing.Interval))
		})
		return at
	}
	if a, b := phase(t, 0), phase(t, 12345*time.Millisecond); (a - b).Abs() > tick {
		t.Errorf("probed at phase %v before and %v after a restart", a, b)
	}
}

func TestDeathIsFoundWithinTheBound(t *testing.T) {
	tests := []struct {
		name   string
		answer func(context.Context) probes.Result
		bound  time.Duration
	}{
		{"refused", func(context.Context) probes.Result { return refused }, timing.Interval + 2*timing.FastInterval},
		{"black hole", hang, timing.Interval + 3*timing.Timeout},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			running(t, func(t *testing.T, s *Scheduler, _ func() int) {
				prober := answering(pass)
				s.Set(owner, []Target{target(prober)})
				synctest.Wait()
				prober.set(test.answer)
				time.Sleep(test.bound)
				if state := s.stateOf("a"); state != health.StateUnhealthy {
					t.Errorf("state %v after %v", state, test.bound)
				}
				prober.set(func(context.Context) probes.Result { return pass })
				time.Sleep(timing.Interval + timing.FastInterval)
				if state := s.stateOf("a"); state != health.StateHealthy {
					t.Errorf("state %v after the recovery", state)
				}
			})
		})
	}
}

func TestSeededHealthIsKeptForFullThresholds(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		prober := answering(refused)
		healthy := target(prober)
		healthy.Initial = health.New(health.StateHealthy)
		s.Set(owner, []Target{healthy})
		for len(prober.times()) < int(thresholds.Failure) {
			if s.stateOf("a") != health.StateHealthy || owners() != 0 {
				t.Fatalf("state %v after %d failures", s.stateOf("a"), len(prober.times()))
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if s.stateOf("a") != health.StateUnhealthy || owners() != 1 {
			t.Errorf("state %v, told %d times after %d failures", s.stateOf("a"), owners(), thresholds.Failure)
		}
	})
}

func TestEditKeepsWhatIsKnown(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		first, second := answering(pass), answering(pass)
		sibling := Target{Key: "b", Identity: Identity{8}, Prober: second, Timing: timing, Thresholds: thresholds}
		s.Set(owner, []Target{target(first), sibling})
		synctest.Wait()

		replaced := answering(refused)
		edited := target(replaced)
		edited.Identity = Identity{9}
		s.Set(owner, []Target{edited, sibling})
		if s.stateOf("a") != health.StateHealthy || s.stateOf("b") != health.StateHealthy {
			t.Fatal("an edit took a healthy target out")
		}
		if len(replaced.times()) != 1 || len(second.times()) != 2 { // which is asked as a witness
			t.Errorf("%d probes by the new definition, %d of the sibling; want 1 and 2", len(replaced.times()), len(second.times()))
		}
		time.Sleep(2 * timing.FastInterval)
		if s.stateOf("a") != health.StateUnhealthy || owners() != 3 {
			t.Errorf("state %v, told %d times after the new definition failed", s.stateOf("a"), owners())
		}

		s.Set(owner, []Target{sibling})
		if known := s.Health(owner); len(known) != 1 {
			t.Errorf("%d targets known after one went", len(known))
		}
	})
}

func TestTargetWithoutAProberStaysAsItIs(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		prober := answering(pass)
		s.Set(owner, []Target{target(prober)})
		synctest.Wait()
		s.Set(owner, []Target{target(nil), {Key: "never known"}})
		prober.set(func(context.Context) probes.Result { return refused })
		time.Sleep(timing.Interval + 2*timing.FastInterval)
		if state := s.stateOf("a"); state != health.StateUnhealthy {
			t.Errorf("state %v: it is not probed any more", state)
		}
		if known := s.Health(owner); len(known) != 1 {
			t.Errorf("%d targets known, want 1", len(known))
		}
	})
}

func TestEditDuringAProbeVoidsItsResult(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		slow := &scripted{answer: hang}
		once := target(slow)
		once.Thresholds.Failure = 1
		s.Set(owner, []Target{once})
		synctest.Wait()

		replaced := answering(pass)
		edited := target(replaced)
		edited.Identity, edited.Thresholds.Failure = Identity{9}, 1
		s.Set(owner, []Target{edited})
		if state := s.stateOf("a"); state != health.StateHealthy {
			t.Errorf("state %v; the voided probe's failure counted", state)
		}
	})
}

func TestRemovalEndsTheProbeUnderWay(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		slow := &scripted{answer: hang}
		s.Set(owner, []Target{target(slow)})
		synctest.Wait()
		s.Remove(owner)
		time.Sleep(time.Hour)
		if len(slow.times()) != 1 || owners() != 0 || len(s.Health(owner)) != 0 {
			t.Errorf("%d probes, told %d times, %v known after removal", len(slow.times()), owners(), s.Health(owner))
		}
	})
}

func TestShorterIntervalTakesEffectAtOnce(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		prober := answering(pass)
		hourly := target(prober)
		hourly.Timing.Interval = time.Hour
		s.Set(owner, []Target{hourly})
		synctest.Wait()
		s.Set(owner, []Target{target(prober)})
		time.Sleep(timing.Interval)
		synctest.Wait()
		if n := len(prober.times()); n != 2 {
			t.Errorf("%d probes, want the first and one after the new interval", n)
		}
	})
}

func TestPanicCountsForNothing(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		prober := answering(pass)
		s.Set(owner, []Target{target(prober)})
		synctest.Wait()
		prober.set(func(context.Context) probes.Result { panic("bug") })
		time.Sleep(10 * timing.Interval)
		if s.stateOf("a") != health.StateHealthy || len(prober.times()) < 10 {
			t.Errorf("state %v after %d probes", s.stateOf("a"), len(prober.times()))
		}
	})
}

func TestInFlightIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{MaxInFlight: 2, MaxInFlightPerNamespace: 2, Notify: func(probes.Owner) {}})
		var mu sync.Mutex
		now, most := 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			now += by
			most = max(most, now)
		}
		slow := &scripted{answer: func(ctx context.Context) probes.Result {
			count(1)
			defer count(-1)
			return hang(ctx)
		}}
		var targets []Target
		for i := range 10 {
			next := target(slow)
			next.Key, next.Identity = string(rune('a'+i)), Identity{byte(i)}
			targets = append(targets, next)
		}
		s.Set(owner, targets)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Start(ctx) }()
		time.Sleep(5 * timing.Timeout)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if most != 2 || len(slow.times()) < 10 {
			t.Errorf("%d probes at one time, %d in all; want 2, and every target probed", most, len(slow.times()))
		}
	})
}
