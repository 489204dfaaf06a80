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

import (
	"net/netip"
	"time"
)

// GuardOptions say when failures are taken for the operator's own.
type GuardOptions struct {
	// Share of the targets, of all that were probed since one of them began to fail, that
	// must have failed in the network, above 0 and at most 1.
	Share float64
	// Groups is how many owners, or how many networks, these must belong to.
	Groups int
	// Release is the share of the suspects that must be well again before verdicts are
	// trusted again, above 0 and at most 1.
	Release float64
}

// DefaultGuardOptions are those that hold if nothing else is said.
func DefaultGuardOptions() GuardOptions {
	return GuardOptions{Share: 0.9, Groups: 3, Release: 0.5}
}

// guard tells the loss of our own network from the deaths of endpoints. A healthy target
// whose last probe failed in the network is a suspect. It is pure; times are counted from
// the scheduler's origin.
//
// Whoever was reached between the first and the last of a suspect's failing probes speaks
// against it: one cut of our network that spoiled both would have spoiled theirs. Who was
// reached before or after says nothing, since a packet that was lost stays lost when the
// network is back. So it waits for one more probe of its own if there is nobody, and some
// others are asked as soon as one begins to fail. When nearly everybody who was probed
// meanwhile is a suspect as well, and they have neither an owner nor a network in common, it
// is us.
type guard struct {
	options GuardOptions

	suspects  int
	byOwner   map[Owner]int
	byNetwork map[netip.Prefix]int
	// patience is for how long the others are waited for once some have recovered.
	patience time.Duration
	// reached counts the probes that were answered; in an isolation, those of targets that
	// had been cut off, since others may be near. targets counts the targets, each by the last
	// time that it was reached.
	reached, targets reachedCounter
	// asked is when witnesses were last asked, and heard when the last of them will have
	// answered or failed.
	asked, heard time.Duration
	// isolation is nil while we are not taken to be cut off, and isolated is when we were
	// last: to have been reached before speaks against nobody any more.
	isolation *isolation
	isolated  time.Duration
}

func newGuard(options GuardOptions) guard {
	return guard{options: options, byOwner: map[Owner]int{}, byNetwork: map[netip.Prefix]int{}, asked: -1}
}

// mostPatience keeps targets that are probed slowly from holding up the verdicts on all
// others: each of them is tried again anyway before it is judged.
const mostPatience = time.Minute

// suspect counts a healthy target that has begun to fail in the network.
func (g *guard) suspect(p *probe) {
	g.suspects++
	g.byOwner[p.first.owner]++
	g.byNetwork[networkOf(placeOf(p))]++
	g.patience = max(g.patience, min(2*max(p.rules.timing.Timeout, p.rules.timing.FastInterval), mostPatience))
	if g.isolation != nil {
		g.isolation.most = max(g.isolation.most, g.suspects)
		g.isolation.note(p, faltering)
	}
}

// clear takes a suspect back: it is well, or dead by a verdict.
func (g *guard) clear(p *probe) {
	g.suspects--
	lower(g.byOwner, p.first.owner)
	lower(g.byNetwork, networkOf(placeOf(p)))
	if g.suspects == 0 {
		g.patience = 0
	}
	if g.isolation == nil {
		return
	}
	g.isolation.note(p, faltering)
	if float64(g.suspects) <= float64(g.isolation.most)*(1-g.options.Release) {
		g.isolation = nil
	}
}

// retransmission is after how long a lost SYN is sent again (RFC 6298).
const retransmission = time.Second

// reach notes that a target that is no suspect was reached by a probe.
func (g *guard) reach(p *probe, begun, now time.Duration) {
	// What a probe has sent at first went through. If the answer took so long that this may
	// have been lost, only the end of it is known.
	at := max(begun, 1) // 0 is for never
	if now-begun >= retransmission {
		at = now
	}
	if g.isolation == nil || g.isolation.wasCutOff(p) {
		g.reached.add(at, now)
	}
	g.targets.takeBack(p.reached)
	g.targets.add(at, now)
	p.reached = at
	if g.isolation != nil {
		g.isolation.reach(p, now)
		g.reconsider(now)
	}
}

