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

package health

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
)

var (
	okResult      = probes.SuccessResult()
	refusedResult = probes.FailureResult(probes.ReasonConnectionRefused)
	silentResult  = probes.FailureResult(probes.ReasonTimeout)
	noRouteResult = probes.UnknownResult(probes.ReasonNetworkUnreachable)
	standbyResult = probes.IneligibleResult(probes.ReasonRole)
	drainResult   = probes.Result{Outcome: probes.Draining, Reason: probes.ReasonDraining, Code: 503}
)

// healthCases are for thresholds of 3 failures and 2 passes.
var healthCases = []struct {
	name    string
	from    State
	results []probes.Result
	want    State
	reason  probes.Reason
	changes int
	pending bool
}{
	{"nothing seen", StateUnknown, nil, StateUnknown, probes.ReasonNone, 0, true},
	{"first pass is a verdict", StateUnknown, []probes.Result{okResult}, StateHealthy, probes.ReasonNone, 1, false},
	{"first failure is none", StateUnknown, []probes.Result{refusedResult}, StateUnknown, probes.ReasonNone, 0, true},
	{"failures are one", StateUnknown, []probes.Result{refusedResult, refusedResult, refusedResult}, StateUnhealthy, probes.ReasonConnectionRefused, 1, false},
	{"failures below the threshold", StateHealthy, []probes.Result{refusedResult, refusedResult}, StateHealthy, probes.ReasonNone, 0, true},
	{"failures in a row", StateHealthy, []probes.Result{refusedResult, silentResult, refusedResult}, StateUnhealthy, probes.ReasonConnectionRefused, 1, false},
	{"a pass between failures", StateHealthy, []probes.Result{refusedResult, refusedResult, okResult, refusedResult, refusedResult}, StateHealthy, probes.ReasonNone, 0, true},
	{"an unknown between failures neither counts nor resets", StateHealthy, []probes.Result{refusedResult, noRouteResult, refusedResult, noRouteResult, refusedResult}, StateUnhealthy, probes.ReasonConnectionRefused, 1, false},
	{"only unknown", StateHealthy, []probes.Result{noRouteResult, noRouteResult, noRouteResult, noRouteResult}, StateHealthy, probes.ReasonNone, 0, false},
	{"passes below the threshold", StateUnhealthy, []probes.Result{okResult}, StateUnhealthy, probes.ReasonNone, 0, true},
	{"passes in a row", StateUnhealthy, []probes.Result{okResult, okResult}, StateHealthy, probes.ReasonNone, 1, false},
	{"a failure between passes", StateUnhealthy, []probes.Result{okResult, refusedResult, okResult}, StateUnhealthy, probes.ReasonNone, 0, true},
	{"a lasting new reason", StateUnhealthy, []probes.Result{refusedResult, refusedResult, refusedResult, silentResult, silentResult, silentResult}, StateUnhealthy, probes.ReasonTimeout, 2, false},
	{"a passing new reason", StateUnhealthy, []probes.Result{refusedResult, refusedResult, refusedResult, silentResult, refusedResult, silentResult}, StateUnhealthy, probes.ReasonConnectionRefused, 1, false},
	{"first drain is a verdict", StateUnknown, []probes.Result{drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"first drain after failures", StateUnknown, []probes.Result{refusedResult, refusedResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"drains below the threshold", StateHealthy, []probes.Result{drainResult, drainResult}, StateHealthy, probes.ReasonNone, 0, true},
	{"drains in a row", StateHealthy, []probes.Result{drainResult, drainResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"a pass between drains", StateHealthy, []probes.Result{drainResult, drainResult, okResult, drainResult}, StateHealthy, probes.ReasonNone, 0, true},
	{"failures, and a drain", StateHealthy, []probes.Result{refusedResult, silentResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"a drain, and death", StateHealthy, []probes.Result{drainResult, refusedResult, refusedResult, refusedResult}, StateUnhealthy, probes.ReasonConnectionRefused, 1, false},
	{"drains and failures in turn", StateHealthy, []probes.Result{drainResult, refusedResult, drainResult, refusedResult, drainResult, refusedResult}, StateDraining, probes.ReasonDraining, 1, true},
	{"drained and dead", StateDraining, []probes.Result{refusedResult, refusedResult, refusedResult}, StateUnhealthy, probes.ReasonConnectionRefused, 1, false},
	{"drained and well again", StateDraining, []probes.Result{okResult, okResult}, StateHealthy, probes.ReasonNone, 1, false},
	{"a drain between passes", StateDraining, []probes.Result{okResult, drainResult, okResult}, StateDraining, probes.ReasonNone, 0, true},
	{"draining, a failure and a pass", StateDraining, []probes.Result{refusedResult, okResult}, StateDraining, probes.ReasonNone, 0, true},
	{"back from the dead to drain", StateUnhealthy, []probes.Result{drainResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"back from the dead, draining at first", StateUnhealthy, []probes.Result{drainResult, okResult, okResult}, StateHealthy, probes.ReasonNone, 1, false},
	{"back from the dead, draining at last", StateUnhealthy, []probes.Result{okResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"an unknown between drains", StateHealthy, []probes.Result{drainResult, noRouteResult, drainResult, noRouteResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"first answer of another role", StateUnknown, []probes.Result{standbyResult}, StateIneligible, probes.ReasonRole, 1, false},
	{"one answer of another role", StateHealthy, []probes.Result{okResult, standbyResult}, StateIneligible, probes.ReasonRole, 1, false},
	{"one answer of another role while draining", StateDraining, []probes.Result{standbyResult}, StateIneligible, probes.ReasonRole, 1, false},
	{"back from the dead in another role", StateUnhealthy, []probes.Result{standbyResult}, StateIneligible, probes.ReasonRole, 1, false},
	{"promoted", StateIneligible, []probes.Result{standbyResult, okResult}, StateHealthy, probes.ReasonNone, 1, false},
	{"promoted before it has answered twice", StateIneligible, []probes.Result{okResult}, StateIneligible, probes.ReasonNone, 0, true},
	{"demoted and promoted at once", StateHealthy, []probes.Result{standbyResult, okResult}, StateHealthy, probes.ReasonNone, 2, false},
	{"back from the dead and promoted", StateUnhealthy, []probes.Result{standbyResult, refusedResult, okResult}, StateIneligible, probes.ReasonRole, 1, true},
	{"an unknown before the promotion", StateIneligible, []probes.Result{standbyResult, noRouteResult, okResult}, StateHealthy, probes.ReasonNone, 1, false},
	{"ineligible, and a failure", StateIneligible, []probes.Result{refusedResult, refusedResult}, StateIneligible, probes.ReasonNone, 0, true},
	{"ineligible, and death", StateIneligible, []probes.Result{refusedResult, refusedResult, silentResult}, StateUnhealthy, probes.ReasonTimeout, 1, false},
	{"ineligible, and draining", StateIneligible, []probes.Result{drainResult, drainResult}, StateDraining, probes.ReasonDraining, 1, false},
	{"why there is no verdict", StateUnknown, []probes.Result{noRouteResult, noRouteResult, noRouteResult}, StateUnknown, probes.ReasonNetworkUnreachable, 1, true},
}

func TestHealth(t *testing.T) {
	limits := Thresholds{Failure: 3, Success: 2}
	for _, test := range healthCases {
		t.Run(test.name, func(t *testing.T) {
			health, changes := New(test.from), 0
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

// TestHealth_ReasonOfFailuresChanges_IsNoChange: a target that is down may fail in many ways. No
// change of the reason is reported, however few failures make a verdict.
func TestHealth_ReasonOfFailuresChanges_IsNoChange(t *testing.T) {
	status := func(code uint16) probes.Result {
		return probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: code}
	}
	for name, faces := range map[string][]probes.Result{
		"reasons": {refusedResult, silentResult},
		"codes":   {status(500), status(502), status(503)},
	} {
		for failures := uint8(1); failures <= 3; failures++ {
			health, limits, changes := New(StateHealthy), Thresholds{Failure: failures, Success: 2}, 0
			for i := range 100 {
				if health.Observe(faces[i%len(faces)], limits, time.Unix(0, 0)) {
					changes++
				}
			}
			if changes != 1 || health.State != StateUnhealthy {
				t.Errorf("%s, threshold %d: told %d times, state %v", name, failures, changes, health.State)
			}
			for range 3 {
				health.Observe(noRouteResult, limits, time.Unix(0, 0))
			}
			if health.Cause != noRouteResult {
				t.Errorf("%s, threshold %d: what lasts is not told: %v", name, failures, health.Cause)
			}
		}
	}
}

// TestHealth_ApplySelfReport_DecidesOnlyWhereItMay: what an endpoint reports of itself decides at
// once where it may, and never against the probes.
func TestHealth_ApplySelfReport_DecidesOnlyWhereItMay(t *testing.T) {
	limits := Thresholds{Failure: 3, Success: 2}
	away, unknown := probes.FailureResult(probes.ReasonNotServing), probes.FailureResult(probes.ReasonServiceUnknown)
	for _, test := range []struct {
		name     string
		from     State
		probed   []probes.Result
		declared []probes.Result
		want     State
		changes  int
	}{
		{"away", StateHealthy, nil, []probes.Result{away}, StateUnhealthy, 1},
		{"away, twice", StateHealthy, nil, []probes.Result{away, unknown}, StateUnhealthy, 1},
		{"away before any verdict", StateUnknown, nil, []probes.Result{away}, StateUnhealthy, 1},
		{"well before any verdict", StateUnknown, nil, []probes.Result{okResult}, StateHealthy, 1},
		{"well, which is known", StateHealthy, nil, []probes.Result{okResult}, StateHealthy, 0},
		{"well again", StateHealthy, nil, []probes.Result{away, okResult}, StateHealthy, 2},
		{"well again after probes had found it away", StateHealthy, []probes.Result{away, away, away}, []probes.Result{okResult}, StateHealthy, 1},
		{"well, against the probes", StateHealthy, []probes.Result{silentResult, silentResult, silentResult}, []probes.Result{okResult, okResult, okResult}, StateUnhealthy, 0},
		{"well, while the probes begin to fail", StateHealthy, []probes.Result{silentResult, silentResult}, []probes.Result{okResult, okResult}, StateHealthy, 0},
		{"well, after a restart", StateUnhealthy, nil, []probes.Result{okResult, okResult, okResult}, StateUnhealthy, 0},
		{"flapping", StateHealthy, nil, slices.Repeat([]probes.Result{away, okResult}, 10), StateUnhealthy, 2*FreeFalls + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			health, changes := New(test.from), 0
			now := time.Unix(0, 0)
			for _, result := range test.probed {
				health.Observe(result, limits, now)
			}
			for _, result := range test.declared {
				now = now.Add(time.Second)
				if health.ApplySelfReport(result, limits, now) {
					changes++
				}
			}
			if health.State != test.want || changes != test.changes {
				t.Errorf("got state %v, %d changes; want %v, %d", health.State, changes, test.want, test.changes)
			}
		})
	}
	t.Run("counts for no probe", func(t *testing.T) {
		health := New(StateHealthy)
		for range limits.Failure - 1 {
			health.Observe(silentResult, limits, time.Time{})
		}
		health.ApplySelfReport(okResult, limits, time.Time{})
		if !health.Observe(silentResult, limits, time.Time{}) || health.State != StateUnhealthy {
			t.Error("a word has undone failed probes")
		}
	})
}

// TestHealthAgainstOracle compares the counters with a reader of the whole history.
func TestHealthAgainstOracle(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		limits := Thresholds{Failure: 1 + uint8(random.IntN(4)), Success: 1 + uint8(random.IntN(4))}
		from := State(random.IntN(5))
		health, history := New(from), []probes.Outcome{}
		now := time.Unix(0, 0)
		for range 60 {
			now = now.Add(FlapWindow) // far enough apart for no damping
			result := []probes.Result{okResult, okResult, refusedResult, silentResult, drainResult, drainResult, standbyResult, noRouteResult}[random.IntN(8)]
			if result.Outcome != probes.Unknown {
				history = append(history, result.Outcome)
			}
			before := health
			changed := health.Observe(result, limits, now)
			if health.State != before.State && (!changed || health.Cause != result) {
				t.Fatalf("seed %d: a verdict without its cause, or that nobody is notified of", seed)
			}
			if want := verdictOf(from, history, limits); health.State != want {
				t.Fatalf("seed %d, %+v from %v: %v after %v, want %v", seed, limits, from, health.State, history, want)
			}
		}
	}
}

// verdictOf replays a history naively, without unknowns. After each result it looks back
// on all that came before for as many in a row as a change takes.
func verdictOf(state State, history []probes.Outcome, limits Thresholds) State {
	ineligibleSince := 0
	for i, last := range history {
		// all reports whether the last n results are of these outcomes.
		all := func(n uint8, outcomes ...probes.Outcome) bool {
			if i+1 < int(n) {
				return false
			}
			return !slices.ContainsFunc(history[i+1-int(n):i+1], func(o probes.Outcome) bool { return !slices.Contains(outcomes, o) })
		}
		// answered reports whether the last n results are no failures, counted from when the
		// target was found to be ineligible.
		answered := func(n uint8) bool {
			return i+1-ineligibleSince >= int(n) && all(n, probes.Success, probes.Draining, probes.Ineligible)
		}
		before := state
		switch {
		case last == probes.Ineligible:
			state = StateIneligible
		case last == probes.Success && state == StateIneligible:
			if answered(limits.Success) {
				state = StateHealthy
			}
		case last == probes.Success && (state == StateUnknown || all(limits.Success, probes.Success)):
			state = StateHealthy
		case last == probes.Failure && all(limits.Failure, probes.Failure):
			state = StateUnhealthy
		case last == probes.Draining && (state == StateUnknown ||
			state == StateHealthy && all(limits.Failure, probes.Failure, probes.Draining) ||
			state == StateUnhealthy && all(limits.Success, probes.Success, probes.Draining) ||
			state == StateIneligible && answered(limits.Success)):
			state = StateDraining
		}
		if state == StateIneligible && before != StateIneligible {
			ineligibleSince = i
		}
	}
	return state
}

func TestFlapDamping(t *testing.T) {
	limits := Thresholds{Failure: 1, Success: 2}
	health, now := New(StateHealthy), time.Unix(1000, 0)
	// passesToRecover kills the target and counts what it takes to come back.
	passesToRecover := func() int {
		now = now.Add(time.Second)
		if !health.Observe(refusedResult, limits, now) || health.State != StateUnhealthy {
			t.Fatal("a death was found later than ever")
		}
		for passes := 1; passes <= 1000; passes++ {
			if health.Observe(okResult, limits, now) {
				return passes
			}
		}
		t.Fatal("never recovers")
		return 0
	}
	var got []int
	for range FreeFalls + 5 {
		got = append(got, passesToRecover())
	}
	want := []int{2, 2, 2, 2, 2, 4, 8, 16, 16, 16}
	if !slices.Equal(got, want) {
		t.Errorf("recoveries took %v passes, want %v", got, want)
	}
	now = now.Add(FlapWindow + time.Minute)
	if passes := passesToRecover(); passes != 2 {
		t.Errorf("after a quiet time it still takes %d passes", passes)
	}
}

// TestFlapDampingOfDrains: who now drains and now does not is flapping as well.
func TestFlapDampingOfDrains(t *testing.T) {
	limits := Thresholds{Failure: 1, Success: 1}
	health, now := New(StateHealthy), time.Unix(1000, 0)
	var got []int
	for range FreeFalls + 2 {
		now = now.Add(time.Second)
		if !health.Observe(drainResult, limits, now) || health.State != StateDraining {
			t.Fatal("a drain was found later than ever")
		}
		passes := 1
		for !health.Observe(okResult, limits, now) && passes < 100 {
			passes++
		}
		got = append(got, passes)
	}
	if want := []int{1, 1, 1, 1, 1, 2, 4}; !slices.Equal(got, want) {
		t.Errorf("recoveries took %v passes, want %v", got, want)
	}
}

// TestHealth_RoleChangesWithEachAnswer_IsDamped: an address behind which now one server answers
// and now another must not cause a write for each probe.
func TestHealth_RoleChangesWithEachAnswer_IsDamped(t *testing.T) {
	limits := Thresholds{Failure: 3, Success: 2}
	health, now, changes := New(StateHealthy), time.Unix(1000, 0), 0
	for range 100 {
		for _, result := range []probes.Result{standbyResult, okResult} {
			now = now.Add(time.Second)
			if health.Observe(result, limits, now) {
				changes++
			}
			if result == standbyResult && health.State != StateIneligible {
				t.Fatalf("state %v after an answer of another role", health.State)
			}
		}
	}
	if changes < 2*FreeFalls || changes > 40 {
		t.Errorf("%d changes by 200 answers", changes)
	}
}
