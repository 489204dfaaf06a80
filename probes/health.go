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

import "time"

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
)

// Thresholds say how many results in a row make a verdict. Both are from 1 to 100.
type Thresholds struct {
	Failure, Success uint8
}

// Flap damping: a target that dies more than freeDeaths times within flapWindow needs
// twice as many passes to recover for each further death, up to maxDamping times as
// many. Its deaths are found as fast as ever.
const (
	flapWindow = 5 * time.Minute
	freeDeaths = 5
	maxDamping = 8
)

// Health is what a sequence of results amounts to. Its zero value is a target that
// has never been probed.
//
// The first success of a target without a verdict is one at once; after that a
// verdict changes only by as many contrary results in a row as its threshold says,
// and every result that agrees with it starts the count anew.
type Health struct {
	// State is the verdict.
	State State
	// Cause is the result that the verdict rests on. Its reason is ReasonNone for a
	// verdict that was not reached by probing, see [Seeded].
	Cause Result

	// contrary counts the results in a row that speak against State.
	contrary uint8
	// otherwise counts the results in a row that agree with State, or say nothing about
	// it, for another reason than Cause.
	otherwise uint8
	other     Reason
	// deaths counts those since firstDeath, which is at most flapWindow ago.
	deaths uint8
	// since and firstDeath are in nanoseconds of Unix time; 0 for never. There are many
	// Healths, and a time.Time is three times as large.
	since, firstDeath int64
}

// Seeded is a health that is known from elsewhere than probing: what was published
// before a restart, or what a new target is to be taken for.
func Seeded(state State) Health {
	return Health{State: state}
}

// Since is when State last changed; zero if it never did.
func (h *Health) Since() time.Time {
	if h.since == 0 {
		return time.Time{}
	}
	return time.Unix(0, h.since)
}

// Pending tells whether a change is in the air, so that the next probe should come
// soon: there is no verdict yet, or the last results speak against it.
func (h *Health) Pending() bool {
	return h.State == StateUnknown || h.contrary > 0
}

// Condemns tells whether this result would take a healthy target out.
func (h *Health) Condemns(result Result, limits Thresholds) bool {
	return h.State == StateHealthy && result.Outcome == Failure && h.contrary+1 >= limits.Failure
}

// Observe takes a result into account. It returns true if anything changed that the
// target's owner should know: the verdict, or the lasting reason for it.
func (h *Health) Observe(result Result, limits Thresholds, now time.Time) bool {
	switch {
	case result.Outcome == Unknown:
		return h.State != StateHealthy && h.explain(result, limits.Failure)
	case result.Outcome == Success && h.State == StateHealthy,
		result.Outcome == Failure && h.State == StateUnhealthy:
		h.contrary = 0
		return h.explain(result, limits.Failure)
	}
	h.contrary++
	if int(h.contrary) < h.needed(result.Outcome, limits, now) {
		return false
	}
	h.turn(result, now)
	return true
}

// Declare takes into account what an endpoint says of itself without being asked. That it
// takes no calls is its own word, which no lost packet can have made up, and decides at
// once; so does taking that back, unless it is flapping. For the rest the probes decide:
// being well is nothing that an endpoint can declare against them. It returns true if the
// verdict changed.
func (h *Health) Declare(said Result, limits Thresholds, now time.Time) bool {
	switch {
	case said.Outcome == Failure && h.State != StateUnhealthy,
		said.Outcome == Success && h.State == StateUnknown,
		said.Outcome == Success && h.State == StateUnhealthy && h.Cause.Reason.ownWord() &&
			h.needed(Success, limits, now) <= int(limits.Success):
		h.turn(said, now)
		return true
	}
	return false
}

// Flapping tells whether the target has died so often of late that its recoveries are
// delayed.
func (h *Health) Flapping(now time.Time) bool {
	return h.deaths > freeDeaths && now.UnixNano()-h.firstDeath <= int64(flapWindow)
}

// needed is how many results of this outcome in a row change the verdict.
func (h *Health) needed(outcome Outcome, limits Thresholds, now time.Time) int {
	switch {
	case outcome == Failure:
		return int(limits.Failure)
	case h.State == StateUnknown:
		return 1
	case !h.Flapping(now):
		return int(limits.Success)
	}
	return min(int(limits.Success)*min(1<<(h.deaths-freeDeaths), maxDamping), 255)
}

// turn changes the verdict.
func (h *Health) turn(result Result, now time.Time) {
	turned := Health{State: StateHealthy, Cause: result, since: now.UnixNano(), deaths: h.deaths, firstDeath: h.firstDeath}
	if result.Outcome == Failure {
		turned.State = StateUnhealthy
		if h.State == StateHealthy {
			turned.die()
		}
	}
	*h = turned
}

// die counts a death.
func (h *Health) die() {
	if h.deaths == 0 || h.since-h.firstDeath > int64(flapWindow) {
		h.deaths, h.firstDeath = 0, h.since
	}
	if h.deaths < freeDeaths+8 { // enough for any damping
		h.deaths++
	}
}

// explain keeps the reason for a verdict up to date: somebody who has mended one
// fault must see the next one. As for the verdict itself, it takes several results
// in a row, so that an endpoint that fails now in this way and now in that causes
// no writes.
func (h *Health) explain(result Result, threshold uint8) bool {
	if result.Reason == h.Cause.Reason && result.Code == h.Cause.Code {
		h.otherwise = 0
		return false
	}
	if result.Reason != h.other {
		h.otherwise, h.other = 0, result.Reason
	}
	h.otherwise++
	if h.otherwise < threshold {
		return false
	}
	h.Cause, h.otherwise = result, 0
	return true
}

// restart forgets the results on the way to a change, but not the verdict.
func (h *Health) restart() {
	h.contrary, h.otherwise = 0, 0
}
