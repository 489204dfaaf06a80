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
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// legacy returns the contents of an Endpoints object, as in "http 8080: 192.0.2.10 / 192.0.2.11"
// with the addresses that are not ready after the slash; "none" if there is no such object.
func legacy(ctx SpecContext, namespace, name string) func() string {
	return func() string {
		endpoints := &corev1.Endpoints{}
		if err := k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, endpoints); apierrors.IsNotFound(err) {
			return "none"
		} else {
			Expect(err).NotTo(HaveOccurred())
		}
		text := ""
		for i, subset := range endpoints.Subsets {
			if i > 0 {
				text += "; "
			}
			text += fmt.Sprintf("%s %d:", subset.Ports[0].Name, subset.Ports[0].Port)
			for _, address := range subset.Addresses {
				text += " " + address.IP
			}
			for j, address := range subset.NotReadyAddresses {
				if j == 0 {
					text += " /"
				}
				text += " " + address.IP
			}
		}
		return text
	}
}

// endpointsBy are somebody else's.
func endpointsBy(namespace, name string, labels map[string]string) *corev1.Endpoints {
	return &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.0.0.1"}}, Ports: []corev1.EndpointPort{{Name: "http", Port: 80}}}},
	}
}

// publishing is an ExternalService that asks for Endpoints.
func publishing(namespace, name string, urls ...farpointv1.HealthCheckURL) *farpointv1.ExternalService {
	object := externalService(namespace, name, urls...)
	object.Spec.PublishEndpoints = true
	return object
}

