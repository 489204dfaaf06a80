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
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
)

// LocalNetwork reports the state of the operator's own network. Its methods return at once.
type LocalNetwork interface {
	// Down reports whether the host's link is known to have no carrier, and whether all gateways
	// are known to be lost. Meanwhile no endpoint is taken out that is reached through them.
	Down() (noCarrier, noGateway bool)
	// OnLink reports whether an address is on the operator's own link, without a router in between.
	OnLink(netip.Addr) bool
}

// applyGuard returns the result, or Unknown instead if the operator may have caused the failure.
func (s *Scheduler) applyGuard(p *probe, result probes.Result, now time.Duration) probes.Result {
	if result.Outcome == probes.Failure && s.stalls.TookHalf(p.startedAt, p.startedAwake, now, p.rules.timing.Timeout) {
		result = probes.UnknownResult(probes.ReasonStalled)
	}
	if isOwnFault(result.Reason) {
		s.guard.Unmade(now)
	}
	switch {
	case p.first.owner == canaries:
		s.applyCanary(p, result, now)
		return result
	case !p.health.State.Works() || result.Outcome == probes.Unknown:
		return result
	case result.Outcome.Reached():
		p.suspect = false
		s.guard.Passed(p, s.locationOf(p), p.startedAt, now)
		return result
	}
	run := guard.Run{
		Location: s.locationOf(p), Class: guardClass(result.Reason), StartedAt: p.startedAt,
		Threshold: int(p.rules.thresholds.Failure),
		Patience:  2 * max(p.rules.timing.Timeout, p.rules.timing.FastInterval),
	}
	p.suspect = true
	s.guard.Failed(p, run, now)
	s.askWitnesses(p, now)
	if !p.health.WouldMarkDown(result, p.rules.thresholds) {
		return result
	}
	return s.decide(p, result, now)
}

// decide returns the result if the guard lets it take out the target.
func (s *Scheduler) decide(p *probe, result probes.Result, now time.Duration) probes.Result {
	s.observeLink(now)
	switch s.guard.Evaluate(p, now) {
	case guard.Dead:
		return result
	case guard.Hold:
		s.hold(p)
		return probes.UnknownResult(probes.ReasonIsolated)
	case guard.Ask:
		s.unconfirmed[p] = result
	}
	return probes.UnknownResult(probes.ReasonUnconfirmed)
}

// applyCanary passes the result of a canary to the guard. A canary that the operator's host has no
// route to counts as failed.
func (s *Scheduler) applyCanary(p *probe, result probes.Result, now time.Duration) {
	switch {
	case result.Outcome != probes.Unknown, result.Reason == probes.ReasonNetworkUnreachable, result.Reason == probes.ReasonNameResolution:
		s.guard.Canary(p, s.locationOf(p), result.Outcome.Reached(), p.startedAt, now)
	}
}

func (s *Scheduler) observeLink(now time.Duration) {
	if s.options.Network != nil {
		noCarrier, noGateway := s.options.Network.Down()
		s.guard.SetOwnNetwork(noCarrier, noGateway, now)
	}
}

// isOwnFault reports whether a probe with this reason was not made in time because the operator's
// process lacks resources.
func isOwnFault(r probes.Reason) bool {
	return r == probes.ReasonLocalResources || r == probes.ReasonStalled || r == probes.ReasonCrowded
}

// guardClass returns the class of failures that a reason belongs to.
func guardClass(reason probes.Reason) guard.Class {
	switch reason {
	case probes.ReasonTimeout, probes.ReasonHostUnreachable:
		return guard.Silence
	case probes.ReasonConnectionRefused, probes.ReasonConnectionClosed:
		return guard.Refusal
	case probes.ReasonTLSHandshake, probes.ReasonCertificate, probes.ReasonCertificateExpiring:
		return guard.TLS
	case probes.ReasonDNSNameNotFound, probes.ReasonDNSServerFailure, probes.ReasonDNSRefused, probes.ReasonDNSNoRecords:
		return guard.Names
	case probes.ReasonStatus, probes.ReasonContent, probes.ReasonProtocol, probes.ReasonRedirect:
		return guard.Content
	}
	return guard.Answered
}

