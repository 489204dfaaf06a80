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

package controllers_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

const triggerAnnotation = "endpoints.kubernetes.io/last-change-trigger-time"

var _ = Describe("packing", func() {
	It("annotates slices with the time of the change, and never writes for that alone", func(ctx SpecContext) {
		running := startOperator(adminConfig)
		namespace, probed := newNamespace(ctx), newBackend()
		object := externalService(namespace, "triggered", probed.url())
		object.Spec.HealthCheck.FailureThreshold = 1
		create(ctx, service(namespace, "triggered"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		trigger := func() time.Time {
			GinkgoHelper()
			at, err := time.Parse(time.RFC3339Nano, slicesFor(ctx, namespace, "triggered")[0].Annotations[triggerAnnotation])
			Expect(err).NotTo(HaveOccurred())
			return at
		}
		Expect(trigger()).To(BeTemporally("~", time.Now(), time.Minute))

		By("a verdict")
		before := time.Now()
		probed.status.Store(http.StatusServiceUnavailable)
		Eventually(column(ctx, object)).Should(Equal("0/1"))
		flipped := trigger()
		Expect(flipped).To(BeTemporally(">", before))
		Expect(flipped).To(BeTemporally("<=", now(ctx, object).Status.Endpoints[0].LastTransitionTime.Add(time.Second)))

		By("an edit")
		before = time.Now()
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Zone = "eu-1" })
		Eventually(trigger).Should(BeTemporally(">", before))

		By("leaving a slice alone that has lost it")
		slice := slicesFor(ctx, namespace, "triggered")[0]
		delete(slice.Annotations, triggerAnnotation)
		Expect(k8s.Update(ctx, &slice)).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.SuccessThreshold = 3 })
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Expect(slicesFor(ctx, namespace, "triggered")[0].ResourceVersion).To(Equal(slice.ResourceVersion))

		By("a restart")
		running.stop()
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.SuccessThreshold = 4 })
		startOperator(adminConfig)
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Expect(slicesFor(ctx, namespace, "triggered")[0].ResourceVersion).To(Equal(slice.ResourceVersion))
	})

	It("copies the Service's labels and keeps the reserved ones", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		target := service(namespace, "labelled")
		target.Spec.ClusterIP = corev1.ClusterIPNone
		target.Labels = map[string]string{
			"team": "payments", discoveryv1.LabelManagedBy: "somebody", discoveryv1.LabelServiceName: "elsewhere",
			corev1.IsHeadlessService: "perhaps", farpointv1.OwnerLabel: "another",
		}
		object := externalService(namespace, "labelled", backends.url("/"))
		create(ctx, target, object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		labels := func() map[string]string { return slicesFor(ctx, namespace, "labelled")[0].Labels }
		Expect(labels()).To(Equal(map[string]string{
			"team": "payments", discoveryv1.LabelManagedBy: farpointv1.ManagedBy, discoveryv1.LabelServiceName: "labelled",
			corev1.IsHeadlessService: "", farpointv1.OwnerLabel: "labelled",
		}))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
		target.Labels = map[string]string{"team": "orders"}
		Expect(k8s.Update(ctx, target)).To(Succeed())
		Eventually(labels).Should(HaveKeyWithValue("team", "orders"))
		Expect(labels()).To(HaveLen(5))
	})

	It("lets no endpoint be missing while it groups by zone and back", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "zones")
		object.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{MaxEndpoints: new(int32(4))}
		for i := range 22 {
			zone := []string{"eu-1", "eu-2", ""}[i%3]
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: fmt.Sprintf("198.51.100.%d", i+1), Port: new(int32(8080)), HealthCheckURL: backends.url("/"), Zone: zone,
			})
		}
		create(ctx, service(namespace, "zones"), object)
		Eventually(column(ctx, object)).Should(Equal("22/22"))
		seen := watchSlices(ctx, namespace, "zones", absentOf(conditions(ctx, namespace, "zones")()))
		zones := func() map[string]int {
			counts := map[string]int{}
			for _, slice := range slicesFor(ctx, namespace, "zones") {
				zone, ok := slice.Labels[corev1.LabelTopologyZone]
				if !ok {
					zone = "none"
				}
				counts[zone] += len(slice.Endpoints)
			}
			return counts
		}
		Expect(zones()).To(Equal(map[string]int{"none": 22}))
		for range 2 {
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.EndpointSlices.GroupBy = farpointv1.GroupByZone })
			Eventually(zones).Should(Equal(map[string]int{"eu-1": 8, "eu-2": 7, "none": 7}))
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.EndpointSlices.GroupBy = farpointv1.GroupByNone })
			Eventually(zones).Should(Equal(map[string]int{"none": 22}))
		}
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.EndpointSlices.GroupBy = farpointv1.GroupByZone
			for i := range spec.Endpoints {
				spec.Endpoints[i].Zone = []string{"eu-1", "eu-2", ""}[i/2%3]
			}
		})
		Eventually(zones).Should(Equal(map[string]int{"eu-1": 8, "eu-2": 8, "none": 6}))
		seen.expectNoFaults(ctx)
	})

	It("creates no duplicate while the cache is behind", func(ctx SpecContext) {
		startOperator(lagging(adminConfig, 2*time.Second))
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "behind")
		object.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{MaxEndpoints: new(int32(2))}
		for i := range 9 {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: fmt.Sprintf("198.51.100.%d", i+1), Port: new(int32(8080)), HealthCheckURL: backends.url(fmt.Sprintf("/%d", i)),
			})
		}
		create(ctx, service(namespace, "behind"))
		seen := watchSlices(ctx, namespace, "behind", twice)
		create(ctx, object)
		for i := range 100 {
			path := fmt.Sprintf("/%d", i%9)
			if _, down := backends.down.LoadAndDelete(path); !down {
				backends.down.Store(path, true)
			}
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[i%9].Zone = fmt.Sprintf("zone-%d", i) })
		}
		backends.down.Clear()
		Eventually(column(ctx, object)).WithTimeout(time.Minute).Should(Equal("9/9"))
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).WithTimeout(time.Minute).Should(Equal(now(ctx, object).Generation))
		Expect(conditions(ctx, namespace, "behind")()).To(HaveLen(9))
		seen.expectNoFaults(ctx)
	})

	It("creates nothing in a namespace that is being deleted, and reports no error", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := publishing(namespace, "going", backends.url("/"))
		create(ctx, service(namespace, "going"), object)
		Eventually(condition(ctx, object, farpointv1.EndpointsPublishedCondition)).Should(Equal("True EndpointsInStep"))
		going := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		Expect(k8s.Delete(ctx, going)).To(Succeed())
		Expect(k8s.Delete(ctx, endpointsBy(namespace, "going", nil))).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints = append(spec.Endpoints, farpointv1.Endpoint{Address: "2001:db8::1", Port: new(int32(8080)), HealthCheckURL: backends.url("/")})
		})
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))
		Expect(slicesFor(ctx, namespace, "going")).To(HaveLen(1))
	})
})

