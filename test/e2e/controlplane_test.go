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
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/test/e2e"
)

// afterReturn is the longest time from the return of the API server until the slices show what has
// happened in the meantime.
const afterReturn = 2 * time.Second

// While the control plane is away, a host dies and the dead one comes back. Everything else goes on
// undisturbed.
func TestControlPlaneIsAway(t *testing.T) {
	playWithOneDead(t, "etcd and API server away, one host dies and one returns", func(s *scenario) {
		leads, _ := s.leader()
		for range *repetitions {
			pause(time.Second)
			s.Expect(world.StopControlPlane()).To(Succeed())
			pause(*outage / 2)
			died, err := s.hosts[0].Kill()
			s.Expect(err).NotTo(HaveOccurred())
			s.Expect(s.dead().Start()).To(Succeed())
			time.Sleep(time.Until(died.Add(*outage)))
			back, err := world.StartControlPlane(s.ctx)
			s.Expect(err).NotTo(HaveOccurred())
			s.awaitOut(s.hosts[0], 30*time.Second)
			s.recordMax("outAfterReturnMs", time.Since(back))
			s.awaitIn(s.dead(), 30*time.Second)
			s.recordMax("inAfterReturnMs", time.Since(back))
			s.Expect(world.RestartProxies(s.ctx)).To(Succeed())
			s.Eventually(s.reaches).WithArguments(s.dead()).WithTimeout(10 * time.Second).Should(BeTrue())
			s.swap()
		}
		s.finish()
		s.expectLeaderStays(leads)
		s.Expect(s.row.SliceWrites).To(BeNumerically("<=", 2**repetitions), "one write for each change, or less")
		s.Expect(s.row.Further["outAfterReturnMs"]).To(BeNumerically("<=", afterReturn.Milliseconds()))
		s.Expect(s.row.Further["inAfterReturnMs"]).To(BeNumerically("<=", afterReturn.Milliseconds()))
		s.expectDeathFound()
	})
}

// expectLeaderStays tests that a replica still leads and has not ended.
func (s *scenario) expectLeaderStays(leads *e2e.Operator) {
	s.t.Helper()
	now, _ := s.leader()
	s.Expect(now.Pod.Name).To(Equal(leads.Pod.Name), "the leader is to stay")
	for _, operator := range world.operators {
		s.Expect(operator.Alive()).To(Succeed(), "no replica is to end")
	}
}

// reaches reports whether a host has answered the client recently.
func (s *scenario) reaches(host *e2e.Host) bool {
	now := time.Now()
	for _, request := range s.clients[0].Between(now.Add(-time.Second), now) {
		if request.Backend == host.Name {
			return true
		}
	}
	return false
}

func TestEtcdIsFrozen(t *testing.T) {
	playWithOneDead(t, "etcd stopped (SIGSTOP) and resumed", func(s *scenario) {
		leads, _ := s.leader()
		for range *repetitions {
			pause(time.Second)
			start := time.Now()
			s.Expect(world.FreezeEtcd()).To(Succeed())
			time.Sleep(*outage)
			s.Expect(world.ThawEtcd()).To(Succeed())
			s.probedSince(time.Now(), takeover)
			s.recordMax("probingGapMs", s.longestGap(start))
		}
		s.expectUnharmed()
		s.expectLeaderStays(leads)
	})
}

func TestConnectionsAreCut(t *testing.T) {
	playWithOneDead(t, "all connections to the API server cut (RST)", func(s *scenario) {
		leads, _ := s.leader()
		for range *repetitions {
			pause(time.Second)
			start := time.Now()
			s.Expect(e2e.ResetConnections(world.operators...)).To(Succeed())
			s.probedSince(time.Now(), takeover)
			s.recordMax("probingGapMs", s.longestGap(start))
		}
		s.expectUnharmed()
		s.expectLeaderStays(leads)
	})
}

// afterStorm is the longest time from the end of a storm until everything is as it should be.
const afterStorm = 30 * time.Second

func TestFaultyAPIServer(t *testing.T) {
	faulty, err := world.NewFaultyServer()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer faulty.Stop() //nolint:errcheck // nothing is lost
	for _, fault := range []struct {
		name   string
		faults e2e.Faults
	}{
		{"API server answers after 800 ms", e2e.Faults{Delay: 800 * time.Millisecond}},
		{"API server answers 429 to half of all", e2e.Faults{Statuses: []int{429}, Share: 0.5, RetryAfter: "1"}},
		{"API server answers 500, 503 and 409 to half of all", e2e.Faults{Statuses: []int{500, 503, 409}, Share: 0.5}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			playWithOneDead(t, fault.name, func(s *scenario) {
				leads, _ := s.leader()
				s.divert(faulty)
				defer faulty.Inject(e2e.Faults{})
				for round := range *repetitions {
					faulty.Inject(fault.faults)
					s.expectDeathInStorm()
					faulty.Inject(e2e.Faults{})
					s.expectCalm(fmt.Sprintf("created-after-the-storm-%d", round))
				}
				s.row.Further["injected"] = float64(faulty.Injected())
				s.finish()
				s.Expect(s.row.SliceWrites).To(BeNumerically("<=", 4**repetitions), "one write for each change, or less")
				s.expectLeaderStays(leads)
			})
		})
	}
}

// expectDeathInStorm is called during a storm: a host that dies now is taken out, although the connections
// of watches break, too.
func (s *scenario) expectDeathInStorm() {
	s.t.Helper()
	at := time.Now()
	_, err := s.hosts[0].Kill()
	s.Expect(err).NotTo(HaveOccurred())
	s.awaitOut(s.hosts[0], 30*time.Second)
	s.recordMax("outMs", time.Since(at))
	s.probedSince(at, takeover)
	s.row.LastFailure = max(s.row.LastFailure, e2e.LastFailure(s.clients[0].Between(at, time.Now()), at))
	s.Expect(e2e.ResetConnections(world.operators...)).To(Succeed())
	pause(5 * time.Second)
}

// divert redirects the operators to the faulty API server until the end of the test.
func (s *scenario) divert(to *e2e.FaultyServer) {
	s.t.Helper()
	for _, operator := range world.operators {
		s.Expect(operator.Divert(to)).To(Succeed())
	}
	s.Expect(e2e.ResetConnections(world.operators...)).To(Succeed())
	s.cleanup(func() {
		for _, operator := range world.operators {
			s.Expect(operator.Undivert()).To(Succeed())
		}
		s.Expect(e2e.ResetConnections(world.operators...)).To(Succeed())
	})
}

// expectCalm is called after a storm: a new object of this name is published, and a recovery, too.
func (s *scenario) expectCalm(name string) {
	s.t.Helper()
	over := time.Now()
	s.Expect(s.dead().Start()).To(Succeed())
	another := s.publishAnother(name, s.hosts[1])
	s.Eventually(func() bool { return world.watcher.Ready(another) }).WithTimeout(afterStorm).Should(BeTrue(), "a new object is to be published")
	s.recordMax("newAfterStormMs", time.Since(over))
	s.awaitIn(s.dead(), time.Until(over.Add(afterStorm)))
	s.recordMax("flipAfterStormMs", time.Since(over))
	s.swap()
}
