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

// Package guard decides whether endpoints cause their failures, or the operator's own network or
// host does.
//
// A suspect is a target that served until it began to fail. The guard counts failure domains:
// addresses, and networks (/24 and /48). It does not matter which object a target belongs to: one
// host with three services is one address in one network.
//
// Before a suspect is taken out, the guard asks for immediate probes of some other targets, the
// witnesses. From then on, a window records which addresses probes reach:
//
//   - If at least Share of the addresses probed in the window, in at least Networks networks, fail
//     in the same class, no endpoint is taken out: a freeze. All these failures have only the
//     operator in common. That holds for every class: silence can be a cut, refusals a dead
//     sidecar or the operator's own firewall, bad certificates a wrong clock, and equal responses
//     of all endpoints an intercepting proxy.
//   - Otherwise the suspect is taken out if some address was reached between the first and the
//     last probe of its run of failures: a cut of the operator's own network that spoiled both
//     would have spoiled that probe, too. Addresses reached before or after prove nothing. A
//     failure other than silence takes no time, so that any address reached since then will do.
//   - If there are no witnesses, the suspect counts as dead. With fewer than Networks networks,
//     one replica cannot find out more.
//
// Canaries are targets that are always up. If there are any, they decide instead of the share: a
// suspect is taken out if a canary was reached between its failures, and none is while all canaries
// fail. Addresses on the operator's own link prove nothing about those behind its router: such
// canaries and witnesses count only for suspects on the link.
//
// A freeze ends when Release of the suspects work again; when too many others have been reached
// throughout, or no further suspect recovers; or, if the canaries caused it, when most of them have
// passed twice in a row. It lasts for MaxHold at most, after which failing targets count as dead.
// Canaries that are silent for longer count as dead, too, and do not decide until they are back.
//
// A packet lost now and then is not a cut. [Guard.Multiplier] accounts for it.
package guard

import (
	"net/netip"
	"time"
)

// Class is the kind of a failure. Failures with one cause on the operator's side are of one class.
type Class uint8

const (
	// Answered is a failure that only the endpoint itself can have caused, whatever happens to
	// others.
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
	// Release is the share of the failing addresses that must recover to end a freeze, above 0
	// and at most 1.
	Release float64
	// MaxHold is the longest time for which endpoints that fail are not taken out.
	MaxHold time.Duration
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{Share: 0.9, Networks: 3, Release: 0.5, MaxHold: 10 * time.Minute}
}

// Location is where a target is; zero if that is not known.
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
	// Patience is how long a freeze waits for this target after another one has recovered.
	Patience time.Duration
}

// Decision is the guard's answer for a suspect that would be taken out.
type Decision uint8

const (
	// Dead means that it is the endpoint's fault.
	Dead Decision = iota
	// Doubt means that too many probes get lost at present for so few failures to prove anything.
	Doubt
	// Ask means that no other target has been reached meanwhile. Probe witnesses, if
	// [Guard.WantsWitnesses] asks for some, and evaluate again when one has answered, and after the
	// next probe.
	Ask
	// Hold means that it is the operator's fault.
	Hold
)

// suspect is a target that serves, but failed its last probe.
type suspect struct {
	Run
	// since is when a cut that caused the whole run must have begun at the latest: a working
	// endpoint answers within half of its timeout.
	since time.Duration
	// failures is how many failures the run counts as, by the [Guard.Multiplier] at each of them.
	// silences counts those without an answer, and lost those of them during which other targets
	// were reached.
	failures       float64
	silences, lost int
}

// Guard decides about suspects. K identifies targets. Times are counted from any origin, and never
// go back. A Guard is not safe for concurrent use.
type Guard[K comparable] struct {
	options  Options
	suspects map[K]*suspect
	// failing has the failure domains of the suspects.
	failing domains
	windows []*window[K]
	// mayAskAt is when the next witnesses may be asked.
	mayAskAt time.Duration
	freeze   *freeze
	// lastFreezeEnd is when the last freeze ended. Addresses reached before prove nothing any
	// more.
	lastFreezeEnd time.Duration
	canaries      canaries[K]
	local         localHealth
	// ownDown is since when the operator's host has reported that a side cannot be reached, and
	// ownRefuted reports whether a probe reached it since then, so that the host is wrong.
	ownDown    [sides]moment
	ownRefuted [sides]bool
}

// New returns a guard without suspects.
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
			w.recordLoss(run)
		}
	} else {
		for _, w := range g.windows {
			w.recordRepeat(run)
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
	// The first packet of the probe got through, unless the answer took so long that the packet
	// may have been sent again: then only the end of the probe is known to be free of a cut.
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

// retransmission is the time after which a lost SYN is sent again (RFC 6298).
const retransmission = time.Second

// Removed forgets a target that is gone, or was taken out. That is no recovery.
func (g *Guard[K]) Removed(k K, now time.Duration) {
	g.noteWitness(k)
	if s := g.suspects[k]; s != nil {
		g.drop(k, s, now)
		if g.freeze != nil {
			g.freeze.maxFailing--
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
		g.freeze, g.lastFreezeEnd = nil, now
	}
}

// Evaluate decides about a target that has failed as often as its threshold requires.
func (g *Guard[K]) Evaluate(k K, now time.Duration) Decision {
	s := g.suspects[k]
	switch {
	case s == nil || s.Class == Answered:
		return Dead
	case s.failures < float64(s.Threshold)-0.001, g.tooFewForLoss(s, now):
		return Doubt
	}
	g.reconsider(now)
	side := s.Location.side()
	switch {
	case g.frozen(side, now):
		return Hold
	case g.freezeExpired(now):
		return Dead
	}
	w := g.windowOf(s)
	switch {
	case w == nil:
		return Ask
	case s.Class == Silence && s.silences < s.Threshold+onsetFailures && w.showsLoss(s.Location):
		return Doubt
	case !g.canaries.cover(side), g.canariesExpired(side, now):
		return g.evaluateByShare(s, w, now)
	case w.canary[side].refutes(s), s.Threshold == 1 && w.canary[side].known:
		return Dead
	}
	return Ask
}

// tooFewForLoss reports whether the run would be too short if the present rate of loss, which may
// not have been known when the run began, had applied to all of it.
func (g *Guard[K]) tooFewForLoss(s *suspect, now time.Duration) bool {
	return s.Class == Silence && s.silences < s.Threshold*g.Multiplier(now)
}

func (g *Guard[K]) evaluateByShare(s *suspect, w *window[K], now time.Duration) Decision {
	reached, first := w.reached(s.Location)
	switch {
	case g.widespread(s, reached) && !w.isComplete(now):
		return Ask
	case g.widespread(s, reached):
		g.freeze = newFreeze(g.failing.all(), g.heldSince(s, now), now)
		return Hold
	case first.refutes(s) || reached > 0 && s.Threshold == 1 && !g.spread(s):
		return Dead // within a single probe, nothing else could have been reached
	case !w.isComplete(now) || reached > 0:
		return Ask
	}
	return Dead // there is no witness left
}

// widespread reports whether so large a share of the addresses fails in the suspect's class, beside
// those that were reached, that the operator must be the cause.
func (g *Guard[K]) widespread(s *suspect, reached int) bool {
	failing, all := g.failing.count(s.Class, s.Location), g.failing.count(classes, s.Location)
	return g.spread(s) && float64(failing) >= g.options.Share*float64(all+reached)
}

func (g *Guard[K]) spread(s *suspect) bool {
	return g.failing.networks(s.Class, s.Location) >= g.options.Networks
}
