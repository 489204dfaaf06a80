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
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// sliceBy is a slice that somebody else has written for a Service, with port 8080.
func sliceBy(manager, namespace, service, name string, addresses ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
	}
	if manager != "" {
		slice.Labels[discoveryv1.LabelManagedBy] = manager
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	return slice
}

// podSlice is one as Kubernetes' own controller writes it.
func podSlice(namespace, service, name string, addresses ...string) *discoveryv1.EndpointSlice {
	return sliceBy("endpointslice-controller.k8s.io", namespace, service, name, addresses...)
}

// selecting is a Service for Pods.
func selecting(namespace, name string) *corev1.Service {
	svc := service(namespace, name)
	svc.Spec.Selector = map[string]string{"app": name}
	return svc
}

func setSelector(ctx SpecContext, namespace, name string, selector map[string]string) {
	GinkgoHelper()
	present := &corev1.Service{}
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, present)).To(Succeed())
	present.Spec.Selector = selector
	Expect(k8s.Update(ctx, present)).To(Succeed())
}

// untouched expects that the object was not written since it was created here.
func untouched(ctx SpecContext, created client.Object) {
	GinkgoHelper()
	present := created.DeepCopyObject().(client.Object)
	Expect(k8s.Get(ctx, client.ObjectKeyFromObject(created), present)).To(Succeed())
	Expect(present.GetResourceVersion()).To(Equal(created.GetResourceVersion()))
}

var _ = Describe("a Service that leads to Pods as well", func() {
	It("has both kinds of endpoints as long as that is allowed", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object, pods := externalService(namespace, "mixed", backends.url("/")), podSlice(namespace, "mixed", "mixed-pods", "10.0.0.1")
		object.Spec.TargetService = &farpointv1.TargetServiceReference{AllowSelector: true}
		target := selecting(namespace, "mixed")
		target.Spec.Ports = append(target.Spec.Ports, corev1.ServicePort{Name: "metrics", Port: 90})
		object.Spec.Endpoints[0].Port, object.Spec.Ports = nil, []farpointv1.EndpointPort{{Name: "http", Port: 8080}}
		create(ctx, pods, target, object)
		Eventually(conditions(ctx, namespace, "mixed")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "10.0.0.1": "T--"}))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Expect(condition(ctx, object, farpointv1.PortsMatchedCondition)()).To(Equal("True Matched"), "port metrics leads to Pods")
		Expect(condition(ctx, object, farpointv1.NoConflictsCondition)()).To(Equal("True NoConflicts"))
		untouched(ctx, pods)
		untouched(ctx, target)

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.TargetService.AllowSelector = false })
		Eventually(conditions(ctx, namespace, "mixed")).Should(Equal(map[string]string{"10.0.0.1": "T--"}))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ServiceHasSelector"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring("or set targetService.allowSelector"))
		untouched(ctx, pods)
	})

	It("is reported while a Pod has the address and port of an endpoint", func(ctx SpecContext) {
		running := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "same", backends.url("/"))
		object.Spec.TargetService = &farpointv1.TargetServiceReference{AllowSelector: true}
		create(ctx, selecting(namespace, "same"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Expect(condition(ctx, object, farpointv1.NoConflictsCondition)()).To(Equal("True NoConflicts"))

		pods := podSlice(namespace, "same", "same-pods", "10.0.0.1", "192.0.2.10")
		create(ctx, pods)
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False SharedEndpoint"))
		Expect(message(ctx, object, farpointv1.NoConflictsCondition)).To(HavePrefix("192.0.2.10:8080 is also in EndpointSlice same-pods of the Service's Pods"))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))

		By("not minding that a Pod is not ready")
		writes := running.writes.Load()
		pods.Endpoints[0].Conditions.Ready = new(false)
		Expect(k8s.Update(ctx, pods)).To(Succeed())
		pods.Endpoints = pods.Endpoints[:1]
		Expect(k8s.Update(ctx, pods)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
		Expect(running.writes.Load()).To(Equal(writes+1), "the status")

		pods.Endpoints[0].Addresses[0] = "192.0.2.10"
		Expect(k8s.Update(ctx, pods)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False SharedEndpoint"))
		Expect(k8s.Delete(ctx, pods)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
	})

	It("leaves slices behind that are reported when it loses its selector", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object, pods := externalService(namespace, "once", backends.url("/")), podSlice(namespace, "once", "once-pods", "10.0.0.1")
		create(ctx, pods, selecting(namespace, "once"), object)
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ServiceHasSelector"))
		setSelector(ctx, namespace, "once", nil)
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False LeftoverPodSlices"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Expect(message(ctx, object, farpointv1.NoConflictsCondition)).To(ContainSubstring("EndpointSlice once-pods is left"))
		untouched(ctx, pods)

		By("doing what the message says")
		_, command, _ := strings.Cut(message(ctx, object, farpointv1.NoConflictsCondition), ": kubectl ")
		kubectl(ctx, "", strings.Fields(command)...)
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
		Expect(conditions(ctx, namespace, "once")()).To(Equal(map[string]string{"192.0.2.10": "TTF"}))
	})
})

