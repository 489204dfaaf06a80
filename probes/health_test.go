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

package probes

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	limits := Thresholds{Failure: 3, Success: 2}
	tests := []struct {
		name    string
		from    State
		results []Result
		want    State
		reason  Reason
		changes int
		pending bool
	}{
		{"nothing seen", StateUnknown, nil, StateUnknown, ReasonNone, 0, true},
		{"first pass is a verdict", StateUnknown, []Result{pass}, StateHealthy, ReasonNone, 1, false},
		{"first failure is none", StateUnknown, []Result{refused}, StateUnknown, ReasonNone, 0, true},
		{"failures are one", StateUnknown, []Result{refused, refused, refused}, StateUnhealthy, ReasonConnectionRefused, 1, false},
		{"failures below the threshold", StateHealthy, []Result{refused, refused}, StateHealthy, ReasonNone, 0, true},
		{"failures in a row", StateHealthy, []Result{refused, silent, refused}, StateUnhealthy, ReasonConnectionRefused, 1, false},
		{"a pass between failures", StateHealthy, []Result{refused, refused, pass, refused, refused}, StateHealthy, ReasonNone, 0, true},
		{"an unknown between failures neither counts nor resets", StateHealthy, []Result{refused, noRoute, refused, noRoute, refused}, StateUnhealthy, ReasonConnectionRefused, 1, false},
		{"only unknown", StateHealthy, []Result{noRoute, noRoute, noRoute, noRoute}, StateHealthy, ReasonNone, 0, false},
		{"passes below the threshold", StateUnhealthy, []Result{pass}, StateUnhealthy, ReasonNone, 0, true},
		{"passes in a row", StateUnhealthy, []Result{pass, pass}, StateHealthy, ReasonNone, 1, false},
		{"a failure between passes", StateUnhealthy, []Result{pass, refused, pass}, StateUnhealthy, ReasonNone, 0, true},
		{"a lasting new reason", StateUnhealthy, []Result{refused, refused, refused, silent, silent, silent}, StateUnhealthy, ReasonTimeout, 2, false},
		{"a passing new reason", StateUnhealthy, []Result{refused, refused, refused, silent, refused, silent}, StateUnhealthy, ReasonConnectionRefused, 1, false},
		{"first drain is a verdict", StateUnknown, []Result{drains}, StateDraining, ReasonDraining, 1, false},
		{"first drain after failures", StateUnknown, []Result{refused, refused, drains}, StateDraining, ReasonDraining, 1, false},
		{"drains below the threshold", StateHealthy, []Result{drains, drains}, StateHealthy, ReasonNone, 0, true},
		{"drains in a row", StateHealthy, []Result{drains, drains, drains}, StateDraining, ReasonDraining, 1, false},
		{"a pass between drains", StateHealthy, []Result{drains, drains, pass, drains}, StateHealthy, ReasonNone, 0, true},
		{"failures, and a drain", StateHealthy, []Result{refused, silent, drains}, StateDraining, ReasonDraining, 1, false},
		{"a drain, and death", StateHealthy, []Result{drains, refused, refused, refused}, StateUnhealthy, ReasonConnectionRefused, 1, false},
		{"drains and failures in turn", StateHealthy, []Result{drains, refused, drains, refused, drains, refused}, StateDraining, ReasonDraining, 1, true},
		{"drained and dead", StateDraining, []Result{refused, refused, refused}, StateUnhealthy, ReasonConnectionRefused, 1, false},
		{"drained and well again", StateDraining, []Result{pass, pass}, StateHealthy, ReasonNone, 1, false},
		{"a drain between passes", StateDraining, []Result{pass, drains, pass}, StateDraining, ReasonNone, 0, true},
		{"draining, a failure and a pass", StateDraining, []Result{refused, pass}, StateDraining, ReasonNone, 0, true},
		{"back from the dead to drain", StateUnhealthy, []Result{drains, drains}, StateDraining, ReasonDraining, 1, false},
		{"back from the dead, draining at first", StateUnhealthy, []Result{drains, pass, pass}, StateHealthy, ReasonNone, 1, false},
		{"back from the dead, draining at last", StateUnhealthy, []Result{pass, drains}, StateDraining, ReasonDraining, 1, false},
		{"an unknown between drains", StateHealthy, []Result{drains, noRoute, drains, noRoute, drains}, StateDraining, ReasonDraining, 1, false},
		{"why there is no verdict", StateUnknown, []Result{noRoute, noRoute, noRoute}, StateUnknown, ReasonNetworkUnreachable, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			health, changes := Seeded(test.from), 0
			now := time.Unix(0, 0)
			for _, result := range test.results {
				now = now.Add(time.Second)
				before := health.State
				if health.Observe(result, limits, now) {
					changes++
				}
				if health.State != before && !health.Since().Equal(now) {
					t.Errorf("Since is %v after a change at %v", health.Since(), now)
				}
			}
			if health.State != test.want || health.Cause.Reason != test.reason || changes != test.changes || health.Pending() != test.pending {
				t.Errorf("got state %v, reason %v, %d changes, pending %v; want %v, %v, %d, %v",
					health.State, health.Cause.Reason, changes, health.Pending(), test.want, test.reason, test.changes, test.pending)
			}
		})
	}
}

