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

// A host with endpoints of three ExternalServices is one failure domain, not three.
func TestHostWithThreeServices(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 3} {
		t.Run(fmt.Sprintf("%d others", others), func(t *testing.T) {
			installation(t, fmt.Sprintf("one host with three services dies, %d others", others), func(s *scenario) {
				s.operate()
				host := s.addHost("three-services", 1)
				for i := range 3 {
					s.publish(fmt.Sprintf("service-%d", i+1), all(host), host)
				}
				for i, other := range s.addSites("other", others, 1) {
					s.publish(fmt.Sprintf("other-%d", i+1), all(other), other)
				}
				s.begin()
				s.killAndRepair(host, quick.Refusal(), kill, host.Start)
				s.killAndRepair(host, quick.Silence(), cut, host.Repair)
				s.finish()
			})
		})
	}
}

// killAndRepair makes a host die in some way, and repairs it.
func (s *scenario) killAndRepair(host *e2e.Host, bound time.Duration, fault func(*e2e.Host) (time.Time, error), repair func() error) {
	s.t.Helper()
	pause(s.settings.Interval)
	at, err := fault(host)
	s.Expect(err).NotTo(HaveOccurred())
	s.expectOut(at, bound, host)
	s.Expect(repair()).To(Succeed())
	s.Eventually(func() bool { return s.isPublishedEverywhere(host) }).WithTimeout(10 * time.Second).Should(BeTrue())
}

// isPublishedEverywhere reports whether a host is published in every Service that has ever published it.
func (s *scenario) isPublishedEverywhere(host *e2e.Host) bool {
	ready := map[e2e.EndpointKey]bool{}
	for _, change := range s.ground.watcher.Changes(s.namespace, s.started) {
		if host.Has(change.Address) {
			ready[change.EndpointKey] = change.Ready
		}
	}
	for _, isReady := range ready {
		if !isReady {
			return false
		}
	}
	return len(ready) > 0
}

// A site with nine tenths of all endpoints dies. In one network it is one failure domain; in three
// its death looks like a cut of the operator's own network, unless a canary answers.
func TestSiteWithNearlyEverythingIsLost(t *testing.T) {
	t.Parallel()
	for _, site := range []struct {
		name     string
		networks int
		canary   bool
		bound    time.Duration
	}{
		{"in one network", 1, false, quick.Silence()},
		{"in three networks, with a canary", 3, true, quick.Silence()},
		// Once the hold is over each of them fails once more.
		{"in three networks, without a canary", 3, false, quick.Silence() + maxHold + max(quick.Fast, quick.Timeout)},
	} {
		t.Run(site.name, func(t *testing.T) {
			installation(t, "a site with 27 of 30 endpoints dies, "+site.name, func(s *scenario) {
				arguments := []string{"--guard-max-hold=" + maxHold.String()}
				if site.canary {
					arguments = append(arguments, s.addCanary())
				}
				s.operate(arguments...)
				lost := s.addSites("site", site.networks, 27/site.networks)
				s.addSites("other", 3, 1)
				s.create(all(s.hosts...))
				s.begin()
				pause(s.settings.Interval)
				var at time.Time
				for _, host := range lost {
					var err error
					at, err = host.Cut()
					s.Expect(err).NotTo(HaveOccurred())
				}
				s.expectOut(at, site.bound, lost...)
				time.Sleep(quick.Silence()) // who else might go by mistake would have by then
				s.expectNoneWronglyOut()
				for _, host := range lost {
					s.Expect(host.Repair()).To(Succeed())
				}
				s.awaitAllIn(quick.Recovery()+10*time.Second, lost...)
				s.finish()
			})
		})
	}
}

