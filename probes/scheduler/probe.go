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
	"cmp"
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/overload"
)

// probe is one schedule, with one connection at a time, for all targets that are probed in the same
// way, whatever their owners. There are tens of thousands of probes, which is why those with the
// same rules share them.
type probe struct {
	prober   probes.Prober
	rules    *rules
	identity Identity
	// namespace is that of its first owner. charged is the one whose limits the probe under way
	// counts against.
	namespace, charged string
	health             health.Health

	// due is when the next probe begins, counted from the scheduler's origin.
	due time.Duration
	// startedAt is when the probe under way began, and startedAwake the same in the time that
	// [overload.Stalls.Awake] counts.
	startedAt, startedAwake time.Duration
	// informed is when the last probe with a result for the verdict ended, or when the target was
	// added, in the time that [overload.Stalls.Awake] counts.
	informed time.Duration
	// took is how long the last probe took, and usual how long probes that pass take; 0 before the
	// first.
	took, usual overload.Microseconds
	// queue is where the probe waits to be due, or for a limit; nil while it is under way. position
	// is its index there.
	queue    *dueQueue
	position int32
	lane     lane
	// failedFast: the last probe took less than half of its timeout.
	failedFast bool
	// accepted: the endpoint accepted the connection of the last probe, as far as the loop knows.
	accepted bool
	// suspect: the target serves, but its last probe failed, see [guard.Guard].
	suspect bool
	// superseded: the endpoint has reported its health itself since the probe started.
	superseded bool
	// cancel ends the probe under way; nil if there is none or the loop makes it.
	cancel context.CancelFunc
	// first and others are the accounts with a target that the probe serves. Nearly always there is
	// only one.
	first  *account
	others []*account
}

// rules are what thousands of probes have in common.
type rules struct {
	timing     Timing
	thresholds health.Thresholds
	private    bool
}

// account is what the scheduler keeps for one owner.
type account struct {
	owner   probes.Owner
	entries []entry // sorted by key
	// expeditedAt is when a change of one target last made others due at once.
	expeditedAt time.Duration
}

// entry is one target of an account.
type entry struct {
	key   string
	probe *probe
}

// find returns the probe for a key; nil if there is none.
func (a *account) find(key string) *probe {
	i, ok := slices.BinarySearchFunc(a.entries, key, func(e entry, key string) int { return cmp.Compare(e.key, key) })
	if !ok {
		return nil
	}
	return a.entries[i].probe
}

// sameAs reports whether a separate probe for the target would be the same.
func (p *probe) sameAs(target *Target, owner probes.Owner) bool {
	return p.identity == target.Identity && *p.rules == rulesOf(target) &&
		(!target.Private || p.namespace == owner.Namespace)
}

func rulesOf(target *Target) rules {
	return rules{timing: target.Timing, thresholds: target.Thresholds, private: target.Private}
}

// shareKey returns equal keys for targets that may share a probe, and hardly ever for others.
func shareKey(seed maphash.Seed, identity Identity, by rules, namespace string) uint64 {
	if !by.private {
		namespace = ""
	}
	return maphash.Comparable(seed, shareable{identity, by, namespace})
}

type shareable struct {
	identity  Identity
	rules     rules
	namespace string
}

// nextDue returns when the probe is due again. While a change is pending, a probe that took longer
// than the fast interval is repeated at once. Otherwise the detection of a black hole would take
// longer than that of a closed port by more than the timeouts.
func (p *probe) nextDue(origin time.Time, now time.Duration) time.Duration {
	if p.health.Pending() || p.suspect {
		return max(p.startedAt+p.rules.timing.FastInterval, now)
	}
	return p.nextOnGrid(origin, now)
}

// nextOnGrid returns the probe's first point on its grid after now: its phase, plus
// multiples of its interval since 1970.
func (p *probe) nextOnGrid(origin time.Time, now time.Duration) time.Duration {
	interval := p.rules.timing.Interval
	phase := time.Duration(binary.BigEndian.Uint64(p.identity[:8]) % uint64(interval))
	return now + interval - (time.Duration(origin.UnixNano())+now-phase)%interval
}

// subscribe adds an account with a target that the probe serves.
func (p *probe) subscribe(to *account) {
	if p.first == nil {
		p.first = to
	} else {
		p.others = append(p.others, to)
	}
}

// unsubscribe removes an account, and reports whether none is left.
func (p *probe) unsubscribe(from *account) (abandoned bool) {
	if p.first != from {
		for i := range p.others {
			if p.others[i] == from {
				p.others = append(p.others[:i:i], p.others[i+1:]...)
				return false
			}
		}
		return false
	}
	p.first = nil
	if last := len(p.others) - 1; last >= 0 {
		p.first, p.others = p.others[last], p.others[:last:last]
	}
	return p.first == nil
}

// accounts returns all accounts with a target that the probe serves.
func (p *probe) accounts() []*account {
	return append([]*account{p.first}, p.others...)
}
