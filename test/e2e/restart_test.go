//go:build linux && e2e

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

package e2e_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/test/e2e"
)

// takeover is the longest time from the end of a replica, however it ended, to the first
// probe of the next one.
const takeover = 15 * time.Second

// playWithOneDead plays a scenario with five healthy hosts and a dead one, all known to the operator,
// and a client none of whose requests may fail from then on.
func playWithOneDead(t *testing.T, name string, story func(*scenario)) {
	t.Helper()
	play(t, name, 6, quick, func(s *scenario) {
		s.create(s.endpoints())
		_, err := s.dead().Kill()
		s.Expect(err).NotTo(HaveOccurred())
		s.awaitOut(s.dead(), quick.Refusal()+10*time.Second)
		s.sendFromPod()
		s.begin()
		story(s)
	})
}

// dead returns the dead host of such a scenario, alive the others.
func (s *scenario) dead() *e2e.Host    { return s.hosts[len(s.hosts)-1] }
func (s *scenario) alive() []*e2e.Host { return s.hosts[:len(s.hosts)-1] }

// swap is called once the first host has died and the dead one is back.
func (s *scenario) swap() {
	last := len(s.hosts) - 1
	s.hosts[0], s.hosts[last] = s.hosts[last], s.hosts[0]
}

// expectUnharmed ends such a scenario: no request has failed, no healthy endpoint was taken out and no
// slice was written. Deaths are still found.
func (s *scenario) expectUnharmed() {
	s.t.Helper()
	s.finish()
	s.Expect(s.row.Failures).To(BeZero(), "failed requests")
	s.Expect(s.row.SliceWrites).To(BeZero(), "slice writes")
	s.Expect(s.ready(s.address(s.dead()))).To(BeFalse())
	s.expectDeathFound()
}

// expectDeathFound tests that a death is found in time.
func (s *scenario) expectDeathFound() {
	s.t.Helper()
	_, err := s.hosts[0].Kill()
	s.Expect(err).NotTo(HaveOccurred())
	s.awaitOut(s.hosts[0], quick.Refusal()+e2e.Slack)
}

// pause waits for a random time, up to the longest.
func pause(longest time.Duration) { time.Sleep(rand.N(longest)) }

// leader waits until one of the replicas leads and returns it, and the others.
func (s *scenario) leader() (leads *e2e.Operator, others []*e2e.Operator) {
	s.t.Helper()
	s.Eventually(func(g Gomega) {
		leads, others = nil, nil
		for _, operator := range world.operators {
			if ok, err := operator.Leads(s.ctx); err == nil && ok {
				leads = operator
			} else {
				others = append(others, operator)
			}
		}
		g.Expect(leads).NotTo(BeNil())
	}).WithTimeout(30*time.Second).Should(Succeed(), "a replica is to lead")
	return leads, others
}

// probedSince waits until an operator has probed every living host since a time, and then
// for long enough that verdicts that it might reach by mistake would be published.
func (s *scenario) probedSince(since time.Time, within time.Duration) {
	s.t.Helper()
	for _, host := range s.alive() {
		if host.HadFault(time.Now()) {
			continue
		}
		s.Eventually(func() bool {
			return slices.ContainsFunc(world.operators, func(operator *e2e.Operator) bool {
				return len(host.ConnectionsFrom(operator.Pod.Address, since)) > 0
			})
		}).WithTimeout(within).WithPolling(20*time.Millisecond).Should(BeTrue(), "%s is to be probed again", host.Name)
	}
	time.Sleep(quick.Silence())
}

// longestGap is the longest time for which a living host was not probed since a time.
func (s *scenario) longestGap(since time.Time) time.Duration {
	var longest time.Duration
	for _, host := range s.alive() {
		longest = max(longest, s.gapAt(host, since))
	}
	return longest
}

// gapAt is the longest time for which an address of a host was not probed since a time, by
// whatever replica.
func (s *scenario) gapAt(host *e2e.Host, since time.Time) time.Duration {
	visits := map[netip.Addr][]time.Time{}
	for _, operator := range world.operators {
		for to, times := range host.ConnectionsFrom(operator.Pod.Address, since.Add(-s.settings.Interval)) {
			visits[to] = append(visits[to], times...)
		}
	}
	var longest time.Duration
	for _, times := range visits {
		slices.SortFunc(times, time.Time.Compare)
		for i := 1; i < len(times); i++ {
			longest = max(longest, times[i].Sub(times[i-1]))
		}
	}
	return longest
}

// recordMax keeps the maximum of a figure of the row.
func (s *scenario) recordMax(name string, value time.Duration) {
	s.row.Further[name] = max(s.row.Further[name], float64(value.Milliseconds()))
}

