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

// freeze is a time in which no endpoint is taken out, because of what the suspects have in
// common.
type freeze struct {
	startedAt time.Duration
	// most is how many addresses failed at the worst.
	most int
	// progress is how the addresses with results have fared meanwhile, and count how many of them
	// have fared so.
	progress map[Location]progress
	count    [standings]int
	// recovery is when the last one recovered, and patience for how long to wait for more.
	recovery, patience time.Duration
}

// progress is how an address has fared since the freeze began.
type progress uint8

const (
	unheard progress = iota
	// failing: it has failed, and has not been reached since.
	failing
	// recovered: it has failed, and has been reached since.
	recovered
	// unaffected: it has been reached all the time.
	unaffected
	standings
)

// maxPatience keeps targets that are probed slowly from holding up the verdicts on all
// others: each of them is tried again anyway before it is judged.
const maxPatience = time.Minute

func newFreeze(suspects int, startedAt, now time.Duration) *freeze {
	return &freeze{startedAt: startedAt, most: suspects, progress: map[Location]progress{}, recovery: now}
}

func (f *freeze) fail(run Run, suspects int) {
	f.most = max(f.most, suspects)
	f.patience = max(f.patience, min(run.Patience, maxPatience))
	f.note(run.Location, failing)
}

func (f *freeze) reach(at Location, now time.Duration) {
	switch f.progress[at] {
	case failing:
		f.note(at, recovered)
		f.recovery = now
	case unheard:
		f.note(at, unaffected)
	}
}

func (f *freeze) note(at Location, now progress) {
	if before := f.progress[at]; before != unheard {
		f.count[before]--
	}
	f.progress[at] = now
	f.count[now]++
}

// Frozen reports whether there are places whose endpoints are not taken out at present.
func (g *Guard[K]) Frozen(now time.Duration) bool {
	return g.frozen(remote, now) || g.frozen(onLink, now)
}

func (g *Guard[K]) frozen(at side, now time.Duration) bool {
	return g.freeze != nil && !g.over(g.freeze.startedAt, now) ||
		g.canaries.down[at].known && !g.over(g.canaries.down[at].at, now) ||
		g.ownDown[at].known && !g.over(g.ownDown[at].at, now)
}

// over reports whether a freeze has lasted for its longest time.
func (g *Guard[K]) over(startedAt, now time.Duration) bool { return now-startedAt >= g.options.MaxHold }

// spent reports whether there is a freeze that has lasted for its longest time.
func (g *Guard[K]) spent(now time.Duration) bool {
	return g.freeze != nil && g.over(g.freeze.startedAt, now)
}

// canariesSpent reports whether the canaries of a side have been down for longer than they may
// hold anything: somebody forgot them when they went.
func (g *Guard[K]) canariesSpent(at side, now time.Duration) bool {
	return g.canaries.down[at].known && g.over(g.canaries.down[at].at, now)
}

// heldSince is when the suspect began not to be taken out, for whatever cause. One cause after
// the other makes no freeze longer; but what was over when the suspect began to fail is no
// cause of it.
func (g *Guard[K]) heldSince(s *suspect, now time.Duration) time.Duration {
	at := s.Location.side()
	for _, since := range [...]moment{g.canaries.down[at], g.ownDown[at]} {
		if since.known && !g.over(since.at, s.since) {
			now = min(now, since.at)
		}
	}
	return now
}

// reconsider ends a freeze if it was not us, since too many were reached all the time, or is
// not any more, since enough have recovered, or too many are reached and nobody else has
// recovered for a while. One that is over ends with its last suspect.
func (g *Guard[K]) reconsider(now time.Duration) {
	f := g.freeze
	if f == nil || g.over(f.startedAt, now) {
		return
	}
	suspects := float64(g.failing.all())
	tooFew := func(reached int) bool { return suspects < g.options.Share*(suspects+float64(reached)) }
	if suspects <= float64(f.most)*(1-g.options.Release) || tooFew(f.count[unaffected]) ||
		now-f.recovery > f.patience && tooFew(f.count[unaffected]+f.count[recovered]) {
		g.freeze, g.thawed = nil, now
	}
}

// SetOwnNetwork tells the guard what the operator's host knows of its own network: whether its
// link has no carrier, and whether no gateway is there. Without a carrier no endpoint is taken
// out, and without a gateway none that is behind one, unless something there is still reached.
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

// refuteOwnDown notes that a place was reached by a probe that began at a time. What is
// behind a gateway is reached by way of the link.
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
		g.ownDown[at], g.thawed = moment{}, now
	}
}
