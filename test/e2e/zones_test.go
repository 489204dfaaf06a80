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
	"testing"
	"time"

	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"

	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/netns"
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// addNode makes a node for the time of the scenario.
func (s *scenario) addNode() *netns.Node {
	s.t.Helper()
	node, err := world.AddNode(s.ctx)
	s.Expect(err).NotTo(HaveOccurred())
	s.cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Expect(world.RemoveNode(ctx, node)).To(Succeed())
	})
	return node
}

// answeredBy matches requests that were answered by one of the hosts.
func answeredBy(hosts []*e2e.Host) gomegatypes.GomegaMatcher {
	var names []gomegatypes.GomegaMatcher
	for _, host := range hosts {
		names = append(names, Equal(host.Name))
	}
	return HaveField("Backend", Or(names...))
}

// Clients keep to their zone as long as somebody is alive in it, and come back as soon as
// somebody is again. Those of the other zone notice nothing.
func TestZones(t *testing.T) {
	t.Parallel()
	play(t, "a zone of two dies and comes back, clients in both", 5, quick, func(s *scenario) {
		nodes := []*netns.Node{world.Router(), s.addNode()}
		object := s.sample("global-api.yaml")
		zones := map[string]string{"eu-central-1a": nodes[0].Zone, "eu-central-1b": nodes[1].Zone}
		for i := range object.Spec.Endpoints {
			if zone, ok := zones[object.Spec.Endpoints[i].Zone]; ok {
				object.Spec.Endpoints[i].Zone = zone
			}
		}
		s.apply(object)
		hosts := [][]*e2e.Host{s.hosts[:2], s.hosts[2:4]}
		clients := make([]*traffic.Client, 2)
		for i, node := range nodes {
			clients[i] = s.send(s.podOn(node).Namespace, "tcp", s.clusterIP(80), requestRate)
		}
		s.begin()
		time.Sleep(settleTime)
		for i, client := range clients {
			s.Expect(client.Between(s.measuredSince, time.Now())).To(HaveEach(answeredBy(hosts[i])))
		}
		for i := range hosts {
			s.zoneDies(clients[i], clients[1-i], hosts[i], hosts[1-i])
		}
		s.expectDeathsInTime()
		s.finish()
	})
}

// zoneDies kills all of a zone, and lets them come back. The one client is near to them,
// the other to others.
func (s *scenario) zoneDies(near, far *traffic.Client, mortal, others []*e2e.Host) {
	s.t.Helper()
	start := time.Now()
	_, err := kill(mortal[0])
	s.Expect(err).NotTo(HaveOccurred())
	at := s.death(near, quick.Refusal(), mortal[1], kill)
	across := at.Add(quick.Refusal() + e2e.Slack)
	s.Expect(near.Between(across, time.Now())).To(HaveEach(Not(answeredBy(mortal))))
	s.Expect(near.Between(across, time.Now())).To(ContainElement(answeredBy(others)))

	for _, host := range mortal {
		s.Expect(host.Start()).To(Succeed())
	}
	for _, host := range mortal {
		s.awaitIn(host, quick.Recovery()+10*time.Second)
	}
	home := time.Now().Add(e2e.Slack)
	time.Sleep(e2e.Slack + settleTime)
	s.Expect(near.Between(home, time.Now())).To(And(Not(BeEmpty()), HaveEach(answeredBy(mortal))))
	s.Expect(e2e.Failures(near.Between(across, time.Now()))).To(BeZero())
	s.Expect(far.Between(start, time.Now())).To(HaveEach(answeredBy(others)))
	s.Expect(e2e.Failures(far.Between(start, time.Now()))).To(BeZero())
}
