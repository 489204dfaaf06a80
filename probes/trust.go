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
	"math/rand/v2"
	"slices"
	"time"
)

// trusted returns the result, or Unknown in its place if it says more about the operator
// than about the target.
func (s *Scheduler) trusted(p *probe, result Result, now time.Duration) Result {
	if result.Outcome == Failure && s.stalls.spoiled(p.begun, now, p.rules.timing.Timeout) {
		return unknown(ReasonStalled)
	}
	if !p.health.State.Serves() || p.first.owner == canaries {
		return result
	}
	s.watch(p, result, now)
	if !p.suspect || !p.health.Condemns(result, p.rules.thresholds) {
		return result
	}
	if s.canariesDown() {
		return s.hold(p)
	}
	switch s.judged(p, now) {
	case dead:
		return result
	case isolated:
		return s.hold(p)
	}
	if p.rules.thresholds.Failure == 1 {
		s.doubted[p] = result
	}
	return unknown(ReasonIsolated)
}

// judged is what the guard says of a suspect, once it has the witnesses that it wants.
func (s *Scheduler) judged(p *probe, now time.Duration) judgment {
	run := failures{begun: p.failing, ended: p.failed, last: p.begun}
	said := s.guard.judge(run, now)
	if said == ask {
		s.askWitnesses(now)
		said = s.guard.judge(run, now)
	}
	return said
}

// resolve condemns those who would have been by a single failure, had there been a witness:
// there may be one now. To wait for their next probe would be to double their timeout.
func (s *Scheduler) resolve(now time.Duration) {
	for p, result := range s.doubted {
		if !p.suspect || now > p.failed+doubt {
			delete(s.doubted, p)
			continue
		}
		before := p.health.State
		if s.guard.judge(failures{begun: p.failing, ended: p.failed, last: p.failing}, now) != dead {
			continue
		}
		delete(s.doubted, p)
		if p.health.Observe(result, p.rules.thresholds, s.options.Clock.Now()) {
			s.changed(p, before, now)
		}
		s.acquit(p)
	}
}

// doubt is for how long a failure waits for a witness that was asked when it happened.
const doubt = 100 * time.Millisecond

// watch keeps count of suspects and successes.
func (s *Scheduler) watch(p *probe, result Result, now time.Duration) {
	switch {
	case result.Outcome == Unknown: // of no use to either side
	case result.Reason == ReasonAddressRefused: // nothing was sent
		s.acquit(p)
	case result.Outcome.reached(), !inNetwork(result):
		s.acquit(p)
		s.guard.reach(p, p.begun, now)
	case !p.suspect:
		p.suspect, p.failing, p.failed = true, p.begun, now
		s.guard.suspect(p)
		if s.guard.isolation == nil && now >= s.guard.asked+witnessPause {
			s.askWitnesses(now)
		}
	}
}

// inNetwork tells whether the result is one that the loss of our own network would
// have, too. A refusal is not: somebody was reached.
func inNetwork(result Result) bool {
	return result.Reason == ReasonTimeout || result.Reason == ReasonHostUnreachable
}

// acquit takes a probe out of the suspects, if it is one.
func (s *Scheduler) acquit(p *probe) {
	if p.suspect {
		p.suspect = false
		s.guard.clear(p)
	}
}

// hold keeps a target from being taken out, which its owners should know.
func (s *Scheduler) hold(p *probe) Result {
	for _, of := range p.accounts() {
		if !s.held[of] {
			s.held[of] = true
			s.tell(of)
		}
	}
	return unknown(ReasonIsolated)
}

// distrust begins or ends the time in which verdicts are not trusted.
func (s *Scheduler) distrust(active bool) {
	s.distrusts = active
	s.options.Metrics.isolated(active)
	if active {
		return
	}
	for of := range s.held {
		s.tell(of)
	}
	clear(s.held)
}

// setCanaries has the canaries probed. Who has the same target shares no probe with them,
// and is judged like everybody else.
func (s *Scheduler) setCanaries() {
	targets := slices.Clone(s.options.Canaries)
	for i := range targets {
		targets[i].Private = true
	}
	if len(targets) > 0 {
		s.Set(canaries, targets)
	}
}

// canariesDown tells whether there are canaries and all of them are down.
func (s *Scheduler) canariesDown() bool {
	of := s.owners[canaries]
	if of == nil {
		return false
	}
	for _, entry := range of.entries {
		if entry.probe.health.State != StateUnhealthy {
			return false
		}
	}
	return len(of.entries) > 0
}

// witnesses is how many targets that serve are probed ahead of time when one begins to fail,
// witnessesOfOwner how many of them have one owner, and witnessPause how often that is
// done at most. After witnessDelay and its timeout a witness has answered or failed.
const (
	witnesses        = 16
	witnessesOfOwner = 3
	witnessPause     = 50 * time.Millisecond
	witnessDelay     = 100 * time.Millisecond
)

// askWitnesses makes some targets due that serve and that are not suspects.
func (s *Scheduler) askWitnesses(now time.Duration) {
	asked, until := 0, now
	for _, of := range s.owners { // in no order, which is what is wanted
		if of.owner == canaries {
			continue // they say nothing for or against a target
		}
		most, first := min(asked+witnessesOfOwner, witnesses), rand.IntN(max(len(of.entries), 1))
		for i := 0; i < len(of.entries) && asked < most; i++ {
			p := of.entries[(first+i)%len(of.entries)].probe
			if p.suspect || !p.health.State.Serves() {
				continue
			}
			answer := now
			if p.queue == nil { // it is being asked
				answer = p.begun
			} else {
				p.dueAt(min(p.due, now))
			}
			until = max(until, answer+p.rules.timing.Timeout+witnessDelay)
			asked++
		}
		if asked == witnesses {
			break
		}
	}
	s.guard.witnessed(now, until)
	s.nudge()
}

// placeOf is where a probe connects to; the zero place if its prober does not say.
func placeOf(p *probe) place {
	if at, ok := p.prober.(described); ok {
		return at.place()
	}
	return place{}
}

// schemeOf is that of a probe's URL; "other" if its prober does not say.
func schemeOf(p *probe) string {
	if of, ok := p.prober.(described); ok {
		return of.scheme()
	}
	return "other"
}
