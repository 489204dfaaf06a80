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
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// refusedRate is one at which the kernel answers each connection that leads nowhere: of
// refusals it sends a client six, and then one a second (net.ipv4.icmp_ratelimit).
const refusedRate = 2

// availability sets how endpoints are published while few of them are healthy.
func availability(rules farpointv1.Availability) func(*corev1.ServiceSpec, *farpointv1.ExternalServiceSpec) {
	return func(_ *corev1.ServiceSpec, spec *farpointv1.ExternalServiceSpec) { spec.Availability = rules }
}

// Without a backend, clients are refused at once. They are served as soon as there is one again.
func TestPublishNone(t *testing.T) {
	t.Parallel()
	// Two of them: three networks that die at one time are a fault of the operator's.
	play(t, "all down and back, PublishNone", 2, quick, func(s *scenario) {
		s.create(s.endpoints(), availability(farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishNone}))
		client := s.sendFromPod()
		patient := s.pod()
		s.begin()
		for _, host := range s.hosts {
			_, err := host.Cut()
			s.Expect(err).NotTo(HaveOccurred())
		}
		for _, host := range s.hosts {
			s.awaitOut(host, quick.Silence()+10*time.Second)
		}
		down := time.Now().Add(e2e.Slack)
		time.Sleep(e2e.Slack)
		refused := traffic.Start(patient.Namespace, "tcp", s.clusterIP(80), refusedRate)
		time.Sleep(2 * time.Second)
		for _, request := range refused.Stop() {
			s.Expect(request.Outcome).To(Equal(traffic.Refused), "%v", request)
			s.recordMax("refusedWithinMs", request.Took)
		}
		s.Expect(s.row.Further["refusedWithinMs"]).To(BeNumerically("<=", e2e.Slack.Milliseconds()))
		requests := client.Between(down, down.Add(time.Second))
		s.Expect(e2e.Failures(requests)).To(Equal(len(requests)))
		hasty := slices.DeleteFunc(requests, func(request traffic.Request) bool { return request.Outcome != traffic.Refused })
		s.row.Further["hastyRefusedPercent"] = 100 * float64(len(hasty)) / float64(requestRate)

		back := time.Now()
		for _, host := range s.hosts {
			s.Expect(host.Repair()).To(Succeed())
		}
		mended := time.Since(back)
		s.expectRecovery(client, back, mended+quick.Recovery())
		s.finish()
		s.Expect(s.row.SliceWrites).To(BeNumerically("<=", 4))
	})
}

// expectRecovery expects that a client is served again soon after a time.
func (s *scenario) expectRecovery(client *traffic.Client, back time.Time, bound time.Duration) {
	s.t.Helper()
	for _, host := range s.hosts {
		s.awaitIn(host, bound+10*time.Second)
	}
	time.Sleep(time.Until(back.Add(bound + settleTime)))
	outage := e2e.LastFailure(client.Between(back, time.Now()), back)
	s.recordMax("lastFailureAfterReturnMs", outage)
	s.recordMax("recoveryBoundMs", quick.Recovery())
	s.Expect(outage).To(BeNumerically("<=", bound+e2e.Slack))
}

// failChecks makes the health checks of hosts fail, which serve clients nevertheless.
func (s *scenario) failChecks(hosts ...*e2e.Host) {
	s.t.Helper()
	for _, host := range hosts {
		_, err := host.Behave(e2e.Behaviour{FailEvery: 1})
		s.Expect(err).NotTo(HaveOccurred())
	}
}

// passChecks ends failChecks, and returns the time.
func (s *scenario) passChecks(hosts ...*e2e.Host) time.Time {
	s.t.Helper()
	at := time.Now()
	for _, host := range hosts {
		_, err := host.Behave(e2e.Behaviour{})
		s.Expect(err).NotTo(HaveOccurred())
	}
	return at
}

// backends counts the answers of each backend between two times.
func backends(client *traffic.Client, from, to time.Time) map[string]int {
	counts := map[string]int{}
	for _, request := range client.Between(from, to) {
		counts[request.Backend]++
	}
	return counts
}