// lose takes a suspect back that goes away or changes hands: nobody has got well by that.
func (g *guard) lose(p *probe) {
	if g.isolation != nil {
		g.isolation.most--
	}
	g.clear(p)
}

// forget is for a target that is gone.
func (g *guard) forget(p *probe) {
	g.targets.takeBack(p.reached)
	if g.isolation != nil {
		g.isolation.forget(p)
	}
}

// reconsider trusts verdicts again if it was not us, since too many were reached all the
// time, or is not any more, since too many are reached again and nobody else has been for a
// while.
func (g *guard) reconsider(now time.Duration) {
	steady, recovered := g.isolation.count[steady], g.isolation.count[recovered]
	if !g.widespread(steady) || now-g.isolation.recovery > g.patience && !g.widespread(steady+recovered) {
		g.isolation = nil
	}
}

// widespread tells whether there are too many suspects, beside so many others, for it to be
// their own fault.
func (g *guard) widespread(others int) bool {
	return g.spread() && float64(g.suspects) >= g.options.Share*float64(g.suspects+others)
}

// spread tells whether the suspects have neither an owner nor a network in common.
func (g *guard) spread() bool { return max(len(g.byOwner), len(g.byNetwork)) >= g.options.Groups }

// witnessed notes that witnesses were asked who will all have answered by a time.
func (g *guard) witnessed(now, until time.Duration) {
	g.asked, g.heard = now, max(g.heard, until)
}

// judgment is what the guard says of a target that would be taken out.
type judgment uint8

const (
	// dead: it is the target's fault.
	dead judgment = iota
	// unsure: perhaps our network was away and is back. Try again.
	unsure
	// ask: nobody else was reached, but perhaps nobody was asked. Ask some, and try again.
	ask
	// isolated: it is our fault.
	isolated
)

// failures is a run of them: when the first probe of it began and ended, and when the
// last one began, which may be the same.
type failures struct{ begun, ended, last time.Duration }

// judge decides about a target that has failed often enough.
func (g *guard) judge(run failures, now time.Duration) judgment {
	if g.isolation != nil {
		if g.reconsider(now); g.isolation != nil {
			return isolated
		}
	}
	since := run.spoiled()
	against := g.against(run, max(since, g.isolated), now)
	switch ours := g.widespread(g.targets.between(since, now)); {
	case against > 0 && !ours:
		return dead
	case against == 0 && g.targets.between(run.last+reachedBucket, now) > 0:
		return unsure
	case g.asked < run.ended:
		return ask
	case ours:
		g.isolated = now
		g.isolation = newIsolation(g.suspects, now)
		return isolated
	case now < g.heard:
		return unsure
	}
	return dead // nobody is left who could tell
}

// spoiled is when a cut that caused all of the failures had begun at the latest: an endpoint
// that is well has answered before half of its time is over.
func (f failures) spoiled() time.Duration { return f.begun + (f.ended-f.begun)/2 }

// against counts the probes that were answered while such a cut must have lasted.
func (g *guard) against(run failures, since, now time.Duration) int {
	switch {
	case now-run.last > reachedMemory: // so long a timeout outlasts any short cut
		return g.reached.between(run.last, now)
	case run.last >= run.ended:
		return g.reached.between(since, run.last)
	case !g.spread():
		// A single probe, which is to decide. A cut that was over before it ended, and hit
		// hardly anybody else, cannot be told from what the target itself has lost.
		return g.reached.between(since, now)
	}
	return 0
}

// networkOf is the network that a place is taken to be in. Names are networks of their
// own kind.
func networkOf(at place) netip.Prefix {
	bits := 24
	if at.addr.Is6() {
		bits = 48
	}
	network, err := at.addr.Prefix(bits)
	if err != nil { // a name: all of them count as one
		return netip.Prefix{}
	}
	return network
}
