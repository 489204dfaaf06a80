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

// Package guard decides whose fault failures are: the endpoints', or the operator's own.
//
// It knows the targets that serve and have begun to fail, the suspects, and counts failure
// domains: addresses, and networks (/24 and /48). Whose targets they are does not matter:
// one host that carries three services is one address in one network.
//
// Before a suspect is taken out, some others are asked at once, the witnesses. A window
// opens when they are asked, and remembers which addresses were reached since:
//
//   - If at least Share of the addresses that were probed in the window, in at least
//     Networks networks, fail in the same class, no endpoint is taken out: a freeze. What
//     all have in common is us. The class does not matter: silence is a cut, refusals are
//     a dead sidecar or our own firewall, bad certificates are a wrong clock or an
//     intercepting proxy, and so are equal answers of everybody.
//   - Else an address must have been reached between the first and the last probe of the
//     suspect's run of failures: one cut of ours that spoiled both would have spoiled that
//     one, too. What was reached before or after says nothing. A failure that is no silence
//     took no time, so that anybody who was reached since it will do.
//   - If nobody else is left to ask, the suspect is believed dead. Below Networks networks
//     one replica cannot know better.
//
// Canaries are targets that are always there. If there are any, they decide instead of the
// share: a suspect goes when a canary was reached between its failures, and while all
// canaries fail, none goes. What is on our own link says nothing about what is behind our
// router: such canaries and witnesses count for suspects on the link only.
//
// A freeze ends when Release of the suspects are well again; when too many others were reached
// during it all the time, or the suspects that recover stop to do so; or, if the canaries
// caused it, when most of them have passed twice in a row. It lasts for MaxHold at most: what
// fails is then believed dead. Canaries that are silent for longer count as dead themselves,
// and do not decide until they are back.
//
// A lost packet here and there is no cut, and is accounted for by [Guard.Multiplier].
package guard

import (
	"net/netip"
	"time"
)

// Class is the kind of a failure. Failures of one cause of ours are of one class.
type Class uint8

const (
	// Answered is a failure that only the endpoint itself can have caused. Neither
	// statistics nor witnesses speak for it.
	Answered Class = iota
	// Silence is no answer in time, or no way to the host.
	Silence
	// Refusal is a connection that was refused or closed.
	Refusal
	// TLS is a fault of the certificate or the handshake.
	TLS
	// Names is a name server that does not answer as it should.
	Names
	// Content is an unexpected status or body, or another protocol.
	Content
	classes
)

// Options define when failures are attributed to the operator's own network.
type Options struct {
	// Share of the addresses that were probed that must fail in the same class, above 0 and
	// at most 1.
	Share float64
	// Networks is how many networks these must be in.
	Networks int
	// Release is the share of the failing addresses that must be well again for verdicts to
	// be trusted again, above 0 and at most 1.
	Release float64
	// MaxHold is the longest time for which endpoints that fail are not taken out.
	MaxHold time.Duration
}

// DefaultOptions are those that hold if nothing else is said.
func DefaultOptions() Options {
	return Options{Share: 0.9, Networks: 3, Release: 0.5, MaxHold: 10 * time.Minute}
}

// Location is where a target is: the zero Place if that is not known.
type Location struct {
	Addr netip.Addr
	// Name is used if there is no address.
	Name string
	// OnLink: the address is on the operator's own link.
	OnLink bool
}

// network is the failure domain above the address. Names are one of their own.
func (p Location) network() netip.Prefix {
	addr := p.Addr.Unmap()
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	network, _ := addr.Prefix(bits) // the zero Prefix for no address
	return network
}

// Run is a run of failures of one target, as of its last probe.
type Run struct {
	Location Location
	// Class is that of the last failure.
	Class Class
	// StartedAt is when the last probe began.
	StartedAt time.Duration
	// Threshold is how many failures make the target unhealthy.
	Threshold int
	// Patience is for how long the target is waited for in a freeze when others recover.
	Patience time.Duration
}

// Decision is the guard's answer for a suspect that would be taken out.
type Decision uint8

const (
	// Dead means that it is the endpoint's fault.
	Dead Decision = iota
	// Doubt means that too many probes get lost at present for so few failures to prove anything.
	Doubt
	// Ask means that nobody has been reached meanwhile. Ask witnesses, if [Guard.WantsWitnesses] says
	// so, and judge again when one has answered, and after the next probe.
	Ask
	// Hold means that it is our fault.
	Hold
)

// suspect is a target that serves, and failed when it was probed last.
type suspect struct {
	Run
	// since is when a cut of ours that caused all of the run had begun at the latest: an
	// endpoint that is well has answered before half of its time is over.
	since time.Duration
	// failures is how many failures the run is worth, by what [Guard.Multiplier] was at each
	// of them. silent is how many of them were silent, and lost how many of these while
	// others were reached.
	failures       float64
	silences, lost int
}

// Guard is not safe for concurrent use. Its keys tell targets apart. Times are counted from
// any origin, and never go back.
type Guard[K comparable] struct {
	options  Options
	suspects map[K]*suspect
	// failing are the places of the suspects.
	failing domains
	windows []*window[K]
	// mayAskAt is when the next witnesses may be asked.
	mayAskAt time.Duration
	freeze   *freeze
	// thawed is when the last freeze ended. To have been reached before speaks against
	// nobody any more.
	thawed   time.Duration
	canaries canaries[K]
	local    localHealth
	// ownDown is since when our own host knows that a side cannot be reached, and ownRefuted
	// that it was reached meanwhile: what the host knows is wrong.
	ownDown    [sides]moment
	ownRefuted [sides]bool
}

