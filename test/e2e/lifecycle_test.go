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
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

// repaired is the longest time until an edited slice is restored.
const repaired = 2 * time.Second

// ownSlices returns the operator's slices in the scenario's namespace.
func (s *scenario) ownSlices() []discoveryv1.EndpointSlice {
	s.t.Helper()
	list := &discoveryv1.EndpointSliceList{}
	s.Expect(world.Client.List(s.ctx, list, client.InNamespace(s.namespace),
		client.MatchingLabels{discoveryv1.LabelManagedBy: "externalservice-controller.farpoint.dev"})).To(Succeed())
	return list.Items
}

// Somebody deletes and edits the slices again and again. Traffic that healthy endpoints lose by that
// is no error, but the slices are restored at once.
func TestSlicesAreTamperedWith(t *testing.T) {
	tampering := map[string]func(s *scenario, slice *discoveryv1.EndpointSlice) error{
		"deleted": func(s *scenario, slice *discoveryv1.EndpointSlice) error { return world.Client.Delete(s.ctx, slice) },
		"an endpoint edited": func(s *scenario, slice *discoveryv1.EndpointSlice) error {
			slice.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(false), Terminating: ptr.To(false)}
			return world.Client.Update(s.ctx, slice)
		},
		"all endpoints removed": func(s *scenario, slice *discoveryv1.EndpointSlice) error {
			slice.Endpoints = nil
			return world.Client.Update(s.ctx, slice)
		},
		"its label removed": func(s *scenario, slice *discoveryv1.EndpointSlice) error {
			delete(slice.Labels, discoveryv1.LabelServiceName)
			return world.Client.Update(s.ctx, slice)
		},
	}
	play(t, "slices deleted and edited by somebody else in a loop", 4, quick, func(s *scenario) {
		s.create(s.endpoints())
		s.sendFromPod()
		s.leaving = s.hosts // they do lose their traffic for a moment
		s.begin()
		for round := range 5 * *repetitions {
			for name, tamper := range tampering {
				for _, slice := range s.ownSlices() {
					// The operator may have written in between.
					s.Expect(client.IgnoreNotFound(tamper(s, &slice))).To(Or(Succeed(), Satisfy(apierrors.IsConflict)), name)
				}
				at := time.Now()
				s.Eventually(func(g Gomega) {
					slices := s.ownSlices()
					g.Expect(slices).To(HaveLen(1))
					g.Expect(slices[0].Labels).To(HaveKeyWithValue(discoveryv1.LabelServiceName, serviceName))
					g.Expect(slices[0].Endpoints).To(HaveLen(len(s.hosts)))
					for _, endpoint := range slices[0].Endpoints {
						g.Expect(endpoint.Conditions.Ready).To(HaveValue(BeTrue()))
					}
				}).WithTimeout(repaired).WithPolling(10*time.Millisecond).Should(Succeed(), "%s, round %d", name, round)
				s.recordMax("repairedMs", time.Since(at))
			}
		}
		s.finish()
	})
}

// More than a hundred objects are created and deleted. Nothing of them remains in the API server or in
// the operator.
func TestObjectsComeAndGo(t *testing.T) {
	playWithOneDead(t, "200 objects created and deleted in a storm", func(s *scenario) {
		leads, _ := s.leader()
		before := s.footprint(leads)
		for range *repetitions {
			var storm []*farpointv1.ExternalService
			for i := range 200 {
				object := &farpointv1.ExternalService{
					ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: fmt.Sprintf("fleeting-%d", i)},
					Spec: farpointv1.ExternalServiceSpec{
						ServiceTemplate:     &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Port: e2e.BackendPort}}}},
						Endpoints:           []farpointv1.Endpoint{{Address: s.address(s.hosts[i%len(s.alive())])}},
						HealthCheckURL:      "http:///health",
						HealthCheckInterval: &metav1.Duration{Duration: time.Second + time.Duration(i)*time.Millisecond},
					},
				}
				s.Expect(world.Client.Create(s.ctx, object)).To(Succeed())
				storm = append(storm, object)
				if i >= 100 { // half of them are hardly there
					s.Expect(world.Client.Delete(s.ctx, storm[i-100])).To(Succeed())
				}
			}
			for _, object := range storm[100:] {
				s.Expect(world.Client.Delete(s.ctx, object)).To(Succeed())
			}
			over := time.Now()
			s.Eventually(s.ownSlices).WithTimeout(afterStorm).Should(HaveLen(1), "only the scenario's own slice is to stay")
			s.recordMax("goneMs", time.Since(over))
		}
		s.Eventually(func(g Gomega) {
			after := s.footprint(leads)
			g.Expect(after.series).To(BeNumerically("<=", before.series))
			g.Expect(after.targets).To(Equal(before.targets))
			// Some wait for requests to come, as they do after any work.
			g.Expect(after.goroutines).To(BeNumerically("<=", before.goroutines+20))
			s.row.Further["goroutinesBefore"], s.row.Further["goroutinesAfter"] = before.goroutines, after.goroutines
			s.row.Further["seriesBefore"], s.row.Further["seriesAfter"] = before.series, after.series
		}).WithTimeout(time.Minute).WithPolling(time.Second).Should(Succeed())
		s.finish()
		s.Expect(s.row.Failures).To(BeZero(), "failed requests")
		s.expectDeathFound()
	})
}