var _ = Describe("topology", func() {
	It("hints at zones as the Service says, for all endpoints or for none", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		target, object := service(namespace, "hints"), externalService(namespace, "hints", backends.url("/a"), backends.url("/b"))
		object.Spec.Endpoints[0].Zone, object.Spec.Endpoints[1].Zone = "eu-1", "eu-2"
		object.Spec.Endpoints[0].NodeName, object.Spec.Endpoints[1].NodeName = "node-1", "node-2"
		create(ctx, target, object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		hints := func() map[string]string {
			byAddress := map[string]string{}
			for _, slice := range slicesFor(ctx, namespace, "hints") {
				for _, endpoint := range slice.Endpoints {
					var words []string
					if endpoint.Hints != nil {
						for _, zone := range endpoint.Hints.ForZones {
							words = append(words, zone.Name)
						}
						for _, node := range endpoint.Hints.ForNodes {
							words = append(words, node.Name)
						}
					}
					byAddress[endpoint.Addresses[0]] = strings.Join(words, " ")
				}
			}
			return byAddress
		}
		effective := condition(ctx, object, farpointv1.TrafficPolicyEffectiveCondition)
		editTarget := func(change func(*corev1.Service)) {
			GinkgoHelper()
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
			change(target)
			Expect(k8s.Update(ctx, target)).To(Succeed())
		}
		Expect(hints()).To(Equal(map[string]string{"192.0.2.10": "", "192.0.2.11": ""}))
		Expect(effective()).To(BeEmpty())

		editTarget(func(s *corev1.Service) { s.Spec.TrafficDistribution = new("PreferSameZone") })
		Eventually(hints).Should(Equal(map[string]string{"192.0.2.10": "eu-1", "192.0.2.11": "eu-2"}))
		Eventually(effective).Should(Equal("True HintsWritten"))

		editTarget(func(s *corev1.Service) { s.Spec.TrafficDistribution = new("PreferSameNode") })
		Eventually(hints).Should(Equal(map[string]string{"192.0.2.10": "eu-1 node-1", "192.0.2.11": "eu-2 node-2"}))

		editTarget(func(s *corev1.Service) {
			s.Spec.TrafficDistribution = nil
			s.Annotations = map[string]string{"service.kubernetes.io/topology-mode": "Auto"}
		})
		Eventually(hints).Should(Equal(map[string]string{"192.0.2.10": "eu-1", "192.0.2.11": "eu-2"}))
		Eventually(effective).Should(Equal("True TopologyModeDeprecated"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[1].ForZones = []string{"eu-2", "eu-3"} })
		Eventually(hints).Should(HaveKeyWithValue("192.0.2.11", "eu-2 eu-3"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Zone = "" })
		Eventually(hints).Should(Equal(map[string]string{"192.0.2.10": "", "192.0.2.11": ""}))
		Eventually(effective).Should(Equal("False EndpointWithoutZone"))
		Expect(message(ctx, object, farpointv1.TrafficPolicyEffectiveCondition)).To(HavePrefix("192.0.2.10:8080 has neither zone nor forZones"))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[0].NodeName, spec.Endpoints[1].ForZones = "", nil
		})
		editTarget(func(s *corev1.Service) {
			s.Annotations = nil
			s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
		})
		Eventually(effective).Should(Equal("False LocalTrafficPolicy"))
	})
})