// keepOneReplica stops all replicas but one for the time of a test.
func (s *scenario) keepOneReplica() *e2e.Operator {
	s.t.Helper()
	leads, others := s.leader()
	for _, other := range others {
		_, err := other.Stop()
		s.Expect(err).NotTo(HaveOccurred())
		s.cleanup(func() {
			ctx := context.Background() // that of the test is over
			s.Expect(other.Start(ctx)).To(Succeed())
			s.Expect(awaitReady(ctx, other)).To(Succeed())
		})
	}
	return leads
}

// start runs a replica again and waits until it is ready.
func (s *scenario) start(operator *e2e.Operator) {
	s.t.Helper()
	s.Expect(operator.Start(s.ctx)).To(Succeed())
	s.Expect(awaitReady(s.ctx, operator)).To(Succeed())
}

func TestOperatorIsRestarted(t *testing.T) {
	playWithOneDead(t, "operator restarted (SIGTERM), one replica", func(s *scenario) {
		operator := s.keepOneReplica()
		for range *repetitions {
			pause(time.Second)
			start := time.Now()
			_, err := operator.Stop()
			s.Expect(err).NotTo(HaveOccurred())
			pause(time.Second)
			s.start(operator)
			s.probedSince(start, takeover)
			s.recordMax("probingGapMs", s.longestGap(start))
		}
		s.expectUnharmed()
	})
}

func TestOperatorIsKilled(t *testing.T) {
	playWithOneDead(t, "operator killed (SIGKILL) and restarted, one replica", func(s *scenario) {
		operator := s.keepOneReplica()
		for range *repetitions {
			pause(time.Second)
			start := time.Now()
			s.Expect(operator.Kill()).To(Succeed())
			pause(time.Second)
			s.start(operator)
			s.probedSince(start, takeover+5*time.Second)
			s.recordMax("probingGapMs", s.longestGap(start))
		}
		s.expectUnharmed()
	})
}

func TestLeaderIsKilled(t *testing.T) {
	playWithOneDead(t, "leader killed (SIGKILL), second replica takes over", func(s *scenario) {
		for range *repetitions {
			leads, _ := s.leader()
			pause(time.Second)
			start := time.Now()
			s.Expect(leads.Kill()).To(Succeed())
			s.probedSince(start, takeover+15*time.Second)
			s.recordMax("probingGapMs", s.longestGap(start))
			s.start(leads)
		}
		s.expectUnharmed()
		s.Expect(s.row.Further["probingGapMs"]).To(BeNumerically("<=", takeover.Milliseconds()))
	})
}

func TestLeaderEnds(t *testing.T) {
	playWithOneDead(t, "leader ends (SIGTERM), second replica takes over", func(s *scenario) {
		for range *repetitions {
			leads, _ := s.leader()
			pause(time.Second)
			start := time.Now()
			took, err := leads.Stop()
			s.Expect(err).NotTo(HaveOccurred())
			s.recordMax("endedMs", took)
			s.leader()
			s.recordMax("takeoverMs", time.Since(start))
			s.probedSince(start, takeover)
			s.recordMax("probingGapMs", s.longestGap(start))
			s.start(leads)
		}
		s.expectUnharmed()
		s.Expect(s.row.Further["takeoverMs"]).To(BeNumerically("<=", 3000))
		s.Expect(s.row.Further["probingGapMs"]).To(BeNumerically("<=", 3000+quick.Interval.Milliseconds()))
	})
}

// The leader is stopped until the other replica has taken over and has published what is
// new, and goes on then with what it knew before.
func TestLeaderIsPaused(t *testing.T) {
	playWithOneDead(t, "leader stopped (SIGSTOP), resumed after its successor has published", func(s *scenario) {
		for range *repetitions {
			leads, _ := s.leader()
			start := time.Now()
			s.Expect(leads.Pause()).To(Succeed())
			s.cleanup(func() { _ = leads.Resume() }) // if that was not done below
			died, err := s.hosts[0].Kill()
			s.Expect(err).NotTo(HaveOccurred())
			s.Expect(s.dead().Start()).To(Succeed())
			s.awaitOut(s.hosts[0], takeover+quick.Refusal())
			s.recordMax("outMs", time.Since(died))
			s.awaitIn(s.dead(), takeover+quick.Recovery())
			s.swap()
			writes := s.writes()

			pause(time.Second)
			resumed := time.Now()
			s.Expect(leads.Resume()).To(Succeed())
			// It learns of its successor and ends, and the kubelet restarts it.
			s.Eventually(leads.Alive).WithTimeout(takeover).ShouldNot(Succeed())
			s.start(leads)
			s.probedSince(time.Now(), takeover)
			s.Expect(world.watcher.Changes(s.namespace, resumed)).To(BeEmpty())
			s.Expect(s.writes()).To(Equal(writes))
			s.recordMax("probingGapMs", s.longestGap(start))
		}
		s.finish()
		s.expectDeathFound()
	})
}