// footprint counts a replica's goroutines, the targets that it probes, and its series that name a
// namespace or an object.
type footprint struct{ goroutines, targets, series float64 }

func (s *scenario) footprint(of *e2e.Operator) footprint {
	s.t.Helper()
	metrics, err := of.Metrics(s.ctx)
	s.Expect(err).NotTo(HaveOccurred())
	return footprint{
		goroutines: metrics.Sum("go_goroutines"),
		targets:    metrics.Sum("farpoint_probe_targets"),
		series:     float64(metrics.Labelled("namespace")),
	}
}

// The operator of the previous commit is upgraded to this one, downgraded, and so on, each time with
// its manifests and one replica after the other. Objects and their endpoints stay as they are.
func TestUpgrade(t *testing.T) {
	previous := fromEnvironment("E2E_PREVIOUS", filepath.Join(root, "dist/previous"))
	before := filepath.Join(previous, "bin/manager")
	if _, err := os.Stat(before); err != nil {
		t.Fatalf("%v: make test-e2e builds it", err)
	}
	playWithOneDead(t, "upgraded, downgraded and upgraded with 100 objects", func(s *scenario) {
		many := s.addHost("many", 100)
		s.hosts[len(s.hosts)-1], s.hosts[len(s.hosts)-2] = s.hosts[len(s.hosts)-2], many // the dead one stays last
		for i, address := range many.Addresses {
			object := &farpointv1.ExternalService{
				ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: fmt.Sprintf("one-of-many-%d", i)},
				Spec: farpointv1.ExternalServiceSpec{
					ServiceTemplate: &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Port: e2e.BackendPort}}}},
					Endpoints:       []farpointv1.Endpoint{{Address: address.String()}},
					HealthCheckURL:  "http:///health",
				},
			}
			s.Expect(world.Client.Create(s.ctx, object)).To(Succeed())
			s.declared = append(s.declared, object)
			s.Eventually(func() bool {
				return world.watcher.Ready(e2e.EndpointKey{Namespace: s.namespace, Service: object.Name, Address: address.String()})
			}).WithTimeout(15 * time.Second).Should(BeTrue())
		}
		s.cleanup(func() { s.Expect(s.roll(root, "")).To(Succeed()) })
		s.begin()
		for range *repetitions {
			for _, version := range []struct{ folder, binary string }{{previous, before}, {root, ""}, {previous, before}, {root, ""}} {
				start := time.Now()
				s.Expect(s.roll(version.folder, version.binary)).To(Succeed())
				s.probedSince(time.Now(), takeover)
				s.recordMax("rolloutMs", time.Since(start))
			}
		}
		s.expectUnharmed()
	})
}

// roll installs the manifests of a folder and then replaces one replica after the other.
func (s *scenario) roll(folder, binary string) error {
	ctx := context.Background() // that of the test may be over
	if err := world.Apply(filepath.Join(folder, "config/default")); err != nil {
		return err
	}
	for _, operator := range world.operators {
		if operator.Alive() == nil {
			if _, err := operator.Stop(); err != nil {
				return err
			}
		}
		operator.Use(binary)
		if err := operator.Start(ctx); err != nil {
			return err
		}
		if err := awaitReady(ctx, operator); err != nil {
			return err
		}
	}
	return nil
}

// removal is the longest time until a namespace is gone.
const removal = 10 * time.Second

func (s *scenario) removeNamespace(within time.Duration) {
	s.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	s.Expect(world.Client.Delete(s.ctx, namespace)).To(Succeed())
	s.Eventually(func() bool {
		return apierrors.IsNotFound(world.Client.Get(s.ctx, client.ObjectKeyFromObject(namespace), namespace))
	}).WithTimeout(within).Should(BeTrue(), "the namespace is to go")
}

// If the operator is removed first, everything else can still be removed: nothing waits for it.
func TestOperatorIsRemovedFirst(t *testing.T) {
	play(t, "operator removed before its objects", 2, quick, func(s *scenario) {
		s.create(s.endpoints())
		s.begin()
		s.publishAnother("with-a-service", s.hosts[0])
		s.Eventually(s.ownSlices).WithTimeout(15 * time.Second).Should(HaveLen(2))
		s.leaving = s.hosts
		for _, operator := range world.operators {
			_, err := operator.Stop()
			s.Expect(err).NotTo(HaveOccurred())
		}
		s.cleanup(func() { s.Expect(restartOperators(context.Background())).To(Succeed()) })
		at := time.Now()
		s.Expect(world.Client.Delete(s.ctx, s.object)).To(Succeed())
		s.Eventually(s.ownSlices).WithTimeout(removal).Should(HaveLen(1), "the object's slices are to go with it")
		s.recordMax("slicesGoneMs", time.Since(at))
		at = time.Now()
		s.removeNamespace(removal)
		s.recordMax("namespaceGoneMs", time.Since(at))
		s.finish()
	})
}
