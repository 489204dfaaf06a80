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
	"time"

	"farpoint.dev/farpoint/probes"
)

// State is the verdict on a target.
type State uint8

// Verdicts on a target.
const (
	// StateUnknown: there has been no verdict.
	StateUnknown State = iota
	// StateHealthy: the probes pass.
	StateHealthy
	// StateUnhealthy: the probes fail.
	StateUnhealthy
	// StateDraining: the target serves, and says itself that it takes no new traffic.
	StateDraining
	// StateIneligible: the target works, and says itself that it is not the one for this traffic.
	StateIneligible
)

// Serves reports whether connections to the target are worth keeping.
func (s State) Serves() bool { return s == StateHealthy || s == StateDraining }

// Works reports whether the target is known to be up, whether or not traffic should go to it.
func (s State) Works() bool { return s.Serves() || s == StateIneligible }

// Thresholds say how many results in a row make a verdict. Both are from 1 to 100.
type Thresholds struct {
	Failure, Success uint8
}

// Flap damping: a target that falls more than freeFalls times within flapWindow, be it that
// it dies or begins to drain, needs twice as many passes to rise for each further fall, up
// to maxDamping times as many. Its falls are found as fast as ever. Losing eligibility is a
// fall, too: an address behind which now one server answers and now another would otherwise
// cause a write for each probe.
const (
	FlapWindow = 5 * time.Minute
	FreeFalls  = 5
	maxDamping = 8
)

// Health is what a sequence of results amounts to. Its zero value is a target that
// has never been probed.
//
// The first success of a target without a verdict is one at once, and so is its first word
// that it drains. After that a verdict changes only to what the last result speaks for, and
// by as many results in a row as a threshold says: to Unhealthy by failures, to Healthy by
// passes, and to Draining from above by results that are no passes and from below by
// results that are no failures. Thus a target that drains and dies is dead after as many
// failures as any other, and one that now drains and now fails is not left in use.
//
// One answer makes a target Ineligible, whatever came before: no lost packet can have made it
// up, and clients that go on writing to a primary that has been demoted lose what they write. From
// Ineligible to Healthy it takes a pass that ends a row of as many answers without a failure
// as the threshold for successes says. A replica that has answered for long and is promoted
// gets traffic by its first pass: nobody else serves in the meantime. One that was dead just
// now has to prove itself like any other.
type Health struct {
	// State is the verdict.
	State State
	// StaleReason is why nothing has been learnt about the target for so long that State is
	// stale, see [Timing.StaleAfter]: the reason of the last probe that said nothing, or
	// ReasonDeferred if there was no probe. It is ReasonNone while State is not stale. A
	// target without a verdict has none that could be stale.
	StaleReason probes.Reason
	// Cause is the result that the verdict rests on. Its reason is ReasonNone for a
	// verdict that was not reached by probing, see [New].
	Cause probes.Result

	runs
	// otherwise counts the results in a row that agree with State, or say nothing about
	// it, for the same reason, other, and with the same code, which are not those of Cause.
	otherwise uint8
	other     probes.Reason
	otherCode uint16
	// falls counts those since firstFall, which is at most flapWindow ago.
	falls uint8
	// since and firstFall are in nanoseconds of Unix time; 0 for never. There are many
	// Healths, and a time.Time is three times as large.
	since, firstFall int64
}

// runs count results in a row, up to 255. Those that say nothing about the target are not
// among them.
type runs struct {
	// passed and failed are alike.
	passed, failed uint8
	// unpassed are all but passes, and unfailed all but failures.
	unpassed, unfailed uint8
}

func (r *runs) add(outcome probes.Outcome) {
	extended := func(run uint8, by bool) uint8 {
		if !by {
			return 0
		}
		return run + min(1, 255-run)
	}
	r.passed, r.unpassed = extended(r.passed, outcome == probes.Success), extended(r.unpassed, outcome != probes.Success)
	r.failed, r.unfailed = extended(r.failed, outcome == probes.Failure), extended(r.unfailed, outcome != probes.Failure)
}

// New is a health that is known from elsewhere than probing: what was published before a
// restart, or the initial state of a new target.
func New(state State) Health {
	return Health{State: state}
}

// SeededStale is a health that is known from elsewhere and cannot be probed, for this
// reason. It is stale until a probe passes or fails.
func SeededStale(state State, reason probes.Reason) Health {
	health := New(state)
	health.Expire(reason)
	return health
}

// IsStale reports whether nothing has been learnt about the target for so long that State
// may be wrong.
func (h *Health) IsStale() bool { return h.StaleReason != probes.ReasonNone }

// Expire makes the verdict stale, if there is one. It returns true if it was not before.
func (h *Health) Expire(reason probes.Reason) (expired bool) {
	if h.State == StateUnknown {
		return false
	}
	expired = !h.IsStale()
	h.StaleReason = reason
	return expired
}

// Since is when State last changed; zero if it never did.
func (h *Health) Since() time.Time {
	if h.since == 0 {
		return time.Time{}
	}
	return time.Unix(0, h.since)
}

// Pending reports whether a change is in the air, so that the next probe should come
// soon: there is no verdict yet, or the last results speak against it.
func (h *Health) Pending() bool {
	switch h.State {
	case StateHealthy:
		return h.unpassed > 0
	case StateUnhealthy:
		return h.unfailed > 0
	case StateDraining, StateIneligible:
		return h.passed > 0 || h.failed > 0
	}
	return true
}