var _ = Describe("an Endpoints object", func() {
	It("follows the slices if the spec asks for it", func(ctx SpecContext) {
		running := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := publishing(namespace, "legacy", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		object.Spec.Endpoints[0].Hostname, object.Spec.Endpoints[0].NodeName = "first", "node-a"
		target := service(namespace, "legacy")
		target.Spec.ClusterIP, target.Labels = corev1.ClusterIPNone, map[string]string{"team": "payments"}
		create(ctx, target, object)
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11 192.0.2.12"))
		Eventually(condition(ctx, object, farpointv1.EndpointsPublishedCondition)).Should(Equal("True EndpointsInStep"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Expect(condition(ctx, object, farpointv1.NoConflictsCondition)()).To(Equal("True NoConflicts"))
		get := func() *corev1.Endpoints {
			endpoints := &corev1.Endpoints{}
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), endpoints)).To(Succeed())
			return endpoints
		}
		sound := get()
		Expect(sound.Labels).To(Equal(map[string]string{
			"team": "payments", "service.kubernetes.io/headless": "",
			"endpointslice.kubernetes.io/skip-mirror": "true",
			"endpoints.kubernetes.io/managed-by":      "externalservice-controller.farpoint.dev",
			"farpoint.dev/externalservice":            "legacy",
		}))
		Expect(sound.OwnerReferences).To(ConsistOf(HaveField("UID", now(ctx, object).UID)))
		Expect(sound.Subsets[0].Addresses[0].Hostname).To(Equal("first"))
		Expect(sound.Subsets[0].Addresses[0].NodeName).To(HaveValue(Equal("node-a")))

		By("a death and an edit of the state")
		backends.down.Store("/b", true)
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.10 192.0.2.12 / 192.0.2.11"))
		backends.down.Delete("/b")
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11 192.0.2.12"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[0].State, spec.Endpoints[2].State = farpointv1.EndpointDisabled, farpointv1.EndpointDraining
		})
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.11 / 192.0.2.10"), "what is draining is left out")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[0].State, spec.Endpoints[2].State = farpointv1.EndpointActive, farpointv1.EndpointActive
		})
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11 192.0.2.12"))

		for name, damage := range map[string]func(*corev1.Endpoints){
			"addresses":        func(e *corev1.Endpoints) { e.Subsets[0].Addresses = e.Subsets[0].Addresses[:1] },
			"the mirror label": func(e *corev1.Endpoints) { delete(e.Labels, "endpointslice.kubernetes.io/skip-mirror") },
			"all labels":       func(e *corev1.Endpoints) { e.Labels = nil },
			"the reference":    func(e *corev1.Endpoints) { e.OwnerReferences = nil },
			"another's label":  func(e *corev1.Endpoints) { e.Labels["endpoints.kubernetes.io/managed-by"] = "endpoint-controller" },
		} {
			By("mending " + name)
			damaged := get()
			damage(damaged)
			Expect(k8s.Update(ctx, damaged)).To(Succeed())
			Eventually(func(g Gomega) {
				present := get()
				g.Expect(present.Labels).To(Equal(sound.Labels))
				g.Expect(present.OwnerReferences).To(Equal(sound.OwnerReferences))
				g.Expect(present.Subsets).To(Equal(sound.Subsets))
			}).Should(Succeed())
		}
		Expect(k8s.Delete(ctx, sound)).To(Succeed())
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11 192.0.2.12"))

		By("its Service coming back")
		Expect(k8s.Delete(ctx, target)).To(Succeed())
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("none"))
		Eventually(condition(ctx, object, farpointv1.EndpointsPublishedCondition)).Should(Equal("Unknown NotJudged"))
		create(ctx, service(namespace, "legacy"))
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11 192.0.2.12"))

		By("another name")
		create(ctx, service(namespace, "renamed"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService = &farpointv1.TargetServiceReference{Name: "renamed"}
		})
		Eventually(legacy(ctx, namespace, "renamed")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11 192.0.2.12"))
		Eventually(legacy(ctx, namespace, "legacy")).Should(Equal("none"))

		By("being no longer requested")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.PublishEndpoints = false })
		Eventually(legacy(ctx, namespace, "renamed")).Should(Equal("none"))
		Eventually(condition(ctx, object, farpointv1.EndpointsPublishedCondition)).Should(BeEmpty())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.PublishEndpoints = true })
		Eventually(legacy(ctx, namespace, "renamed")).Should(HavePrefix("http"))

		By("the end of the object")
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(legacy(ctx, namespace, "renamed")).Should(Equal("none"))
		running.stop()
		Expect(string(logged.Contents())).NotTo(ContainSubstring("is deprecated"))
	})

	It("is written once for a change, and not at all without one", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, backend := newNamespace(ctx), newBackend()
		object := publishing(namespace, "quiet", backend.url())
		create(ctx, service(namespace, "quiet"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Eventually(notes(ctx, object)).Should(HaveLen(1))
		reads, writes := first.reads.Load(), first.writes.Load()
		backend.status.Store(http.StatusServiceUnavailable)
		Eventually(notes(ctx, object)).Should(HaveLen(3))
		probedOnceMore(backend, backend, 5)
		Expect(first.writes.Load()).To(Equal(writes+5), "slice, Endpoints, status and two Events")
		Expect(first.reads.Load()).To(Equal(reads))
		first.stop()

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheckInterval = &metav1.Duration{Duration: time.Hour}
		})
		second := startOperator(adminConfig)
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Expect(second.writes.Load()).To(BeEquivalentTo(1), "the status, for the new generation, and nothing else")
	})

	It("is not said to be in step while it cannot be written", func(ctx SpecContext) {
		var refused atomic.Bool
		startOperator(failing(adminConfig, func(request *http.Request) error {
			if refused.Load() && request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, "/endpoints/refused") {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "endpoints"}, "refused", errors.New("frozen"))
			}
			return nil
		}))
		namespace, backend := newNamespace(ctx), newBackend()
		object := publishing(namespace, "refused", backend.url())
		create(ctx, service(namespace, "refused"), object)
		inStep := condition(ctx, object, farpointv1.EndpointsPublishedCondition)
		Eventually(legacy(ctx, namespace, "refused")).Should(Equal("http 8080: 192.0.2.10"))
		Eventually(inStep).Should(Equal("True EndpointsInStep"))
		refused.Store(true)
		backend.status.Store(http.StatusServiceUnavailable)
		Eventually(inStep).Should(Equal("False WriteFailed"))
		Expect(message(ctx, object, farpointv1.EndpointsPublishedCondition)).To(ContainSubstring("frozen"))
		Expect(condition(ctx, object, farpointv1.ReconcilingCondition)()).To(Equal("True WriteFailed"))
		refused.Store(false)
		Eventually(inStep).Should(Equal("True EndpointsInStep"))
		Eventually(legacy(ctx, namespace, "refused")).Should(Equal("http 8080: / 192.0.2.10"))
	})

	DescribeTable("is never taken over from somebody else",
		func(ctx SpecContext, labels map[string]string) {
			startOperator(adminConfig)
			namespace, backends := newNamespace(ctx), newSite()
			object, foreign := publishing(namespace, "taken", backends.url("/")), endpointsBy(namespace, "taken", labels)
			create(ctx, foreign, service(namespace, "taken"), object)
			Eventually(condition(ctx, object, farpointv1.EndpointsPublishedCondition)).Should(Equal("False EndpointsNotOwned"))
			Expect(condition(ctx, object, farpointv1.StalledCondition)()).To(Equal("True EndpointsNotOwned"))
			Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring("delete it, or unset publishEndpoints"))
			Eventually(conditions(ctx, namespace, "taken")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}), "the slices go on")
			untouched(ctx, foreign)

			By("its going")
			Expect(k8s.Delete(ctx, foreign)).To(Succeed())
			Eventually(legacy(ctx, namespace, "taken")).WithTimeout(time.Minute).Should(Equal("http 8080: 192.0.2.10"))
			Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		},
		Entry("by hand", nil),
		Entry("by hand, and not mirrored", map[string]string{"endpointslice.kubernetes.io/skip-mirror": "true"}),
		Entry("of Kubernetes, for Pods that the Service selected once", map[string]string{"endpoints.kubernetes.io/managed-by": "endpoint-controller"}),
		Entry("with our owner's name", map[string]string{"farpoint.dev/externalservice": "taken"}),
	)

	It("is of one ExternalService, if several have the Service", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		first, second := publishing(namespace, "first", backends.url("/")), publishing(namespace, "second", backends.url("/"))
		second.Spec.Endpoints[0].Address = "192.0.2.11"
		for _, object := range []*farpointv1.ExternalService{first, second} {
			object.Spec.TargetService = &farpointv1.TargetServiceReference{Name: "one"}
		}
		create(ctx, service(namespace, "one"), first)
		Eventually(legacy(ctx, namespace, "one")).Should(Equal("http 8080: 192.0.2.10"))
		create(ctx, second)
		Eventually(condition(ctx, second, farpointv1.EndpointsPublishedCondition)).Should(Equal("False EndpointsNotOwned"))
		Expect(condition(ctx, second, farpointv1.NoConflictsCondition)()).To(Equal("True NoConflicts"))
		Expect(legacy(ctx, namespace, "one")()).To(Equal("http 8080: 192.0.2.10"))
		edit(ctx, first, func(spec *farpointv1.ExternalServiceSpec) { spec.PublishEndpoints = false })
		Eventually(legacy(ctx, namespace, "one")).Should(Equal("http 8080: 192.0.2.11"))
		Eventually(condition(ctx, second, farpointv1.EndpointsPublishedCondition)).Should(Equal("True EndpointsInStep"))
	})

	It("is left to Kubernetes if the Service has a selector", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := publishing(namespace, "selects", backends.url("/"))
		object.Spec.TargetService = &farpointv1.TargetServiceReference{AllowSelector: true}
		create(ctx, service(namespace, "selects"), object)
		Eventually(legacy(ctx, namespace, "selects")).Should(Equal("http 8080: 192.0.2.10"))
		setSelector(ctx, namespace, "selects", map[string]string{"app": "db"})
		Eventually(legacy(ctx, namespace, "selects")).Should(Equal("none"))
		Eventually(condition(ctx, object, farpointv1.EndpointsPublishedCondition)).Should(Equal("False ServiceHasSelector"))
		Eventually(conditions(ctx, namespace, "selects")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))

		pods := endpointsBy(namespace, "selects", map[string]string{"endpoints.kubernetes.io/managed-by": "endpoint-controller"})
		create(ctx, pods)
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Address = "192.0.2.20" })
		Eventually(conditions(ctx, namespace, "selects")).Should(HaveKeyWithValue("192.0.2.20", "TTF"))
		untouched(ctx, pods)
	})

	It("is written where the Service is, and goes with the grant", func(ctx SpecContext) {
		installGrants(ctx)
		startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		object, allowed := acrossNamespaces(here, there, "far", backends.url("/")), grant(here, there)
		object.Spec.PublishEndpoints = true
		target := service(there, "far")
		create(ctx, allowed, target, object)
		Eventually(legacy(ctx, there, "far")).Should(Equal("http 8080: 192.0.2.10"))
		endpoints := &corev1.Endpoints{}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), endpoints)).To(Succeed())
		Expect(endpoints.Labels).To(HaveKeyWithValue("farpoint.dev/externalservice-namespace", here))
		Expect(endpoints.OwnerReferences).To(ConsistOf(And(HaveField("Kind", "Service"), HaveField("UID", target.UID))))

		Expect(k8s.Delete(ctx, allowed)).To(Succeed())
		Eventually(legacy(ctx, there, "far")).Should(Equal("none"))
		create(ctx, grant(here, there))
		Eventually(legacy(ctx, there, "far")).Should(Equal("http 8080: 192.0.2.10"))
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(legacy(ctx, there, "far")).Should(Equal("none"))
	})
})