var _ = Describe("a Service that somebody else publishes for", func() {
	It("is reported while foreign slices are there", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "foreign", backends.url("/"))
		create(ctx, service(namespace, "foreign"), object)
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))

		for _, manager := range []string{"", "mesh.example.com"} {
			slice := sliceBy(manager, namespace, "foreign", "by-hand", "10.0.0.1")
			create(ctx, slice)
			Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False ForeignEndpointSlices"))
			Expect(message(ctx, object, farpointv1.NoConflictsCondition)).To(ContainSubstring("EndpointSlice by-hand"))
			Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))
			untouched(ctx, slice)
			Expect(k8s.Delete(ctx, slice)).To(Succeed())
			Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
		}
	})

	It("is reported while an Endpoints object is copied into slices", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "copied", backends.url("/"))
		copied := &corev1.Endpoints{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "copied"},
			Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.0.0.1"}}}},
		}
		create(ctx, copied, service(namespace, "copied"), object)
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False MirroredEndpoints"))
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		untouched(ctx, copied)

		By("keeping it to itself")
		copied.Labels = map[string]string{discoveryv1.LabelSkipMirror: "true"}
		Expect(k8s.Update(ctx, copied)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
		copied.Labels = nil
		Expect(k8s.Update(ctx, copied)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False MirroredEndpoints"))
		Expect(k8s.Delete(ctx, copied)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
	})

	It("is reported while ports and hints depend on it", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		target := service(namespace, "shared")
		target.Spec.Ports = append(target.Spec.Ports, corev1.ServicePort{Name: "admin", Port: 90})
		target.Spec.TrafficDistribution = new("PreferSameZone")
		first, second := externalService(namespace, "first", backends.url("/")), externalService(namespace, "second", backends.url("/"))
		for i, object := range []*farpointv1.ExternalService{first, second} {
			object.Spec.TargetService = &farpointv1.TargetServiceReference{Name: "shared"}
			object.Spec.Ports = []farpointv1.EndpointPort{{Name: []string{"http", "admin"}[i], Port: 8080}}
			object.Spec.Endpoints[0].Port = nil
		}
		first.Spec.Endpoints[0].Zone, second.Spec.Endpoints[0].Address = "eu-1", "192.0.2.99"
		create(ctx, target, first)
		Eventually(condition(ctx, first, farpointv1.PortsMatchedCondition)).Should(Equal("False PortWithoutEndpoints"))
		Eventually(condition(ctx, first, farpointv1.TrafficPolicyEffectiveCondition)).Should(Equal("True HintsWritten"))

		create(ctx, second)
		Eventually(condition(ctx, first, farpointv1.PortsMatchedCondition)).Should(Equal("True Matched"))
		Eventually(condition(ctx, second, farpointv1.PortsMatchedCondition)).Should(Equal("True Matched"))
		Eventually(condition(ctx, first, farpointv1.TrafficPolicyEffectiveCondition)).Should(Equal("False OthersWithoutHints"))
		Expect(message(ctx, first, farpointv1.TrafficPolicyEffectiveCondition)).To(ContainSubstring("there are none in ExternalService second: "))
		edit(ctx, second, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Zone = "eu-2" })
		Eventually(condition(ctx, first, farpointv1.TrafficPolicyEffectiveCondition)).Should(Equal("True HintsWritten"))

		Expect(k8s.Delete(ctx, second)).To(Succeed())
		Eventually(condition(ctx, first, farpointv1.PortsMatchedCondition)).Should(Equal("False PortWithoutEndpoints"))
	})

	It("costs nothing more when an endpoint changes", func(ctx SpecContext) {
		running := startOperator(adminConfig)
		namespace, backend := newNamespace(ctx), newBackend()
		unshared, mixed, left := externalService(namespace, "plain", backend.url()), externalService(namespace, "mixed", backend.url()), externalService(namespace, "left", backend.url())
		mixed.Spec.TargetService = &farpointv1.TargetServiceReference{AllowSelector: true}
		create(ctx, podSlice(namespace, "mixed", "mixed-pods", "192.0.2.10"), podSlice(namespace, "left", "left-pods", "10.0.0.1"), sliceBy("", namespace, "left", "by-hand", "10.0.0.2"))
		create(ctx, service(namespace, "plain"), selecting(namespace, "mixed"), service(namespace, "left"), unshared, mixed, left)
		objects := []*farpointv1.ExternalService{unshared, mixed, left}
		conflicts := []string{"True NoConflicts", "False SharedEndpoint", "False LeftoverPodSlices"}
		settled := func(ready string) {
			GinkgoHelper()
			for i, object := range objects {
				Eventually(column(ctx, object)).Should(Equal(ready))
				Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal(conflicts[i]))
				Eventually(notes(ctx, object)).Should(ContainElement(ContainSubstring("of 1 endpoints are ready")))
			}
		}
		for _, object := range objects {
			Eventually(column(ctx, object)).Should(Equal("1/1"))
		}
		// One flip to begin with, so that the next finds everything at rest.
		backend.status.Store(http.StatusServiceUnavailable)
		settled("0/1")
		probedOnceMore(backend, backend, len(objects))
		reads, writes := running.reads.Load(), running.writes.Load()
		backend.status.Store(http.StatusOK)
		settled("1/1")
		for _, object := range objects {
			Eventually(notes(ctx, object)).Should(ContainElement("Normal Available: 1 of 1 endpoints are ready"))
		}
		Expect(running.reads.Load()).To(Equal(reads))
		const slice, status, events = 1, 1, 2
		Expect(running.writes.Load()).To(BeEquivalentTo(writes + int64(len(objects)*(slice+status+events))))
	})
})
