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
	"net/netip"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

// isolated reports whether the status says that the operator's own network is down.
func (s *scenario) isolated() bool {
	object := &farpointv1.ExternalService{}
	s.Expect(s.ground.cluster.Client.Get(s.ctx, client.ObjectKeyFromObject(s.object), object)).To(Succeed())
	return meta.IsStatusConditionTrue(object.Status.Conditions, farpointv1.OperatorIsolatedCondition)
}

func TestUplinkIsCut(t *testing.T) {
	playWithOneDead(t, "operator's uplink cut and restored", func(s *scenario) {
		for range *repetitions {
			leads, _ := s.leader()
			pause(time.Second)
			s.Expect(leads.Isolate()).To(Succeed())
			s.cleanup(func() { _ = leads.Reconnect() }) // if that was not done below
			cut := time.Now()
			s.Eventually(s.isolated).WithTimeout(10*time.Second).Should(BeTrue(), "the object is to say so")
			s.recordMax("noticedMs", time.Since(cut))
			pause(5 * time.Second)
			s.Expect(leads.Reconnect()).To(Succeed())
			back := time.Now()
			s.Eventually(s.isolated).WithTimeout(10 * time.Second).Should(BeFalse())
			s.recordMax("releasedMs", time.Since(back))
			s.probedSince(back, takeover)
		}
		s.expectUnharmed()
	})
}

// A cut that ends before any endpoint reaches its failure threshold.
func TestUplinkIsCutForAMoment(t *testing.T) {
	playWithOneDead(t, "operator's uplink cut for up to 3 s", func(s *scenario) {
		leads, _ := s.leader()
		for range 2 * *repetitions {
			pause(time.Second)
			s.Expect(leads.Isolate()).To(Succeed())
			pause(3 * time.Second)
			s.Expect(leads.Reconnect()).To(Succeed())
			s.probedSince(time.Now(), takeover)
		}
		s.expectUnharmed()
	})
}

// The operator's host loses all its links, and with them the API server and all routes.
func TestLinkIsDown(t *testing.T) {
	playWithOneDead(t, "operator's link down and up, API server and all", func(s *scenario) {
		for range *repetitions {
			leads, _ := s.leader()
			pause(time.Second)
			start := time.Now()
			s.Expect(leads.Unplug()).To(Succeed())
			pause(5 * time.Second)
			s.Expect(leads.Plug()).To(Succeed())
			s.probedSince(time.Now(), takeover)
			s.recordMax("probingGapMs", s.longestGap(start))
		}
		s.expectUnharmed()
	})
}

// A whole site is lost: a third of all endpoints, all in one network. That must not count as a fault
// of the operator's own network.
func TestSiteIsLost(t *testing.T) {
	play(t, "one site of three cut off", 0, quick, func(s *scenario) {
		for _, name := range []string{"site-1", "site-2", "site-3"} {
			s.addHost(name, 4)
		}
		var endpoints []farpointv1.Endpoint
		for _, host := range s.hosts {
			for _, address := range host.Addresses {
				endpoints = append(endpoints, farpointv1.Endpoint{Address: address.String()})
			}
		}
		s.create(endpoints)
		requests := s.sendFromPod()
		s.begin()
		for range *repetitions {
			s.deaths(requests, quick.Silence(), s.hosts[:1], cut)
			for _, address := range s.hosts[0].Addresses {
				s.Expect(s.ready(address.String())).To(BeFalse())
			}
			s.Expect(s.hosts[0].Repair()).To(Succeed())
			for _, address := range s.hosts[0].Addresses {
				s.Eventually(s.ready).WithArguments(address.String()).WithTimeout(quick.Recovery() + 10*time.Second).Should(BeTrue())
			}
		}
		s.finish()
		s.Expect(s.row.SliceWrites).To(BeNumerically("<=", 8**repetitions), "one for each endpoint, or less")
	})
}