// WouldMarkDown reports whether this result would make a target that works unhealthy.
func (h *Health) WouldMarkDown(result probes.Result, limits Thresholds) bool {
	return h.State.Works() && result.Outcome == probes.Failure && int(h.failed)+1 >= int(limits.Failure)
}

// Observe takes a result into account. It returns true if anything changed that the
// target's owner should know: the verdict, the lasting reason for it, or that it is stale
// no more.
func (h *Health) Observe(result probes.Result, limits Thresholds, now time.Time) bool {
	if result.Outcome == probes.Reachable {
		h.failed, h.unpassed = 0, 0
	}
	if !result.Outcome.Decides() {
		return h.State != StateHealthy && h.explain(result, limits.Failure)
	}
	renewed := h.IsStale()
	h.StaleReason = probes.ReasonNone
	return h.count(result, limits, now) || renewed
}

// count is Observe for results that say something about the target.
func (h *Health) count(result probes.Result, limits Thresholds, now time.Time) bool {
	h.add(result.Outcome)
	switch {
	case stateFor(result.Outcome) == h.State:
		return h.explain(result, limits.Failure)
	case h.streak(result.Outcome) < h.needed(result.Outcome, limits, now):
		return false
	}
	h.transition(result, now)
	return true
}

// stateFor is the state that an outcome supports.
func stateFor(o probes.Outcome) State {
	switch o {
	case probes.Success:
		return StateHealthy
	case probes.Failure:
		return StateUnhealthy
	case probes.Draining:
		return StateDraining
	case probes.Ineligible:
		return StateIneligible
	}
	return StateUnknown
}

// streak is how many results in a row speak for the change that the last one does.
func (h *Health) streak(outcome probes.Outcome) int {
	switch {
	case outcome == probes.Success && h.State != StateIneligible:
		return int(h.passed)
	case outcome == probes.Failure:
		return int(h.failed)
	case h.State == StateHealthy:
		return int(h.unpassed)
	}
	return int(h.unfailed)
}

// ApplySelfReport takes into account what an endpoint reports of itself without being asked. That it
// takes no calls is its own word, which no lost packet can have made up, and decides at once;
// so does taking that back, unless it is flapping. For the rest the probes decide: being well
// is nothing that an endpoint can declare against them. It returns true if the verdict changed.
func (h *Health) ApplySelfReport(result probes.Result, limits Thresholds, now time.Time) bool {
	switch {
	case result.Outcome == probes.Failure && h.State != StateUnhealthy,
		result.Outcome == probes.Success && h.State == StateUnknown,
		result.Outcome == probes.Success && h.State == StateUnhealthy && h.Cause.Reason.IsSelfReported() &&
			h.needed(probes.Success, limits, now) <= int(limits.Success):
		h.transition(result, now)
		return true
	}
	return false
}

// Flapping reports whether the target has fallen so often of late that its recoveries are
// delayed.
func (h *Health) Flapping(now time.Time) bool {
	return h.falls > FreeFalls && now.UnixNano()-h.firstFall <= int64(FlapWindow)
}

// needed is how many results in a row change the verdict to that of the last one.
func (h *Health) needed(outcome probes.Outcome, limits Thresholds, now time.Time) int {
	switch {
	case outcome == probes.Ineligible:
		return 1
	case outcome == probes.Failure, outcome == probes.Draining && h.State == StateHealthy:
		return int(limits.Failure)
	case h.State == StateUnknown:
		return 1
	case !h.Flapping(now):
		return int(limits.Success)
	}
	return min(int(limits.Success)*min(1<<(h.falls-FreeFalls), maxDamping), 255)
}

// transition changes the verdict.
func (h *Health) transition(result probes.Result, now time.Time) {
	turned := Health{State: stateFor(result.Outcome), Cause: result, since: now.UnixNano(), falls: h.falls, firstFall: h.firstFall}
	if h.State == StateHealthy || h.State.Works() && turned.State == StateUnhealthy {
		turned.recordDown()
	}
	if turned.State == StateIneligible {
		turned.add(result.Outcome) // see streak
	}
	*h = turned
}

// recordDown counts a fall.
func (h *Health) recordDown() {
	if h.falls == 0 || h.since-h.firstFall > int64(FlapWindow) {
		h.falls, h.firstFall = 0, h.since
	}
	if h.falls < FreeFalls+8 { // enough for any damping
		h.falls++
	}
}

// explain keeps the reason for a verdict up to date: somebody who has fixed one fault must see
// the next one. As for the verdict itself, it takes several results in a row, so that an
// endpoint that fails now in this way and now in that causes no writes: some of them even where
// one result makes a verdict.
func (h *Health) explain(result probes.Result, threshold uint8) bool {
	if result.Reason == h.Cause.Reason && result.Code == h.Cause.Code {
		h.otherwise = 0
		return false
	}
	if result.Reason != h.other || result.Code != h.otherCode {
		h.otherwise, h.other, h.otherCode = 0, result.Reason, result.Code
	}
	if h.Cause.Reason != probes.ReasonNone {
		threshold = max(threshold, fewestToExplain)
	}
	h.otherwise++
	if h.otherwise < threshold {
		return false
	}
	h.Cause, h.otherwise = result, 0
	return true
}

// fewestToExplain is how many results in a row give another reason at least.
const fewestToExplain = 3

// Restart forgets the results on the way to a change, but not the verdict.
func (h *Health) Restart() {
	h.runs, h.otherwise = runs{}, 0
}