// TestManyFacesAreNoNews: what is dead may be so in many ways, and nobody writes them all
// down, however few failures make a verdict.
func TestManyFacesAreNoNews(t *testing.T) {
	status := func(code uint16) Result { return Result{Failure, ReasonStatus, code} }
	for name, faces := range map[string][]Result{
		"reasons": {refused, silent},
		"codes":   {status(500), status(502), status(503)},
	} {
		for failures := uint8(1); failures <= 3; failures++ {
			health, limits, told := Seeded(StateHealthy), Thresholds{Failure: failures, Success: 2}, 0
			for i := range 100 {
				if health.Observe(faces[i%len(faces)], limits, time.Unix(0, 0)) {
					told++
				}
			}
			if told != 1 || health.State != StateUnhealthy {
				t.Errorf("%s, threshold %d: told %d times, state %v", name, failures, told, health.State)
			}
			for range 3 {
				health.Observe(noRoute, limits, time.Unix(0, 0))
			}
			if health.Cause != noRoute {
				t.Errorf("%s, threshold %d: what lasts is not told: %v", name, failures, health.Cause)
			}
		}
	}
}

// TestDeclare: what an endpoint says of itself decides at once where it is its own word to
// say, and never against the probes.
func TestDeclare(t *testing.T) {
	limits := Thresholds{Failure: 3, Success: 2}
	away, missing := FailureResult(ReasonNotServing), FailureResult(ReasonServiceUnknown)
	for _, test := range []struct {
		name     string
		from     State
		probed   []Result
		declared []Result
		want     State
		changes  int
	}{
		{"away", StateHealthy, nil, []Result{away}, StateUnhealthy, 1},
		{"away, twice", StateHealthy, nil, []Result{away, missing}, StateUnhealthy, 1},
		{"away before any verdict", StateUnknown, nil, []Result{away}, StateUnhealthy, 1},
		{"well before any verdict", StateUnknown, nil, []Result{pass}, StateHealthy, 1},
		{"well, which is known", StateHealthy, nil, []Result{pass}, StateHealthy, 0},
		{"well again", StateHealthy, nil, []Result{away, pass}, StateHealthy, 2},
		{"well again after probes had found it away", StateHealthy, []Result{away, away, away}, []Result{pass}, StateHealthy, 1},
		{"well, against the probes", StateHealthy, []Result{silent, silent, silent}, []Result{pass, pass, pass}, StateUnhealthy, 0},
		{"well, while the probes begin to fail", StateHealthy, []Result{silent, silent}, []Result{pass, pass}, StateHealthy, 0},
		{"well, after a restart", StateUnhealthy, nil, []Result{pass, pass, pass}, StateUnhealthy, 0},
		{"flapping", StateHealthy, nil, slices.Repeat([]Result{away, pass}, 10), StateUnhealthy, 2*freeFalls + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			health, changes := Seeded(test.from), 0
			now := time.Unix(0, 0)
			for _, result := range test.probed {
				health.Observe(result, limits, now)
			}
			for _, said := range test.declared {
				now = now.Add(time.Second)
				if health.Declare(said, limits, now) {
					changes++
				}
			}
			if health.State != test.want || changes != test.changes {
				t.Errorf("got state %v, %d changes; want %v, %d", health.State, changes, test.want, test.changes)
			}
		})
	}
	t.Run("counts for no probe", func(t *testing.T) {
		health := Seeded(StateHealthy)
		for range limits.Failure - 1 {
			health.Observe(silent, limits, time.Time{})
		}
		health.Declare(pass, limits, time.Time{})
		if !health.Observe(silent, limits, time.Time{}) || health.State != StateUnhealthy {
			t.Error("a word has undone failed probes")
		}
	})
}

