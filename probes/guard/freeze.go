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

import "time"

// freeze is a time in which no endpoint is taken out, because so many fail at once.
type freeze struct {
	startedAt time.Duration
	// maxFailing is the largest number of addresses that failed at the same time.
	maxFailing int
	// progress has the addresses with results since the freeze began, and count counts them by
	// progress.
	progress map[Location]progress
	count    [progressKinds]int
	// recovery is when the last address recovered, and patience how long to wait for the next.
	recovery, patience time.Duration
}

// progress is what has happened to an address since the freeze began.
type progress uint8

const (
	unseen progress = iota
	// failing: it has failed, and has not been reached since.
	failing
	// recovered: it has failed, and has been reached since.
	recovered
	// unaffected: it has been reached all the time.
	unaffected
	progressKinds
)

// maxPatience keeps targets with long intervals from delaying the verdicts on all others: each of
// them is probed again anyway before its verdict.
const maxPatience = time.Minute

func newFreeze(suspects int, startedAt, now time.Duration) *freeze {
	return &freeze{startedAt: startedAt, maxFailing: suspects, progress: map[Location]progress{}, recovery: now}
}

func (f *freeze) fail(run Run, suspects int) {
	f.maxFailing = max(f.maxFailing, suspects)
	f.patience = max(f.patience, min(run.Patience, maxPatience))
	f.note(run.Location, failing)
}

func (f *freeze) reach(at Location, now time.Duration) {
	switch f.progress[at] {
	case failing:
		f.note(at, recovered)
		f.recovery = now
	case unseen:
		f.note(at, unaffected)
	}
}

func (f *freeze) note(at Location, now progress) {
	if before := f.progress[at]; before != unseen {
		f.count[before]--
	}
	f.progress[at] = now
	f.count[now]++
}

// Frozen reports whether some endpoints, or all, are not taken out at present.
func (g *Guard[K]) Frozen(now time.Duration) bool {
	return g.frozen(remote, now) || g.frozen(onLink, now)
}

func (g *Guard[K]) frozen(at side, now time.Duration) bool {
	return g.freeze != nil && !g.expired(g.freeze.startedAt, now) ||
		g.canaries.down[at].known && !g.expired(g.canaries.down[at].at, now) ||
		g.ownDown[at].known && !g.expired(g.ownDown[at].at, now)
}

// expired reports whether a freeze has lasted for its longest time.
func (g *Guard[K]) expired(startedAt, now time.Duration) bool {
	return now-startedAt >= g.options.MaxHold
}

// freezeExpired reports whether there is a freeze that has lasted for its longest time.
func (g *Guard[K]) freezeExpired(now time.Duration) bool {
	return g.freeze != nil && g.expired(g.freeze.startedAt, now)
}

// canariesExpired reports whether the canaries of a side have been down for longer than MaxHold:
// they are gone for good, and the flag was forgotten.
func (g *Guard[K]) canariesExpired(at side, now time.Duration) bool {
	return g.canaries.down[at].known && g.expired(g.canaries.down[at].at, now)
}

// heldSince returns when the guard began to keep the suspect from being taken out, for whatever
// cause. Several causes in a row do not extend a freeze; a cause that had expired before the
// suspect began to fail does not count.
func (g *Guard[K]) heldSince(s *suspect, now time.Duration) time.Duration {
	at := s.Location.side()
	for _, since := range [...]moment{g.canaries.down[at], g.ownDown[at]} {
		if since.known && !g.expired(since.at, s.since) {
			now = min(now, since.at)
		}
	}
	return now
}

// reconsider ends a freeze if the operator was not the cause, since too many addresses were reached
// all the time; if it no longer is, since enough have recovered; or if too many are reached and no
// further one has recovered for a while. An expired freeze ends with its last suspect.
func (g *Guard[K]) reconsider(now time.Duration) {
	f := g.freeze
	if f == nil || g.expired(f.startedAt, now) {
		return
	}
	suspects := float64(g.failing.all())
	tooFew := func(reached int) bool { return suspects < g.options.Share*(suspects+float64(reached)) }
	if suspects <= float64(f.maxFailing)*(1-g.options.Release) || tooFew(f.count[unaffected]) ||
		now-f.recovery > f.patience && tooFew(f.count[unaffected]+f.count[recovered]) {
		g.freeze, g.lastFreezeEnd = nil, now
	}
}

// SetOwnNetwork sets what the operator's host knows of its own network: whether its link has no
// carrier, and whether no gateway answers. Without a carrier no endpoint is taken out, and without
// a gateway none behind it, unless probes still reach some of them.
func (g *Guard[K]) SetOwnNetwork(noCarrier, noGateway bool, now time.Duration) {
	for at, down := range [sides]bool{onLink: noCarrier, remote: noCarrier || noGateway} {
		switch {
		case !down:
			g.endOwnDown(side(at), now)
			g.ownRefuted[at] = false
		case !g.ownDown[at].known && !g.ownRefuted[at]:
			g.ownDown[at] = moment{now, true}
		}
	}
}

// refuteOwnDown notes that a probe that began at a time reached an address. A probe of a remote
// address uses the link, too.
func (g *Guard[K]) refuteOwnDown(at Location, startedAt, now time.Duration) {
	for reached := at.side(); reached < sides; reached++ {
		if g.ownDown[reached].known && startedAt >= g.ownDown[reached].at {
			g.endOwnDown(reached, now)
			g.ownRefuted[reached] = true
		}
	}
}

func (g *Guard[K]) endOwnDown(at side, now time.Duration) {
	if g.ownDown[at].known {
		g.ownDown[at], g.lastFreezeEnd = moment{}, now
	}
}
