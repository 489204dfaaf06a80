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
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// Identity tells probes apart: two targets with the same identity are probed in the
// same way at the same place. It is a digest of the prober's definition, and also
// decides when within its interval a target is probed, so that it should not change
// from one start of the operator to the next.
type Identity [16]byte

// Target is something to be probed, and how a verdict on it is reached.
type Target struct {
	// Key tells the targets of one owner apart.
	Key string
	// Identity is that of Prober.
	Identity Identity
	// Prober makes the probes. nil means that none can be made by the present
	// definition: a target that the scheduler knows stays as it is, another is ignored.
	Prober probes.Prober
	// Timing says when.
	Timing Timing
	// Thresholds say how many results make a verdict.
	Thresholds health.Thresholds
	// Initial is the health of a target that the scheduler does not know yet.
	Initial health.Health
	// Private keeps the verdict from owners in other namespaces, although they have a
	// target with the same identity. It is for probes that make use of something secret.
	Private bool
}

// Timing says when a target is probed. All of it is positive.
type Timing struct {
	// Interval is the time from one probe to the next.
	Interval time.Duration
	// FastInterval is used instead while a change is pending.
	FastInterval time.Duration
	// Timeout is the time that one probe may take.
	Timeout time.Duration
}

// minStaleAfter keeps a short outage of a name server or the like from making verdicts
// stale that are renewed every second.
const minStaleAfter = 30 * time.Second

// StaleAfter is for how long a verdict stands, when no probe says anything about the target,
// until it is stale.
func (t Timing) StaleAfter() time.Duration { return max(3*t.Interval, minStaleAfter) }