// Endpoints that cannot be probed do not count as dead.
func TestNoFilesLeft(t *testing.T) {
	playWithOneDead(t, "operator out of file descriptors", func(s *scenario) {
		for range *repetitions {
			leads, _ := s.leader()
			open, err := leads.OpenFiles()
			s.Expect(err).NotTo(HaveOccurred())
			s.Expect(leads.LimitFiles(open / 2)).To(Succeed())
			s.cleanup(func() { _ = leads.LimitFiles(1024) })
			limited := time.Now()
			time.Sleep(quick.Silence() * 2)
			for _, host := range s.alive() {
				s.Expect(host.ConnectionsFrom(leads.Pod.Address, limited.Add(quick.Timeout))).To(BeEmpty(), "no probe can be made")
			}
			s.Expect(leads.LimitFiles(1024)).To(Succeed())
			s.probedSince(time.Now(), takeover)
			s.recordMax("probingGapMs", s.longestGap(limited))
		}
		s.expectUnharmed()
	})
}

// 4,096 endpoints that drop every packet do not delay the verdicts on 100 live ones.
func TestBlackHoles(t *testing.T) {
	play(t, "4096 black-holed endpoints next to 100", 1, quick, func(s *scenario) {
		hole := s.addHost("black-hole", 1)
		s.hosts = s.hosts[:1]
		swallowed, err := hole.Swallow(world.Router())
		s.Expect(err).NotTo(HaveOccurred())
		living := s.addHost("living", 99)
		mortal := s.hosts[0]
		endpoints := []farpointv1.Endpoint{{Address: mortal.Address().String()}}
		for _, address := range living.Addresses {
			endpoints = append(endpoints, farpointv1.Endpoint{Address: address.String()})
		}
		s.create(endpoints)
		for batch := range slices.Chunk(swallowed, 1000) {
			s.declareSilent(batch)
		}
		requests := s.sendFromPod()
		// Until all have been found dead, they share what their namespace may probe at one time
		// with the living.
		for _, object := range s.declared {
			s.Eventually(func(g Gomega) {
				got := &farpointv1.ExternalService{}
				g.Expect(world.Client.Get(s.ctx, client.ObjectKeyFromObject(object), got)).To(Succeed())
				g.Expect(got.Status.Unhealthy).To(BeEquivalentTo(len(got.Spec.Endpoints)))
			}).WithTimeout(time.Minute).Should(Succeed())
		}
		time.Sleep(quick.Interval) // and those that waited have had their turn
		s.begin()
		for range 3 {
			s.deaths(requests, quick.Refusal(), []*e2e.Host{mortal}, kill)
			s.Expect(mortal.Start()).To(Succeed())
			s.awaitIn(mortal, quick.Recovery()+10*time.Second)
		}
		s.finish()
		s.row.Further["probingGapMs"] = float64(s.gapAt(living, s.measuredSince).Milliseconds())
		s.Expect(s.gapAt(living, s.measuredSince)).To(BeNumerically("<=", quick.Interval+e2e.Slack))
	})
}

// declareSilent creates an ExternalService whose endpoints never answer.
func (s *scenario) declareSilent(addresses []netip.Addr) {
	s.t.Helper()
	var endpoints []farpointv1.Endpoint
	for _, address := range addresses {
		endpoints = append(endpoints, farpointv1.Endpoint{Address: address.String()})
	}
	object := &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: "silent-"},
		Spec: farpointv1.ExternalServiceSpec{
			ServiceTemplate:     &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Port: 80}}}},
			Endpoints:           endpoints,
			HealthCheckInterval: &metav1.Duration{Duration: 5 * time.Second},
			HealthCheck:         farpointv1.HealthCheck{Timeout: &metav1.Duration{Duration: time.Second}},
		},
	}
	s.Expect(world.Client.Create(s.ctx, object)).To(Succeed())
	s.declared = append(s.declared, object)
}
