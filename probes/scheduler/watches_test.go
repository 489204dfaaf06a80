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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// selfReporter is a scripted prober of an endpoint that also reports its health itself.
type selfReporter struct {
	*scripted
	mu sync.Mutex
	// watch sends the reports of one connection, and returns at its end.
	watch func(ctx context.Context, applySelfReport func(probes.Result))
	// watchedAt are the times at which connections began; open counts those that are open, and
	// maxOpen is the largest number at the same time.
	watchedAt     []time.Time
	open, maxOpen int
}

func newSelfReporter(result probes.Result, says func(context.Context, func(probes.Result))) *selfReporter {
	return &selfReporter{scripted: answering(result), watch: says}
}

func (s *selfReporter) Watch(ctx context.Context, applySelfReport func(probes.Result)) {
	s.mu.Lock()
	s.watchedAt = append(s.watchedAt, time.Now())
	s.open++
	s.maxOpen = max(s.maxOpen, s.open)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	s.watch(ctx, applySelfReport)
}

func (s *selfReporter) connections() []time.Time {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watchedAt
}

// reportsFrom hands over what the test sends, until the context is done.
func reportsFrom(words chan probes.Result) func(context.Context, func(probes.Result)) {
	return func(ctx context.Context, applySelfReport func(probes.Result)) {
		for {
			select {
			case <-ctx.Done():
				return
			case word := <-words:
				applySelfReport(word)
			}
		}
	}
}

var away = probes.FailureResult(probes.ReasonNotServing)

func TestWordsDecideAtOnce(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		words := make(chan probes.Result)
		prober := newSelfReporter(pass, reportsFrom(words))
		s.Set(owner, []Target{target(prober)})
		words <- pass
		if s.stateOf("a") != health.StateHealthy || owners() != 1 {
			t.Fatalf("state %v, told %d times", s.stateOf("a"), owners())
		}
		for range 3 {
			before := owners()
			prober.set(func(context.Context) probes.Result { return away })
			words <- away
			if s.stateOf("a") != health.StateUnhealthy || owners() != before+1 {
				t.Fatalf("state %v, told %d times more after it said that it is away", s.stateOf("a"), owners()-before)
			}
			prober.set(func(context.Context) probes.Result { return pass })
			words <- pass
			if s.stateOf("a") != health.StateHealthy || owners() != before+2 {
				t.Fatalf("state %v, told %d times more after it took that back", s.stateOf("a"), owners()-before)
			}
		}
	})
}

// TestProbesHaveTheLastWord: an endpoint that says one thing and answers another is what
// it answers, by thresholds.
func TestProbesHaveTheLastWord(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		words := make(chan probes.Result)
		prober := newSelfReporter(pass, reportsFrom(words))
		s.Set(owner, []Target{target(prober)})
		words <- pass
		words <- away
		if state := s.stateOf("a"); state != health.StateUnhealthy {
			t.Fatalf("state %v", state)
		}
		time.Sleep(2*timing.FastInterval + tick)
		if state := s.stateOf("a"); state != health.StateHealthy {
			t.Errorf("state %v, while its probes pass", state)
		}
		prober.set(hang)
		time.Sleep(timing.Interval + 3*timing.Timeout)
		words <- pass
		if state := s.stateOf("a"); state != health.StateUnhealthy {
			t.Errorf("state %v, while its probes get no answer", state)
		}
	})
}

func TestAnOlderProbeIsVoid(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		words := make(chan probes.Result)
		prober := newSelfReporter(pass, reportsFrom(words))
		quick := target(prober)
		quick.Thresholds = health.Thresholds{Failure: 1, Success: 1}
		s.Set(owner, []Target{quick})
		words <- pass
		prober.set(func(context.Context) probes.Result { time.Sleep(timing.Timeout / 2); return pass })
		for startedAt := len(prober.times()); len(prober.times()) == startedAt; {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		words <- away
		prober.set(func(context.Context) probes.Result { return away })
		for range 20 {
			time.Sleep(timing.FastInterval / 10)
			if state := s.stateOf("a"); state != health.StateUnhealthy {
				t.Fatalf("state %v by a probe from before the word", state)
			}
		}
	})
}