// One of three hosts is dead when the health check itself breaks. Clients do not notice: traffic
// still goes to the hosts that were healthy last.
func TestPublishLastHealthy(t *testing.T) {
	t.Parallel()
	play(t, "probe breaks, PublishLastHealthy", 3, quick, func(s *scenario) {
		s.create(s.endpoints(), availability(farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishLastHealthy}))
		client := s.sendFromPod()
		s.begin()
		dead, well := s.hosts[2], s.hosts[:2]
		s.deaths(client, quick.Refusal(), s.hosts[2:], kill)
		failed := s.failures()
		broken := time.Now()
		s.failChecks(well...)
		s.awaitCondition(farpointv1.FailOpenCondition, "True LastHealthyPublished")
		open := time.Now()
		time.Sleep(2 * time.Second)
		s.Expect(backends(client, open, time.Now())).NotTo(HaveKey(dead.Name))
		// Once one has been found healthy, the other is out until it has been, too.
		s.leaving = well
		s.passChecks(well...)
		for _, host := range well {
			s.awaitIn(host, quick.Recovery()+10*time.Second)
		}
		s.Expect(e2e.Failures(client.Between(broken, time.Now()))).To(BeZero())
		s.finish()
		s.Expect(s.row.Failures).To(Equal(failed), "nobody else is harmed")
	})
}

// failures counts those of all clients so far.
func (s *scenario) failures() int {
	count := 0
	for _, client := range s.clients {
		count += e2e.Failures(client.Between(s.started, time.Now()))
	}
	return count
}

// The same with PublishAll: the dead one gets its share as well.
func TestPublishAll(t *testing.T) {
	t.Parallel()
	play(t, "probe breaks, PublishAll", 3, quick, func(s *scenario) {
		s.create(s.endpoints(), availability(farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishAll}))
		client := s.sendFromPod()
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[2:], kill)
		dead, well := s.hosts[2], s.hosts[:2]
		broken := time.Now()
		s.failChecks(well...)
		s.awaitIn(dead, quick.Refusal()+10*time.Second)
		s.recordMax("openedMs", time.Since(broken))
		open := time.Now().Add(e2e.Slack)
		s.Expect(e2e.Failures(client.Between(broken, open.Add(-2*e2e.Slack)))).To(BeZero())
		time.Sleep(3 * time.Second)
		requests := client.Between(open, time.Now())
		share := float64(e2e.Failures(requests)) / float64(len(requests))
		s.row.Further["failedPercent"] = 100 * share
		s.Expect(share).To(BeNumerically("~", 1./3, 0.15), "of %d requests", len(requests))
		s.Expect(backends(client, open, time.Now())).To(And(HaveKey(well[0].Name), HaveKey(well[1].Name)))
		// Once one has been found healthy, the other is out until it has been, too.
		s.leaving = well
		back := s.passChecks(well...)
		s.awaitOut(dead, quick.Recovery()+10*time.Second)
		time.Sleep(time.Until(back.Add(quick.Recovery() + settleTime)))
		outage := e2e.LastFailure(client.Between(back, time.Now()), back)
		s.recordMax("lastFailureAfterReturnMs", outage)
		s.recordMax("recoveryBoundMs", quick.Recovery())
		s.Expect(outage).To(BeNumerically("<=", quick.Recovery()+e2e.Slack))
		s.finish()
	})
}

// With minHealthyPercent, two of four may be taken out, but not three.
func TestMinHealthyPercent(t *testing.T) {
	t.Parallel()
	play(t, "probe breaks, minHealthyPercent 50", 4, quick, func(s *scenario) {
		s.create(s.endpoints(), availability(farpointv1.Availability{MinHealthyPercent: 50}))
		client := s.sendFromPod()
		s.begin()
		for _, host := range s.hosts[:2] {
			s.failChecks(host)
			s.awaitOut(host, quick.Refusal()+e2e.Slack)
		}
		half := time.Now().Add(e2e.Slack)
		time.Sleep(settleTime)
		s.Expect(backends(client, half, time.Now())).To(And(HaveLen(2), HaveKey(s.hosts[2].Name), HaveKey(s.hosts[3].Name)))
		s.failChecks(s.hosts[2])
		s.awaitCondition(farpointv1.FailOpenCondition, "True BelowMinHealthyPercent")
		for _, host := range s.hosts {
			s.awaitIn(host, quick.Refusal()+10*time.Second)
		}
		open := time.Now().Add(e2e.Slack)
		time.Sleep(2 * time.Second)
		s.Expect(backends(client, open, time.Now())).To(HaveLen(4))
		// Once two have been found healthy, the other two are out until they have been, too.
		s.leaving = s.hosts[:3]
		s.passChecks(s.hosts...)
		s.Eventually(s.verdicts).WithTimeout(quick.Recovery() + 10*time.Second).Should(HaveEach(farpointv1.EndpointHealthy))
		s.finish()
		s.Expect(s.row.Failures).To(BeZero())
	})
}
