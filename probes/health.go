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

// Thresholds say how many results in a row make a verdict. Both are at least 1.
type Thresholds struct {
	Failure, Success int32
}

// Health is what a sequence of results amounts to. Its zero value is a target that
// has never been probed.
//
// The first success of a target without a verdict is one at once; after that a
// verdict changes only by as many contrary results in a row as its threshold says,
// and every result that agrees with it starts the count anew.
type Health struct {
	// State is the verdict.
	State State
	// Cause is the result that the verdict rests on. Its reason is empty for a verdict
	// that was not reached by probing, see [Seeded].
	Cause Result
	// Since is when State last changed; zero if it never did.
	Since time.Time

	// contrary counts the results in a row that speak against State.
	contrary int32
	// otherwise counts the results in a row that agree with State, or say nothing about
	// it, for another reason than Cause.
	otherwise int32
	other     Reason
}

// Seeded is a health that is known from elsewhere than probing: what was published
// before a restart, or what a new target is to be taken for.
func Seeded(state State) Health {
	return Health{State: state}
}

// Pending tells whether a change is in the air, so that the next probe should come
// soon: there is no verdict yet, or the last results speak against it.
func (h *Health) Pending() bool {
	return h.State == StateUnknown || h.contrary > 0
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
	if h.contrary < h.needed(result.Outcome, limits) {
		return false
	}
	*h = Health{State: stateOf(result.Outcome), Cause: result, Since: now}
	return true
}

// needed is how many results of this outcome in a row change the verdict.
func (h *Health) needed(outcome Outcome, limits Thresholds) int32 {
	switch {
	case outcome == Failure:
		return limits.Failure
	case h.State == StateUnknown:
		return 1
	default:
		return limits.Success
	}
}

// explain keeps the reason for a verdict up to date: somebody who has mended one
// fault must see the next one. As for the verdict itself, it takes several results
// in a row, so that an endpoint that fails now in this way and now in that causes
// no writes.
func (h *Health) explain(result Result, threshold int32) bool {
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

func stateOf(outcome Outcome) State {
	if outcome == Success {
		return StateHealthy
	}
	return StateUnhealthy
}

// restart forgets the results on the way to a change, but not the verdict.
func (h *Health) restart() {
	h.contrary, h.otherwise = 0, 0
}