// The operator's own network rejects or drops all packets. Ten networks of three endpoints have
// nothing else in common.
func TestOwnNetworkFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name       string
		begin, end func(*e2e.Operator) error
	}{
		{"refuses (tcp reset)", rejects("tcp reset"), (*e2e.Operator).Reconnect},
		{"rejects (admin-prohibited)", rejects("icmp admin-prohibited"), (*e2e.Operator).Reconnect},
		{"rejects (host-unreachable)", rejects("icmp host-unreachable"), (*e2e.Operator).Reconnect},
		{"drops", (*e2e.Operator).Isolate, (*e2e.Operator).Reconnect},
		{"is behind a firewall of its own that refuses", func(o *e2e.Operator) error { return o.RejectLocally("tcp reset") }, (*e2e.Operator).AcceptLocally},
	} {
		t.Run(fault.name, func(t *testing.T) {
			installation(t, "operator's own network "+fault.name, func(s *scenario) {
				operator := s.operate()
				s.addSites("site", 10, 3)
				s.create(all(s.hosts...))
				s.begin()
				for range *repetitions {
					pause(s.settings.Interval)
					s.Expect(fault.begin(operator)).To(Succeed())
					start := time.Now()
					s.Eventually(s.isolated).WithTimeout(10*time.Second).Should(BeTrue(), "the object is to say so")
					s.recordMax("noticedMs", time.Since(start))
					time.Sleep(2 * quick.Silence())
					s.Expect(fault.end(operator)).To(Succeed())
					back := time.Now()
					s.Eventually(s.isolated).WithTimeout(10 * time.Second).Should(BeFalse())
					s.recordMax("releasedMs", time.Since(back))
					time.Sleep(quick.Silence())
					s.expectNoneWronglyOut()
					s.killAndRepair(s.hosts[0], quick.Refusal(), kill, s.hosts[0].Start)
				}
				s.finish()
			})
		})
	}
}

func rejects(with string) func(*e2e.Operator) error {
	return func(operator *e2e.Operator) error { return operator.Reject(with) }
}

// lossy returns how long packets get lost: a minute, or ten minutes in the long target.
func lossy() time.Duration {
	return min(time.Duration(*repetitions), 10) * time.Minute
}

// The operator's own network loses packets at random in both directions.
func TestOwnNetworkLosesPackets(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{10, 30, 50} {
		t.Run(fmt.Sprintf("%d%%", percent), func(t *testing.T) {
			installation(t, fmt.Sprintf("operator's own network loses %d%% of packets", percent), func(s *scenario) {
				operator := s.operate()
				s.addSites("site", 10, 3)
				blackHoled, refusing := s.addHost("silent", 1), s.addHost("refusing", 1)
				s.create(all(s.hosts...))
				s.begin()
				s.Expect(operator.Lose(percent)).To(Succeed())
				start := time.Now()
				// By then the operator knows that packets get lost.
				for time.Since(start) < lossy()/3 {
					s.multiplier(operator)
				}
				cut, err := blackHoled.Cut()
				s.Expect(err).NotTo(HaveOccurred())
				killed, err := refusing.Kill()
				s.Expect(err).NotTo(HaveOccurred())
				for time.Since(start) < lossy() {
					s.multiplier(operator)
				}
				multiplier, most := s.row.Further["multiplier"], s.row.Further["multiplierMax"]
				s.Expect(most).To(BeNumerically(">=", multiplier), "the maximum is to be exported")
				bound := time.Duration(max(multiplier, 1) * float64(quick.Silence()))
				s.expectOut(cut, bound, blackHoled)
				s.expectOut(killed, bound, refusing)
				if percent > 30 {
					// Reported, but not checked.
					s.row.Further["healthyTakenOutUnjudged"] = float64(len(s.wronglyOut()))
					world.report.Add(s.row)
					return
				}
				s.finish()
			})
		})
	}
}

// multiplier polls the local health multiplier, and adds its maximum, and the largest possible
// value, to the row.
func (s *scenario) multiplier(of *e2e.Operator) {
	s.t.Helper()
	metrics, err := of.Metrics(s.ctx)
	s.Expect(err).NotTo(HaveOccurred())
	for figure, name := range map[string]string{"multiplier": "farpoint_local_health_multiplier", "multiplierMax": "farpoint_local_health_multiplier_max"} {
		s.row.Further[figure] = max(s.row.Further[figure], metrics.Sum(name))
	}
	time.Sleep(time.Second)
}
