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

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// atOnce sets the drain period of an object to 0.
func atOnce(object *farpointv1.ExternalService) *farpointv1.ExternalService {
	object.Spec.Availability.DrainPeriod = &metav1.Duration{}
	return object
}

// fromTemplate makes the operator create the Service.
func fromTemplate(object *farpointv1.ExternalService) *farpointv1.ExternalService {
	object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80}}}}
	return object
}

var _ = Describe("what was written", func() {
	published := map[string]string{"192.0.2.10": "TTF"}

	It("goes with the ports and the address types that an edit takes away", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := atOnce(externalService(namespace, "edited", backends.url("/")))
		v6 := farpointv1.Endpoint{Address: "2001:db8::1", Port: new(int32(8080)), HealthCheckURL: backends.url("/")}
		object.Spec.Endpoints = append(object.Spec.Endpoints, v6)
		create(ctx, service(namespace, "edited"), object)
		outline := func() (lines []string) {
			for _, slice := range slicesFor(ctx, namespace, "edited") {
				lines = append(lines, fmt.Sprintf("%d %s %d", len(slice.Endpoints), slice.AddressType, *slice.Ports[0].Port))
			}
			return lines
		}
		Eventually(outline).Should(ConsistOf("1 IPv4 8080", "1 IPv6 8080"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Port = new(int32(9090)) })
		Eventually(outline).Should(ConsistOf("1 IPv4 9090", "1 IPv6 8080"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[:1] })
		Eventually(outline).Should(ConsistOf("1 IPv4 9090"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0] = v6 })
		Eventually(outline).Should(ConsistOf("1 IPv6 8080"))
	})

	It("comes back however often the Service is replaced", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object, target := publishing(namespace, "replaced", backends.url("/")), service(namespace, "replaced")
		create(ctx, target, object)
		Eventually(legacy(ctx, namespace, "replaced")).Should(Equal("http 8080: 192.0.2.10"))
		for range 100 {
			Expect(k8s.Delete(ctx, target)).To(Succeed())
			target = service(namespace, "replaced")
			create(ctx, target)
		}
		Eventually(conditions(ctx, namespace, "replaced")).Should(Equal(published))
		Eventually(legacy(ctx, namespace, "replaced")).Should(Equal("http 8080: 192.0.2.10"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))

		// The Service that exists now counts.
		Expect(k8s.Delete(ctx, target)).To(Succeed())
		Eventually(conditions(ctx, namespace, "replaced")).Should(BeEmpty())
		Eventually(legacy(ctx, namespace, "replaced")).Should(Equal("none"))
	})

	It("stays when the object is orphaned, and is taken up by the next one of its name", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := fromTemplate(publishing(namespace, "orphaned", backends.url("/")))
		create(ctx, object)
		Eventually(conditions(ctx, namespace, "orphaned")).Should(Equal(published))
		Eventually(legacy(ctx, namespace, "orphaned")).Should(Equal("http 8080: 192.0.2.10"))
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Expect(k8s.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())

		// The tests have no garbage collector: this is what it does.
		dependents := []client.Object{&slicesFor(ctx, namespace, "orphaned")[0], &corev1.Service{}, &corev1.Endpoints{}}
		for _, dependent := range dependents {
			if dependent.GetName() == "" {
				Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), dependent)).To(Succeed())
			}
			dependent.SetOwnerReferences(nil)
			Expect(k8s.Update(ctx, dependent)).To(Succeed())
		}
		dying := now(ctx, object)
		Expect(dying.Finalizers).To(ConsistOf("orphan"))
		dying.Finalizers = nil
		Expect(k8s.Update(ctx, dying)).To(Succeed())
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(object), dying)) }).Should(BeTrue())

		// Who comes later has been looked at later, by this operator and by the next.
		looked := func(name string) {
			GinkgoHelper()
			later := externalService(namespace, name, backends.url("/"))
			create(ctx, service(namespace, name), later)
			Eventually(column(ctx, later)).Should(Equal("1/1"))
		}
		looked("later")
		first.stop()
		startOperator(adminConfig)
		looked("last")
		for _, dependent := range dependents {
			untouched(ctx, dependent)
		}

		By("the next one of its name, without and with a template")
		next := publishing(namespace, "orphaned", backends.url("/"))
		create(ctx, next)
		Eventually(func() []metav1.OwnerReference { return slicesFor(ctx, namespace, "orphaned")[0].OwnerReferences }).Should(ConsistOf(HaveField("UID", next.UID)))
		Expect(slicesFor(ctx, namespace, "orphaned")).To(HaveLen(1))
		Eventually(condition(ctx, next, farpointv1.EndpointsPublishedCondition)).Should(Equal("True EndpointsInStep"))
		edit(ctx, next, func(spec *farpointv1.ExternalServiceSpec) { spec.ServiceTemplate = object.Spec.ServiceTemplate })
		adopted := &corev1.Service{}
		Eventually(func() []metav1.OwnerReference {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(next), adopted)).To(Succeed())
			return adopted.OwnerReferences
		}).Should(ConsistOf(HaveField("UID", next.UID)))
		Eventually(condition(ctx, next, farpointv1.TargetServiceResolvedCondition)).Should(Equal("True Resolved"))
		Expect(adopted.UID).To(Equal(dependents[1].GetUID()), "it is the same Service")
		Expect(k8s.Delete(ctx, next)).To(Succeed())
		Eventually(conditions(ctx, namespace, "orphaned")).Should(BeEmpty())
		Eventually(legacy(ctx, namespace, "orphaned")).Should(Equal("none"))
	})

	It("is removed even if the operator is not running, since it has no finalizers and the garbage collector knows its owner", func(ctx SpecContext) {
		installGrants(ctx)
		running := startOperator(adminConfig)
		here, there, backends := newNamespace(ctx), newNamespace(ctx), newSite()
		local, far := fromTemplate(publishing(here, "local", backends.url("/"))), acrossNamespaces(here, there, "far", backends.url("/"))
		far.Spec.PublishEndpoints = true
		create(ctx, grant(here, there), service(there, "far"), local, far)
		Eventually(legacy(ctx, here, "local")).Should(HavePrefix("http"))
		Eventually(legacy(ctx, there, "far")).Should(HavePrefix("http"))
		for _, object := range []*farpointv1.ExternalService{local, far} {
			Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
			Expect(now(ctx, object).Finalizers).To(BeEmpty())
		}
		running.stop()

		var written []metav1.Object
		for _, namespace := range []string{here, there} {
			services, slices, endpoints := &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}, &corev1.EndpointsList{}
			for _, list := range []client.ObjectList{services, slices, endpoints} {
				Expect(k8s.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
			}
			for i := range services.Items {
				if services.Items[i].Name == "local" {
					written = append(written, &services.Items[i])
				}
			}
			for i := range slices.Items {
				written = append(written, &slices.Items[i])
			}
			for i := range endpoints.Items {
				written = append(written, &endpoints.Items[i])
			}
		}
		Expect(written).To(HaveLen(5))
		target := &corev1.Service{}
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: there, Name: "far"}, target)).To(Succeed())
		for _, object := range written {
			Expect(object.GetFinalizers()).To(BeEmpty())
			owner := local.UID
			if object.GetNamespace() == there {
				owner = target.UID
			}
			Expect(object.GetOwnerReferences()).To(ConsistOf(And(HaveField("UID", owner), HaveField("BlockOwnerDeletion", BeNil()))))
		}
	})
})
