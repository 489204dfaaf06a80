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

// Identity is a digest of a prober's definition: targets with the same identity are probed at the
// same host in the same way. It also decides when within its interval a target is probed, and so
// should not change when the operator restarts.
type Identity [16]byte

// Target says what to probe, when, and how results become a verdict.
type Target struct {
	// Key identifies the target among those of its owner.
	Key string
	// Identity is that of Prober.
	Identity Identity
	// Prober makes the probes. nil means that the present definition has an error: a known target
	// stays as it is, a new one is ignored.
	Prober probes.Prober
	// Timing says when.
	Timing Timing
	// Thresholds say how many results make a verdict.
	Thresholds health.Thresholds
	// Initial is the health that a new target starts with.
	Initial health.Health
	// Private hides the verdict from owners in other namespaces that have a target with the same
	// identity. It is for probes that use a secret.
	Private bool
}

// Timing says when a target is probed. All durations are positive.
type Timing struct {
	// Interval is the time from one probe to the next.
	Interval time.Duration
	// FastInterval is used instead while a change is pending.
	FastInterval time.Duration
	// Timeout is the maximum duration of one probe.
	Timeout time.Duration
}

// minStaleAfter keeps a short outage, such as that of a name server, from making verdicts stale that
// are renewed every second.
const minStaleAfter = 30 * time.Second

// StaleAfter returns how long a verdict is valid without a result that counts.
func (t Timing) StaleAfter() time.Duration { return max(3*t.Interval, minStaleAfter) }
