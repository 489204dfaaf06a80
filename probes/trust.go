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
	"container/heap"
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
	switch s.guard.judge(p.failing, now) {
	case isolated:
		return s.hold(p)
	case unsure:
		s.askWitnesses(now)
		return unknown(ReasonIsolated)
	default:
		return result
	}
}

// watch keeps count of suspects and successes.
func (s *Scheduler) watch(p *probe, result Result, now time.Duration) {
	switch {
	case result.Outcome == Unknown: // of no use to either side
	case result.Outcome.reached():
		s.guard.successes.add(now)
		s.acquit(p)
	case !inNetwork(result):
		s.acquit(p)
	case !p.suspect:
		p.suspect, p.failing = true, p.begun
		s.guard.suspect(p.first.owner, placeOf(p))
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
		s.guard.clear(p.first.owner, placeOf(p))
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

// witnesses is how many targets that serve are probed ahead of time when the guard is
// unsure.
const witnesses = 16

// askWitnesses makes some targets due that serve and that are not suspects.
func (s *Scheduler) askWitnesses(now time.Duration) {
	asked := 0
	for _, of := range s.owners { // in no order, which is what is wanted
		for _, entry := range of.entries {
			p := entry.probe
			if p.suspect || p.position == absent || !p.health.State.Serves() {
				continue
			}
			p.due = now
			heap.Fix(&s.queues[p.lane], int(p.position))
			asked++
			break // one of each owner
		}
		if asked == witnesses {
			break
		}
	}
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
