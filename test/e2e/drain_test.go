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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// drainPeriod is that of the scenarios.
const drainPeriod = 3 * time.Second

// steps is how long each step of a move is observed.
const steps = 2 * time.Second

// move is a scenario in which a machine is replaced by another under traffic of all kinds.
type move struct {
	*scenario
	old, fresh *e2e.Host
	// client makes a new connection for each request, session keeps one to the old host.
	client, session *traffic.Client
}

// moving plays a scenario that begins with these endpoints of the sample.
func moving(t *testing.T, name string, story func(*move), endpoints ...int) {
	t.Helper()
	play(t, name, 2, quick, func(s *scenario) {
		object := s.sample("migration.yaml")
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: drainPeriod}
		object.Spec.Endpoints[0].State = farpointv1.EndpointActive
		all := object.Spec.Endpoints
		object.Spec.Endpoints = nil
		for _, index := range endpoints {
			object.Spec.Endpoints = append(object.Spec.Endpoints, all[index])
		}
		s.apply(object)
		m := &move{scenario: s, old: s.hosts[0], fresh: s.hosts[1], client: s.sendFromPod()}
		m.session = s.sessionWith(m.old)
		s.leaving = s.hosts[:1]
		s.begin()
		story(m)
		s.finish()
		s.Expect(s.row.Failures).To(BeZero(), "failed requests")
	})
}

// sessionWith opens connections to the Service until one leads to the host, and keeps them all.
func (s *scenario) sessionWith(host *e2e.Host) *traffic.Client {
	s.t.Helper()
	from := s.pod()
	for range 20 {
		session := traffic.StartSession(from.Namespace, s.clusterIP(80), 50*time.Millisecond)
		s.clients = append(s.clients, session)
		var first []traffic.Request
		s.Eventually(func() []traffic.Request {
			first = session.Between(s.started, time.Now())
			return first
		}).WithTimeout(5 * time.Second).ShouldNot(BeEmpty())
		if first[0].Backend == host.Name {
			return session
		}
	}
	s.Expect(false).To(BeTrue(), "one connection in 20 is to lead to %s", host.Name)
	return nil
}

// awaitWithdrawn waits until the address of a host is in no slice.
func (s *scenario) awaitWithdrawn(host *e2e.Host) {
	s.t.Helper()
	s.Eventually(func() []string { return world.watcher.Published(s.namespace) }).WithTimeout(drainPeriod + 5*time.Second).WithPolling(5 * time.Millisecond).
		ShouldNot(ContainElement(host.Address().String()))
}

// lastTo returns how long after a time the client sent its last request that the host answered.
func lastTo(client *traffic.Client, host *e2e.Host, since time.Time) time.Duration {
	var last time.Duration
	for _, request := range client.Between(since, time.Now()) {
		if request.Backend == host.Name {
			last = max(last, request.At.Sub(since))
		}
	}
	return last
}

// expectDrain observes the drain of the old host, which has just left the spec, until it is over.
func (m *move) expectDrain(removed time.Time) {
	m.t.Helper()
	m.awaitWithdrawn(m.old)
	m.recordMax("drainedMs", time.Since(removed))
	// It is counted in whole seconds.
	m.Expect(time.Since(removed)).To(BeNumerically("~", drainPeriod+500*time.Millisecond, 500*time.Millisecond+e2e.Slack))
	m.expectSessionKept(removed)
}

// expectSessionKept expects that the long-lived connection still works.
func (m *move) expectSessionKept(since time.Time) {
	m.t.Helper()
	requests := m.session.Between(since, time.Now())
	m.Expect(requests).NotTo(BeEmpty())
	m.Expect(requests).To(HaveEach(HaveField("Backend", m.old.Name)))
}