// New returns a guard that suspects nobody.
func New[K comparable](options Options) *Guard[K] {
	return &Guard[K]{options: options, suspects: map[K]*suspect{}, failing: newDomains(), local: newLocalHealth(), canaries: canaries[K]{known: map[K]*canary{}}}
}

// Suspects returns how many targets that serve have begun to fail.
func (g *Guard[K]) Suspects() int { return len(g.suspects) }

// IsSuspect reports whether the target's last probe failed.
func (g *Guard[K]) IsSuspect(k K) bool { return g.suspects[k] != nil }

// Failed notes that a probe of a target that serves has failed.
func (g *Guard[K]) Failed(k K, run Run, now time.Duration) {
	g.noteWitness(k)
	s := g.suspects[k]
	if s == nil {
		s = &suspect{since: run.StartedAt + (now-run.StartedAt)/2}
		g.suspects[k] = s
		for _, w := range g.windows {
			w.lose(run)
		}
	} else {
		for _, w := range g.windows {
			w.loseAgain(run)
		}
		g.failing.remove(s.Class, s.Location)
	}
	s.Run = run
	g.failing.add(s.Class, s.Location)
	switch {
	case run.Class != Silence:
		s.failures++
	default:
		s.silences++
		s.failures += 1 / float64(g.Multiplier(now))
		if g.freeze == nil && g.local.reachedAround(run.StartedAt) {
			s.lost++
		}
	}
	if g.freeze != nil {
		g.freeze.fail(run, g.failing.all())
	}
}

// Passed notes that a probe reached a target that serves.
func (g *Guard[K]) Passed(k K, at Location, startedAt, now time.Duration) {
	g.noteWitness(k)
	lost := 0
	if s := g.suspects[k]; s != nil {
		lost = s.lost
		for _, w := range g.windows {
			w.returned = w.returned || s.silences > 0 && startedAt >= w.startedAt
		}
		g.drop(k, s, now)
	}
	g.refuteOwnDown(at, startedAt, now)
	g.local.passed(at.network(), lost, startedAt, now)
	// What a probe has sent at first went through. If the answer took so long that this may
	// have been lost, only the end of it is known.
	if now-startedAt >= retransmission {
		startedAt = now
	}
	for _, w := range g.windows {
		w.reach(at, startedAt, g.failing.all())
	}
	if g.freeze != nil {
		g.freeze.reach(at, now)
		g.reconsider(now)
	}
}

// retransmission is after how long a lost SYN is sent again (RFC 6298).
const retransmission = time.Second

// Removed forgets a target that is gone, or was taken out. Nobody has recovered by that.
func (g *Guard[K]) Removed(k K, now time.Duration) {
	g.noteWitness(k)
	if s := g.suspects[k]; s != nil {
		g.drop(k, s, now)
		if g.freeze != nil {
			g.freeze.most--
		}
	}
}

func (g *Guard[K]) drop(k K, s *suspect, now time.Duration) {
	g.failing.remove(s.Class, s.Location)
	delete(g.suspects, k)
	if len(g.suspects) > 0 {
		return
	}
	if g.windows = nil; g.freeze != nil {
		g.freeze, g.thawed = nil, now
	}
}

// Evaluate decides about a target that has failed as often as its threshold says.
func (g *Guard[K]) Evaluate(k K, now time.Duration) Decision {
	s := g.suspects[k]
	switch {
	case s == nil || s.Class == Answered:
		return Dead
	case s.failures < float64(s.Threshold)-0.001, g.doubts(s, now):
		return Doubt
	}
	g.reconsider(now)
	side := s.Location.side()
	switch {
	case g.frozen(side, now):
		return Hold
	case g.spent(now):
		return Dead
	}
	w := g.windowOf(s)
	switch {
	case w == nil:
		return Ask
	case s.Class == Silence && s.silences < s.Threshold+onsetFailures && w.showsLoss(s.Location):
		return Doubt
	case !g.canaries.speakFor(side), g.canariesSpent(side, now):
		return g.judgeByShare(s, w, now)
	case w.canary[side].within(s), s.Threshold == 1 && w.canary[side].known:
		return Dead
	}
	return Ask
}

// doubts reports whether the run would be too short if the loss that is known of now, and
// perhaps was not when it began, had been there all the time.
func (g *Guard[K]) doubts(s *suspect, now time.Duration) bool {
	return s.Class == Silence && s.silences < s.Threshold*g.Multiplier(now)
}

func (g *Guard[K]) judgeByShare(s *suspect, w *window[K], now time.Duration) Decision {
	reached, first := w.reached(s.Location)
	switch {
	case g.widespread(s, reached) && !w.isHeard(now):
		return Ask
	case g.widespread(s, reached):
		g.freeze = newFreeze(g.failing.all(), g.heldSince(s, now), now)
		return Hold
	case first.within(s) || reached > 0 && s.Threshold == 1 && !g.spread(s):
		return Dead // of a single probe nobody knows what else it met
	case !w.isHeard(now) || reached > 0:
		return Ask
	}
	return Dead // nobody is left who could tell
}

// widespread reports whether too many addresses fail in the suspect's way, beside so many
// that were reached, for it to be their own fault.
func (g *Guard[K]) widespread(s *suspect, reached int) bool {
	failing, all := g.failing.count(s.Class, s.Location), g.failing.count(classes, s.Location)
	return g.spread(s) && float64(failing) >= g.options.Share*float64(all+reached)
}

func (g *Guard[K]) spread(s *suspect) bool {
	return g.failing.networks(s.Class, s.Location) >= g.options.Networks
}