// recheckUnconfirmed takes out the targets whose failure has been confirmed: witnesses may have
// answered since. To wait for the next probe instead could double the timeout.
func (s *Scheduler) recheckUnconfirmed(now time.Duration) {
	if len(s.unconfirmed) == 0 || now < s.recheckAt {
		return
	}
	s.recheckAt = now + min(tick, time.Duration(len(s.unconfirmed))*recheckPause)
	for p, result := range s.unconfirmed {
		if !p.suspect || p.queue == nil && now > p.startedAt+confirmation {
			delete(s.unconfirmed, p)
			continue
		}
		if s.guard.Evaluate(p, now) != guard.Dead {
			s.askWitnesses(p, now) // they may not have been asked since it began to fail
			continue
		}
		before := p.health.State
		if p.health.Observe(result, p.rules.thresholds, s.options.Clock.Now()) {
			s.changed(p, before, now)
		}
		s.clearSuspect(p, now)
	}
}

// confirmation is how long a failure waits for a witness after the next probe has started, and
// recheckPause how long one unconfirmed failure delays the next check of all of them.
const (
	confirmation = 100 * time.Millisecond
	recheckPause = 20 * time.Microsecond
)

// clearSuspect removes a target that is gone, or was taken out, from the suspects.
func (s *Scheduler) clearSuspect(p *probe, now time.Duration) {
	if p.suspect {
		p.suspect = false
		s.guard.Removed(p, now)
		delete(s.unconfirmed, p)
	}
}

// hold notes that the guard keeps a target from being taken out, and queues its owners.
func (s *Scheduler) hold(p *probe) {
	for _, of := range p.accounts() {
		if !s.held[of] {
			s.held[of] = true
			s.queueNotify(of)
		}
	}
}

// setFrozen starts or ends a freeze.
func (s *Scheduler) setFrozen(frozen bool) {
	s.frozen = frozen
	s.options.Metrics.isolated(frozen)
	if frozen {
		return
	}
	for of := range s.held {
		s.queueNotify(of)
	}
	clear(s.held)
}

// setCanaries adds the canaries. They are private, so that a target that is the same has its own
// probe and is treated like all others.
func (s *Scheduler) setCanaries() {
	targets := slices.Clone(s.options.Canaries)
	for i := range targets {
		targets[i].Private = true
	}
	if len(targets) > 0 {
		s.Set(canaries, targets)
	}
}

// witnessesOfOwner is how many witnesses belong to one owner, as long as there are others, and
// maxAskable how many targets are considered. A witness has answered or failed after its timeout
// and witnessDelay.
const (
	witnessesOfOwner = 3
	maxAskable       = 1 << 12
	witnessDelay     = 100 * time.Millisecond
)

// askWitnesses makes the canaries due, and some targets that work and are not suspect, if the guard
// wants witnesses for a suspect.
func (s *Scheduler) askWitnesses(suspect *probe, now time.Duration) {
	count := s.guard.WantsWitnesses(suspect, now)
	if count == 0 {
		return
	}
	until, witnesses := now, make([]*probe, 0, count)
	ask := func(p *probe) {
		begins := now
		if p.queue == nil { // its probe is under way
			begins = p.startedAt
		} else {
			p.dueAt(min(p.due, now))
		}
		until, witnesses = max(until, begins+p.rules.timing.Timeout+witnessDelay), append(witnesses, p)
	}
	for pass, ofOwner := range [...]int{witnessesOfOwner, count} {
		looked := 0
		for _, of := range s.owners { // in random order
			if of.owner == canaries {
				continue
			}
			first, enough := rand.IntN(max(len(of.entries), 1)), min(len(witnesses)+ofOwner, count)
			for i := 0; i < len(of.entries) && len(witnesses) < enough && looked < maxAskable; i++ {
				p := of.entries[(first+i)%len(of.entries)].probe
				if looked++; !p.suspect && p.health.State.Works() && (pass == 0 || p.queue != nil && p.due > now) {
					ask(p)
				}
			}
		}
	}
	if of := s.owners[canaries]; of != nil {
		for _, entry := range of.entries {
			ask(entry.probe)
		}
	}
	s.guard.WitnessesAsked(witnesses, until, now)
	s.nudge()
}

// locationOf returns where a probe connects to; zero if its prober does not say.
func (s *Scheduler) locationOf(p *probe) guard.Location {
	of, ok := p.prober.(probes.EndpointInfo)
	if !ok {
		return guard.Location{}
	}
	at := of.Location()
	return guard.Location{Addr: at.Addr, Name: at.Name, OnLink: s.options.Network != nil && s.options.Network.OnLink(at.Addr)}
}

// schemeOf returns the scheme of a probe's URL; "other" if its prober does not say.
func schemeOf(p *probe) string {
	if of, ok := p.prober.(probes.EndpointInfo); ok {
		return of.Scheme()
	}
	return "other"
}
