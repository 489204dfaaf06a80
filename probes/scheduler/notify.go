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
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// changed is called when something about a probe's health changed that its owners should
// know. Before is the verdict that there was.
func (s *Scheduler) changed(p *probe, before health.State, now time.Duration) {
	if before != health.StateUnknown && p.health.State != before {
		s.expedite(p, before, now)
	}
	s.queueNotify(p.accounts()...)
	s.options.Metrics.transitions.Inc()
}

// notify is called without the lock.
func (s *Scheduler) notify(owners []probes.Owner) {
	for _, owner := range owners {
		s.options.Notify(owner)
	}
}

// flush draws what follows for all targets from what happened to one, and returns the owners
// to notify.
func (s *Scheduler) flush() (owners []probes.Owner) {
	if frozen := s.guard.Frozen(s.now()); frozen != s.frozen {
		s.setFrozen(frozen)
	}
	owners, s.pending = s.pending, nil
	return owners
}

// queueNotify remembers owners to be notified. The canaries are nobody's.
func (s *Scheduler) queueNotify(accounts ...*account) {
	for _, of := range accounts {
		if of.owner != canaries {
			s.pending = append(s.pending, of.owner)
		}
	}
}

// expedite makes siblings due at once when one of them has turned, those that are still what
// it was: what dies or comes back together is then found, and published, together.
func (s *Scheduler) expedite(turned *probe, before health.State, now time.Duration) {
	for _, of := range turned.accounts() {
		if now < of.rushed+rushPause {
			continue
		}
		of.rushed = now
		for _, sibling := range of.entries[:min(len(of.entries), rushMost)] {
			if p := sibling.probe; p.health.State == before && p.queue != nil && p.due > now {
				p.dueAt(now)
			}
		}
		s.nudge()
	}
}

// rushPause keeps an owner with a flapping target from probing all its others all the
// time, and rushMost an owner with very many from delaying everybody else.
const (
	rushPause = time.Second
	rushMost  = 256
)