// TestABrokenWatchIsNoFailure: the probes decide, and the watch is renewed, less and less
// often.
func TestABrokenWatchIsNoFailure(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		prober := newSelfReporter(pass, func(_ context.Context, applySelfReport func(probes.Result)) { applySelfReport(pass) })
		s.Set(owner, []Target{target(prober)})
		time.Sleep(10 * time.Minute)
		if s.stateOf("a") != health.StateHealthy || owners() != 1 {
			t.Errorf("state %v, told %d times", s.stateOf("a"), owners())
		}
		times := prober.connections()
		if len(times) < 10+5 || len(times) > 20+7 {
			t.Errorf("%d connections in ten minutes", len(times))
		}
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < minWatchPause/2 || gap > maxWatchPause {
				t.Errorf("a connection %v after the one before", gap)
			}
		}
	})
}

func TestALastingWatchIsRenewedSoon(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		const lasts = 5 * time.Minute
		prober := newSelfReporter(pass, func(_ context.Context, applySelfReport func(probes.Result)) { applySelfReport(pass); time.Sleep(lasts) })
		s.Set(owner, []Target{target(prober)})
		time.Sleep(time.Hour)
		times := prober.connections()
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap > lasts+minWatchPause {
				t.Errorf("a connection %v after the end of the one before", gap-lasts)
			}
		}
		if len(times) < 10 {
			t.Errorf("%d connections", len(times))
		}
		s.Remove(owner)
		time.Sleep(lasts) // this one does not listen to its context
	})
}

func TestAWatchEnds(t *testing.T) {
	for name, end := range map[string]func(*Scheduler, probes.Prober){
		"with its target": func(s *Scheduler, _ probes.Prober) { s.Remove(owner) },
		"with the definition": func(s *Scheduler, _ probes.Prober) {
			edited := target(answering(pass))
			edited.Identity = Identity{9}
			s.Set(owner, []Target{edited})
		},
	} {
		t.Run(name, func(t *testing.T) {
			running(t, func(t *testing.T, s *Scheduler, _ func() int) {
				prober := newSelfReporter(pass, reportsFrom(make(chan probes.Result)))
				patient := target(prober)
				patient.Timing.Timeout = timing.Interval
				s.Set(owner, []Target{patient})
				if n := len(prober.connections()); n != 1 || prober.open != 1 {
					t.Fatalf("%d connections", n)
				}
				end(s, prober)
				if prober.connections(); prober.open != 0 {
					t.Error("the connection is held on")
				}
				time.Sleep(time.Hour)
				if n := len(prober.connections()); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// TestTheFirstWordHasATimeout: a server that takes the connection and says nothing holds it
// no longer than a probe's.
func TestTheFirstWordHasATimeout(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		ended := make(chan time.Duration, 1)
		prober := newSelfReporter(pass, func(ctx context.Context, _ func(probes.Result)) {
			startedAt := time.Now()
			<-ctx.Done()
			select {
			case ended <- time.Since(startedAt):
			default:
			}
		})
		s.Set(owner, []Target{target(prober)})
		if lasted := <-ended; lasted != timing.Timeout {
			t.Errorf("held for %v", lasted)
		}
		if state := s.stateOf("a"); state != health.StateHealthy {
			t.Errorf("state %v", state)
		}
	})
}

func TestWatch_EndpointReportsTooOften_IsSlowedDown(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		reports := 0
		prober := newSelfReporter(pass, func(ctx context.Context, applySelfReport func(probes.Result)) {
			for ctx.Err() == nil {
				applySelfReport([]probes.Result{pass, away}[reports%2])
				reports++
			}
		})
		s.Set(owner, []Target{target(prober)})
		time.Sleep(time.Minute)
		synctest.Wait()
		if reports > 60*maxReports+maxReports || reports < 30*maxReports {
			t.Errorf("%d words in a minute", reports)
		}
		if owners() > 60 {
			t.Errorf("told %d times in a minute", owners())
		}
	})
}

func TestAPanicOfAWatchEndsIt(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, _ func() int) {
		prober := newSelfReporter(pass, func(context.Context, func(probes.Result)) { panic("bug") })
		s.Set(owner, []Target{target(prober)})
		time.Sleep(time.Minute)
		if n := len(prober.connections()); s.stateOf("a") != health.StateHealthy || n < 5 {
			t.Errorf("state %v, %d connections", s.stateOf("a"), n)
		}
	})
}