// TestHealthAgainstOracle compares the counters with a reader of the whole history.
func TestHealthAgainstOracle(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		limits := Thresholds{Failure: 1 + uint8(random.IntN(4)), Success: 1 + uint8(random.IntN(4))}
		from := State(random.IntN(4))
		health, history := Seeded(from), []Outcome{}
		now := time.Unix(0, 0)
		for range 60 {
			now = now.Add(flapWindow) // far enough apart for no damping
			result := []Result{pass, pass, refused, silent, drains, drains, noRoute}[random.IntN(7)]
			if result.Outcome != Unknown {
				history = append(history, result.Outcome)
			}
			before := health
			told := health.Observe(result, limits, now)
			if health.State != before.State && (!told || health.Cause != result) {
				t.Fatalf("seed %d: a verdict without its cause, or that nobody is told of", seed)
			}
			if want := verdictOf(from, history, limits); health.State != want {
				t.Fatalf("seed %d, %+v from %v: %v after %v, want %v", seed, limits, from, health.State, history, want)
			}
		}
	}
}

// verdictOf replays a history naively, without unknowns. After each result it looks back
// on all that came before for as many in a row as a change takes.
func verdictOf(state State, history []Outcome, limits Thresholds) State {
	for i, last := range history {
		// all reports whether the last n results are of these outcomes.
		all := func(n uint8, outcomes ...Outcome) bool {
			if i+1 < int(n) {
				return false
			}
			return !slices.ContainsFunc(history[i+1-int(n):i+1], func(o Outcome) bool { return !slices.Contains(outcomes, o) })
		}
		switch {
		case last == Success && (state == StateUnknown || all(limits.Success, Success)):
			state = StateHealthy
		case last == Failure && all(limits.Failure, Failure):
			state = StateUnhealthy
		case last == Draining && (state == StateUnknown ||
			state == StateHealthy && all(limits.Failure, Failure, Draining) ||
			state == StateUnhealthy && all(limits.Success, Success, Draining)):
			state = StateDraining
		}
	}
	return state
}

func TestFlapDamping(t *testing.T) {
	limits := Thresholds{Failure: 1, Success: 2}
	health, now := Seeded(StateHealthy), time.Unix(1000, 0)
	// passesToRecover kills the target and counts what it takes to come back.
	passesToRecover := func() int {
		now = now.Add(time.Second)
		if !health.Observe(refused, limits, now) || health.State != StateUnhealthy {
			t.Fatal("a death was found later than ever")
		}
		for passes := 1; passes <= 1000; passes++ {
			if health.Observe(pass, limits, now) {
				return passes
			}
		}
		t.Fatal("never recovers")
		return 0
	}
	var got []int
	for range freeFalls + 5 {
		got = append(got, passesToRecover())
	}
	want := []int{2, 2, 2, 2, 2, 4, 8, 16, 16, 16}
	if !slices.Equal(got, want) {
		t.Errorf("recoveries took %v passes, want %v", got, want)
	}
	now = now.Add(flapWindow + time.Minute)
	if again := passesToRecover(); again != 2 {
		t.Errorf("after a quiet time it still takes %d passes", again)
	}
}

// TestFlapDampingOfDrains: who now drains and now does not is flapping as well.
func TestFlapDampingOfDrains(t *testing.T) {
	limits := Thresholds{Failure: 1, Success: 1}
	health, now := Seeded(StateHealthy), time.Unix(1000, 0)
	var got []int
	for range freeFalls + 2 {
		now = now.Add(time.Second)
		if !health.Observe(drains, limits, now) || health.State != StateDraining {
			t.Fatal("a drain was found later than ever")
		}
		passes := 1
		for !health.Observe(pass, limits, now) && passes < 100 {
			passes++
		}
		got = append(got, passes)
	}
	if want := []int{1, 1, 1, 1, 1, 2, 4}; !slices.Equal(got, want) {
		t.Errorf("recoveries took %v passes, want %v", got, want)
	}
}
