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

// changed is called after a change of a probe's health. before is the previous verdict.
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

// flush starts or ends a freeze if the guard says so, and returns the owners to notify.
func (s *Scheduler) flush() (owners []probes.Owner) {
	if frozen := s.guard.Frozen(s.now()); frozen != s.frozen {
		s.setFrozen(frozen)
	}
	owners, s.pending = s.pending, nil
	return owners
}

// queueNotify queues owners for flush. The owner of the canaries is not notified.
func (s *Scheduler) queueNotify(accounts ...*account) {
	for _, of := range accounts {
		if of.owner != canaries {
			s.pending = append(s.pending, of.owner)
		}
	}
}

// expedite makes the siblings of a probe whose verdict has changed due at once, if they still have
// the previous verdict. Endpoints that die or recover together are then published together.
func (s *Scheduler) expedite(changed *probe, before health.State, now time.Duration) {
	for _, of := range changed.accounts() {
		if now < of.expeditedAt+expeditePause {
			continue
		}
		of.expeditedAt = now
		for _, sibling := range of.entries[:min(len(of.entries), maxExpedited)] {
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
	expeditePause = time.Second
	maxExpedited  = 256
)