func TestEqualTargetsShareAWatch(t *testing.T) {
	running(t, func(t *testing.T, s *Scheduler, owners func() int) {
		words := make(chan probes.Result)
		prober := newSelfReporter(pass, reportsFrom(words))
		other := probes.Owner{Namespace: "elsewhere", Name: "legacy-api"}
		s.Set(owner, []Target{target(prober)})
		s.Set(other, []Target{target(prober)})
		words <- pass
		before := owners()
		words <- away
		if n := len(prober.connections()); n != 1 || owners() != before+2 {
			t.Errorf("%d connections, told %d times", n, owners()-before)
		}
		s.Remove(owner)
		words <- pass
		synctest.Wait()
		if state := s.Health(other)["a"].State; state != health.StateHealthy {
			t.Errorf("state %v: the watch ended with the first owner", state)
		}
	})
}

// TestWatchesAreBounded: an endpoint without room is probed anyway, and gets room when another
// goes.
func TestWatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{MaxWatches: 2, Notify: func(probes.Owner) {}})
		prober := newSelfReporter(pass, func(ctx context.Context, applySelfReport func(probes.Result)) { applySelfReport(pass); <-ctx.Done() })
		var targets []Target
		for i := range 5 {
			item := target(prober)
			item.Key, item.Identity = string(rune('a'+i)), Identity{byte(i)}
			targets = append(targets, item)
		}
		s.Set(owner, targets[:2]) // before the start
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Start(ctx) }()
		prober.connections()
		s.Set(owner, targets)
		time.Sleep(time.Minute)
		if n := len(prober.connections()); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		for _, target := range targets {
			if state := s.stateOf(target.Key); state != health.StateHealthy {
				t.Errorf("%s: state %v", target.Key, state)
			}
		}
		for gone := 1; gone <= 5; gone++ {
			s.Set(owner, targets[gone:])
			if prober.connections(); prober.open != min(5-gone, 2) {
				t.Errorf("%d connections for %d targets", prober.open, 5-gone)
			}
		}
		if n := len(prober.connections()); n < 4 || prober.maxOpen != 2 { // the last may be lucky
			t.Errorf("%d connections in all, %d at one time; want 4 or 5, and 2", n, prober.maxOpen)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Set(owner, targets) // after the end
		if prober.connections(); prober.open != 0 {
			t.Error("a connection after the end")
		}
	})
}

// TestOnesOwnWordCountsWhileIsolated: while the operator's network seems lost, endpoints
// are not taken out for being silent; who can say that it is away has been reached.
func TestOnesOwnWordCountsWhileIsolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, 10, Options{})
		words := make(chan probes.Result)
		prober := newSelfReporter(pass, reportsFrom(words))
		w.scheduler.Set(owner, []Target{target(prober)})
		words <- pass
		time.Sleep(time.Minute)
		for site := range w.sites {
			w.answer(site, hang)
		}
		prober.set(hang)
		time.Sleep(time.Minute)
		if state := w.scheduler.stateOf("a"); !w.isolated() || state != health.StateHealthy {
			t.Fatalf("isolated %v, state %v", w.isolated(), state)
		}
		words <- away
		if state := w.scheduler.stateOf("a"); state != health.StateUnhealthy {
			t.Errorf("state %v after it said that it is away", state)
		}
		if !w.isolated() {
			t.Error("one word has ended the isolation")
		}
	})
}