// expectMoved expects that new connections lead to the new host soon after a time.
func (m *move) expectMoved(since time.Time) {
	m.t.Helper()
	m.recordMax("lastNewConnectionMs", lastTo(m.client, m.old, since))
	m.Expect(lastTo(m.client, m.old, since)).To(BeNumerically("<=", e2e.Slack))
	m.Expect(lastTo(m.client, m.fresh, since)).To(BeNumerically(">", 0))
}

func draining(spec *farpointv1.ExternalServiceSpec) {
	spec.Endpoints[0].State = farpointv1.EndpointDraining
}

func withoutFirst(spec *farpointv1.ExternalServiceSpec) {
	spec.Endpoints = slices.Delete(spec.Endpoints, 0, 1)
}

func TestDrains(t *testing.T) {
	t.Run("state Draining, then removed", func(t *testing.T) {
		t.Parallel()
		moving(t, "endpoint set to Draining, then removed", func(m *move) {
			at := m.edit(draining)
			m.awaitOut(m.old, 5*time.Second)
			time.Sleep(steps)
			m.expectMoved(at)
			m.expectDrain(m.edit(withoutFirst))
		}, 0, 1)
	})
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		moving(t, "endpoint leaves the spec", func(m *move) {
			at := m.edit(withoutFirst)
			m.awaitOut(m.old, 5*time.Second)
			m.expectDrain(at)
			m.expectMoved(at)
		}, 0, 1)
	})
	t.Run("replaced", func(t *testing.T) {
		t.Parallel()
		moving(t, "only endpoint replaced in one edit", func(m *move) {
			at := m.edit(func(spec *farpointv1.ExternalServiceSpec) {
				spec.Endpoints = []farpointv1.Endpoint{{Address: m.fresh.Address().String()}}
			})
			m.awaitIn(m.fresh, quick.Recovery()+10*time.Second)
			arrived := time.Now()
			m.recordMax("arrivedMs", arrived.Sub(at))
			m.expectDrain(at)
			m.expectMoved(arrived)
		}, 0)
	})
	t.Run("last", func(t *testing.T) {
		t.Parallel()
		moving(t, "last endpoint set to Draining, another one comes", func(m *move) {
			at := m.edit(draining)
			m.awaitOut(m.old, 5*time.Second)
			time.Sleep(steps)
			m.Expect(m.client.Between(at, time.Now())).To(HaveEach(HaveField("Backend", m.old.Name)), "nobody else is there")
			m.edit(func(spec *farpointv1.ExternalServiceSpec) {
				spec.Endpoints = append(spec.Endpoints, farpointv1.Endpoint{Address: m.fresh.Address().String()})
			})
			m.awaitIn(m.fresh, quick.Recovery()+10*time.Second)
			arrived := time.Now()
			time.Sleep(steps)
			m.expectMoved(arrived)
			m.expectSessionKept(at)
		}, 0)
	})
}

// A server reports that it drains, and later that it no longer does.
func TestDrainByStatus(t *testing.T) {
	t.Parallel()
	play(t, "server takes itself out by a drain status, and comes back", 3, quick, func(s *scenario) {
		s.apply(s.sample("rolling-restart.yaml"))
		m := &move{scenario: s, old: s.hosts[0], fresh: s.hosts[1], client: s.sendFromPod()}
		m.session = s.sessionWith(m.old)
		s.begin()
		at := time.Now()
		s.failChecks(m.old)
		s.awaitOut(m.old, quick.Refusal()+10*time.Second)
		out := time.Now()
		s.recordMax("outMs", out.Sub(at))
		time.Sleep(steps)
		m.expectMoved(out)
		back := s.passChecks(m.old)
		s.awaitIn(m.old, quick.Recovery()+10*time.Second)
		s.recordMax("inMs", time.Since(back))
		m.expectSessionKept(at)
		s.finish()
		s.Expect(s.row.Failures).To(BeZero(), "failed requests")
		s.Expect(s.row.SliceWrites).To(Equal(2))
		s.Expect(out.Sub(at)).To(BeNumerically("<=", quick.Refusal()+e2e.Slack))
	})
}
