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
	"cmp"
	"container/heap"
	"slices"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
)

// Set sets the targets of an owner. A target that the owner had before keeps its health, even if its
// definition changes: the health then changes by full thresholds, as for any other target, and the
// first probe by the new definition starts at once. Targets that are the same, whatever their
// owners, share one probe.
func (s *Scheduler) Set(owner probes.Owner, targets []Target) { s.notify(s.set(owner, targets)) }

// set returns the owners to notify.
func (s *Scheduler) set(owner probes.Owner, targets []Target) (owners []probes.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.owners[owner]
	if of == nil {
		of = &account{owner: owner, expeditedAt: -expeditePause}
		s.owners[owner] = of
	}
	before := of.entries
	kept := map[*probe]int{}
	after := make([]entry, 0, len(targets))
	var common *rules
	for i := range targets {
		target := &targets[i]
		known := of.find(target.Key)
		switch {
		case known == nil && target.Prober == nil:
			continue
		case known != nil && (target.Prober == nil || known.sameAs(target, owner)):
			kept[known]++
		default:
			if own := rulesOf(target); common == nil || *common != own {
				common = &own
			}
			known = s.join(of, target, common, known)
		}
		after = append(after, entry{target.Key, known})
	}
	slices.SortFunc(after, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	of.entries = after
	for _, entry := range before {
		if kept[entry.probe] > 0 {
			kept[entry.probe]--
			continue
		}
		s.leave(of, entry.probe)
	}
	s.fillWatches()
	s.options.Metrics.targets.Set(float64(len(s.shared)))
	return s.flush()
}

// Remove removes all targets of the owner, and their health.
func (s *Scheduler) Remove(owner probes.Owner) { s.notify(s.remove(owner)) }

func (s *Scheduler) remove(owner probes.Owner) (owners []probes.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.owners[owner]
	if of == nil {
		return nil
	}
	for _, entry := range of.entries {
		s.leave(of, entry.probe)
	}
	delete(s.owners, owner)
	delete(s.held, of)
	s.options.Metrics.targets.Set(float64(len(s.shared)))
	return s.flush()
}

// join returns a probe for the target, an existing one or a new one. before is the probe by the
// target's previous definition; nil if the target is new to the account.
func (s *Scheduler) join(of *account, target *Target, rules *rules, before *probe) *probe {
	current := target.Initial
	if before != nil {
		current = before.health
		current.Restart()
	}
	informed := s.stalls.Awake(s.now())
	if before != nil {
		informed = before.informed
	}
	key := shareKey(s.seed, target.Identity, *rules, of.owner.Namespace)
	if there, ok := s.shared[key]; ok && there.sameAs(target, of.owner) {
		if there.health.State == health.StateUnknown && current.State != health.StateUnknown {
			there.health, there.informed = current, informed
			s.queueNotify(there.accounts()...)
		}
		there.subscribe(of)
		return there
	}
	p := &probe{prober: target.Prober, rules: rules, identity: target.Identity, namespace: of.owner.Namespace, health: current, informed: informed}
	p.subscribe(of)
	s.shared[key] = p
	due := s.now()
	if p.health.State != health.StateUnknown && (before == nil || before.identity == p.identity) {
		due = p.nextOnGrid(s.origin, due)
	}
	s.enqueue(p, due)
	s.addWatch(p)
	return p
}

// leave unsubscribes the account from a probe, and removes the probe if no account is left.
func (s *Scheduler) leave(of *account, p *probe) {
	if !p.unsubscribe(of) {
		return
	}
	s.guard.Removed(p, s.now())
	delete(s.unconfirmed, p)
	key := shareKey(s.seed, p.identity, *p.rules, p.namespace)
	if s.shared[key] == p {
		delete(s.shared, key)
	}
	s.endWatch(p)
	switch {
	case p.queue != nil:
		heap.Remove(p.queue, int(p.position))
	case p.cancel != nil:
		p.cancel()
	default:
		s.loop.abandon()
		s.nudge()
	}
}
