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
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

// maxHold is --guard-max-hold where a scenario waits for it.
const maxHold = 8 * time.Second

// secondGround is a cluster where operators have only the targets of their own scenario. It is
// created when it is first needed.
var secondGround = sync.OnceValues(func() (ground, error) {
	// Longer than any test: it ends with the process.
	ctx := context.Background()
	cluster, err := world.NewSecond(ctx)
	if err != nil {
		return ground{}, err
	}
	if err := cluster.Apply(filepath.Join(root, "config/default")); err != nil {
		return ground{}, fmt.Errorf("install the operator in the second cluster: %w", err)
	}
	return ground{cluster, cluster.StartWatcher(ctx)}, nil
})

// installation plays a scenario whose operator, which it starts itself, has no other targets.
func installation(t *testing.T, name string, story func(*scenario)) {
	t.Helper()
	t.Parallel()
	second, err := secondGround()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	playOn(t, second, name, 0, quick, story)
}

// operate starts the scenario's own operator.
func (s *scenario) operate(arguments ...string) *e2e.Operator {
	s.t.Helper()
	operator, err := s.ground.cluster.StartOperator(s.ctx, e2e.OperatorOptions{
		Arguments: append([]string{"--leader-elect=false", "--watch-namespaces=" + s.namespace}, arguments...),
	})
	s.cleanup(func() {
		if operator != nil {
			s.Expect(operator.Remove()).To(Succeed())
		}
	})
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(awaitReady(s.ctx, operator)).To(Succeed())
	return operator
}

// addSites adds so many hosts with so many addresses each, all of them healthy endpoints in
// networks of their own.
func (s *scenario) addSites(name string, sites, addresses int) []*e2e.Host {
	s.t.Helper()
	for i := range sites {
		s.addHost(fmt.Sprintf("%s-%d", name, i+1), addresses)
	}
	return s.hosts[len(s.hosts)-sites:]
}

// addCanary starts a host that is no endpoint, and returns the operator's argument.
func (s *scenario) addCanary() string {
	s.t.Helper()
	host, err := world.NewHost("canary", 1)
	s.Expect(err).NotTo(HaveOccurred())
	s.cleanup(func() { s.Expect(host.Remove()).To(Succeed()) })
	return fmt.Sprintf("--canary=tcp://%s:%d", host.Address(), e2e.BackendPort)
}

// all returns endpoints for hosts, one for each address.
func all(hosts ...*e2e.Host) []farpointv1.Endpoint {
	var list []farpointv1.Endpoint
	for _, host := range hosts {
		for _, address := range host.Addresses {
			list = append(list, farpointv1.Endpoint{Address: address.String()})
		}
	}
	return list
}

// publish creates an ExternalService with a Service of its own, and waits until hosts are
// published.
func (s *scenario) publish(name string, endpoints []farpointv1.Endpoint, hosts ...*e2e.Host) {
	s.t.Helper()
	object := &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: farpointv1.ExternalServiceSpec{
			ServiceTemplate: &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Port: 80, TargetPort: ptr.To[int32](e2e.BackendPort)}}}},
			Endpoints:       endpoints,
			HealthCheckURL:  "http:///health",
		},
	}
	s.set(&object.Spec)
	s.Expect(s.ground.cluster.Client.Create(s.ctx, object)).To(Succeed())
	s.declared = append(s.declared, object)
	for _, endpoint := range all(hosts...) {
		s.Eventually(s.readyIn).WithArguments(name, endpoint.Address).WithTimeout(15*time.Second).Should(BeTrue(), "%s is to be published", endpoint.Address)
	}
}

func (s *scenario) readyIn(service, address string) bool {
	return s.ground.watcher.Ready(e2e.EndpointKey{Namespace: s.namespace, Service: service, Address: address})
}

// services returns the names of the Services that the scenario publishes.
func (s *scenario) services() []string {
	var names []string
	if s.object != nil {
		names = append(names, serviceName)
	}
	for _, object := range s.declared {
		names = append(names, object.GetName())
	}
	return names
}

// expectOut waits until all endpoints of hosts that died at a time are taken out, and adds to the row
// how long that took. It does not check the bound.
func (s *scenario) expectOut(at time.Time, bound time.Duration, hosts ...*e2e.Host) {
	s.t.Helper()
	for _, host := range hosts {
		for _, address := range host.Addresses {
			for _, service := range s.services() {
				s.Eventually(s.readyIn).WithArguments(service, address.String()).WithTimeout(time.Until(at.Add(bound+10*time.Second))).
					Should(BeFalse(), "%s is to be taken out of %s", address, service)
			}
		}
	}
	seen := map[e2e.EndpointKey]time.Time{}
	for _, change := range s.ground.watcher.Changes(s.namespace, at) {
		if !change.Ready && slices.ContainsFunc(hosts, func(host *e2e.Host) bool { return host.Has(change.Address) }) {
			seen[change.EndpointKey] = change.At
		}
	}
	s.Expect(seen).NotTo(BeEmpty())
	for _, out := range seen {
		s.row.Gone(out.Sub(at), bound)
	}
}

// awaitAllIn waits until all addresses of hosts are published in all Services.
func (s *scenario) awaitAllIn(within time.Duration, hosts ...*e2e.Host) {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for _, host := range hosts {
		for _, address := range host.Addresses {
			for _, service := range s.services() {
				s.Eventually(s.readyIn).WithArguments(service, address.String()).WithTimeout(max(time.Until(deadline), time.Millisecond)).
					Should(BeTrue(), "%s is to be published in %s", address, service)
			}
		}
	}
}

// expectNoneWronglyOut expects that no healthy endpoint has been taken out so far.
func (s *scenario) expectNoneWronglyOut() {
	s.t.Helper()
	s.Expect(s.wronglyOut()).To(BeEmpty(), "healthy endpoints taken out")
}
