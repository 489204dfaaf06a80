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

package guard

import (
	"math"
	"math/bits"
	"net/netip"
	"time"
)

// MaxMultiplier is the largest [Guard.Multiplier].
const MaxMultiplier = 12

// localHealth is the operator's own health: how many probes get lost at random, how many it could
// not make, and how long its process stood still. Old counts decay.
//
// A probe was lost at random if it ended in silence and its target passed later, without having
// been taken out, while probes just before and just after it reached other targets: during a cut
// there are none. The losses must be in minLossy networks, or one of these is the cause.
//
// If a share q of the probes gets lost, a target that is well fails n times in a row with a
// probability of q^n. That is to be below falseRemoval: three hundred targets that are
// probed once a second for ten minutes make 2e5 runs at most, of which then 2e-3 fail
// wrongly. It takes n = ln(falseRemoval)/ln(q) failures, and the multiplier is that number
// by commonThreshold, rounded up: 3 at a loss of 5 or 10%, 6 at 30%, and 12, which is the
// most, from 58% on. It is used for other thresholds as it is.
type localHealth struct {
	// short and long count over a short time, which shows that loss begins, and over a longer
	// one, which shows a small loss where few probes are made.
	short, long tally
	// lossy are the networks that probes were lost in, in this and in the last period, which
	// began at period.
	lossy, lossyBefore map[netip.Prefix]struct{}
	period             time.Duration
	// reached has a bit for each of the last slots in which a probe began that reached a
	// target, the lowest for that with the number slot.
	reached uint64
	slot    int64
}

// tally counts probes, and stalled seconds, which decay to 1/e in the time fading.
type tally struct {
	fading                          time.Duration
	lost, answered, unmade, stalled float64
	// at is when they were last brought up to date.
	at time.Duration
}

const (
	falseRemoval    = 1e-8
	commonThreshold = 3
	minLossy        = 3
	maxLossy        = 64
	minLost         = 2.5
	shortFading     = 10 * time.Second
	longFading      = 90 * time.Second
	// lossyPeriod is for how long a network is remembered, or twice as long.
	lossyPeriod = time.Minute
	// slotLength and nearSlots say what is just before, and just after: half a second.
	slotLength = 100 * time.Millisecond
	nearSlots  = 5
)

func newLocalHealth() localHealth {
	return localHealth{short: tally{fading: shortFading}, long: tally{fading: longFading}}
}

// add brings the counts up to date and adds to them.
func (t *tally) add(lost, answered, unmade, stalled float64, now time.Duration) {
	by := 1.0
	if now > t.at {
		by = math.Exp(-float64(now-t.at) / float64(t.fading))
		t.at = now
	}
	t.lost, t.answered, t.unmade, t.stalled = t.lost*by+lost, t.answered*by+answered, t.unmade*by+unmade, t.stalled*by+stalled
}

// share of the probes that got lost.
func (t *tally) share() float64 {
	if t.lost < minLost {
		return 0
	}
	return t.lost / (t.lost + t.answered)
}

// passed counts a probe that reached its target, after some that were lost.
func (l *localHealth) passed(network netip.Prefix, lost int, startedAt, now time.Duration) {
	l.short.add(float64(lost), 1, 0, 0, now)
	l.long.add(float64(lost), 1, 0, 0, now)
	if now-l.period >= lossyPeriod {
		l.lossyBefore, l.lossy, l.period = l.lossy, nil, now
	}
	if lost > 0 && len(l.lossy) < maxLossy {
		if l.lossy == nil {
			l.lossy = map[netip.Prefix]struct{}{}
		}
		l.lossy[network] = struct{}{}
	}
	slot := int64(startedAt / slotLength)
	if slot > l.slot {
		l.reached <<= min(slot-l.slot, 64)
		l.slot = slot
	}
	if age := l.slot - slot; age < 64 {
		l.reached |= 1 << age
	}
}

// reachedAround reports whether probes just before and just after a time reached other targets.
func (l *localHealth) reachedAround(at time.Duration) bool {
	age := l.slot - int64(at/slotLength) // of the slot of that time, may be negative
	near := func(from, to int64) bool {
		from, to = max(from, 0), min(to, 63)
		return from <= to && bits.OnesCount64(l.reached>>from<<(63-(to-from))) > 0
	}
	return near(age, age+nearSlots) && near(age-nearSlots, age)
}

// share of the probes that got lost, if they did in several networks.
func (l *localHealth) share() float64 {
	networks := len(l.lossyBefore)
	for network := range l.lossy {
		if _, ok := l.lossyBefore[network]; !ok {
			networks++
		}
		if networks >= minLossy {
			break
		}
	}
	if networks < minLossy {
		return 0
	}
	return max(l.short.share(), l.long.share())
}

// Multiplier returns the present factor for the failure thresholds of silent endpoints: from 1, if
// the operator itself is healthy, to MaxMultiplier. Each failure counts as 1/Multiplier when it
// occurs.
func (g *Guard[K]) Multiplier(now time.Duration) int {
	l, recent := &g.local, &g.local.short
	recent.add(0, 0, 0, 0, now)
	l.long.add(0, 0, 0, 0, now)
	multiplier := 1.0
	if q := l.share(); q > 0 {
		multiplier = math.Ceil(math.Log(falseRemoval) / math.Log(q) / commonThreshold)
	}
	// The factor is 2 if the operator did not make a tenth of the probes, or stood still for a
	// tenth of the time, 3 for two tenths, and so on.
	if recent.unmade >= minLost {
		multiplier = max(multiplier, 1+math.Floor(10*recent.unmade/(recent.unmade+recent.lost+recent.answered)))
	}
	multiplier = max(multiplier, 1+math.Floor(10*recent.stalled/shortFading.Seconds()))
	return int(min(multiplier, MaxMultiplier))
}

// Unmade notes that a probe could not be made for lack of the operator's own file descriptors,
// ports or CPU time.
func (g *Guard[K]) Unmade(now time.Duration) { g.local.short.add(0, 0, 1, 0, now) }

// Stalled notes that the operator's process stood still for a time.
func (g *Guard[K]) Stalled(length, now time.Duration) {
	g.local.short.add(0, 0, 0, min(length, shortFading).Seconds(), now)
}
