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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("the target Service", func() {
	DescribeTable("that may not be fronted",
		func(ctx SpecContext, change func(*corev1.Service, *farpointv1.ExternalService), reason, kstatus, text string) {
			startOperator(adminConfig)
			namespace, backends := newNamespace(ctx), newSite()
			object, target := externalService(namespace, "refused", backends.url("/")), service(namespace, "refused")
			if change != nil {
				change(target, object)
				create(ctx, target)
			}
			create(ctx, object)
			Eventually(condition(ctx, object, farpointv1.TargetServiceResolvedCondition)).Should(Equal("False " + reason))
			Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("False " + reason))
			Expect(condition(ctx, object, kstatus)()).To(Equal("True " + reason))
			Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring(text))
			Expect(column(ctx, object)()).To(Equal("0/1"))
			Expect(slicesFor(ctx, namespace, "refused")).To(BeEmpty())
		},
		Entry("missing", nil, farpointv1.ServiceNotFoundReason, farpointv1.ReconcilingCondition, "create it without a selector, or set serviceTemplate"),
		Entry("with a selector", func(s *corev1.Service, _ *farpointv1.ExternalService) {
			s.Spec.Selector = map[string]string{"app": "db"}
		},
			farpointv1.ServiceHasSelectorReason, farpointv1.StalledCondition, "remove its spec.selector"),
		Entry("ExternalName", func(s *corev1.Service, _ *farpointv1.ExternalService) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example.com"}
		}, farpointv1.ServiceIsExternalNameReason, farpointv1.StalledCondition, "use type ClusterIP"),
		Entry("in another namespace, which does not allow it", func(_ *corev1.Service, o *farpointv1.ExternalService) {
			o.Spec.TargetService = &farpointv1.TargetServiceReference{Namespace: "kube-system"}
		}, farpointv1.ReferenceGrantNotInstalledReason, farpointv1.ReconcilingCondition, "install the Gateway API"),
		Entry("created in another namespace", func(_ *corev1.Service, o *farpointv1.ExternalService) {
			o.Spec.TargetService = &farpointv1.TargetServiceReference{Namespace: "kube-system"}
			o.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80}}}}
		}, farpointv1.ServiceInOtherNamespaceReason, farpointv1.StalledCondition, "remove targetService.namespace"),
	)

	It("is awaited, and its slices come back however often it is replaced", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "waited", backends.url("/"))
		create(ctx, object)
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ServiceNotFound"))
		for range 100 {
			target := service(namespace, "waited")
			create(ctx, target)
			Expect(k8s.Delete(ctx, target)).To(Succeed())
		}
		create(ctx, service(namespace, "waited"))
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Eventually(conditions(ctx, namespace, "waited")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))

		By("losing its slices once it gets a selector")
		present := &corev1.Service{}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), present)).To(Succeed())
		present.Spec.Selector = map[string]string{"app": "db"}
		Expect(k8s.Update(ctx, present)).To(Succeed())
		Eventually(conditions(ctx, namespace, "waited")).Should(BeEmpty())
		Eventually(column(ctx, object)).Should(Equal("0/1"))
		present.Spec.Selector = nil
		Expect(k8s.Update(ctx, present)).To(Succeed())
		Eventually(conditions(ctx, namespace, "waited")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
	})

	It("is served until its deletion is over", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "held", backends.url("/"))
		target := service(namespace, "held")
		target.Finalizers = []string{"example.com/load-balancer"}
		create(ctx, target, object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Expect(k8s.Delete(ctx, target)).To(Succeed())
		Eventually(func() string { return message(ctx, object, farpointv1.TargetServiceResolvedCondition) }).Should(ContainSubstring("until its deletion is over"))
		backends.down.Store("/", true)
		Eventually(conditions(ctx, namespace, "held")).Should(Equal(map[string]string{"192.0.2.10": "FFF"}))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
		target.Finalizers = nil
		Expect(k8s.Update(ctx, target)).To(Succeed())
		Eventually(conditions(ctx, namespace, "held")).Should(BeEmpty())
		Eventually(condition(ctx, object, farpointv1.TargetServiceResolvedCondition)).Should(Equal("False ServiceNotFound"))
	})

	It("may be another one after an edit", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "renamed", backends.url("/"))
		create(ctx, service(namespace, "renamed"), service(namespace, "other"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService = &farpointv1.TargetServiceReference{Name: "other"}
		})
		Eventually(conditions(ctx, namespace, "other")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
		Expect(conditions(ctx, namespace, "renamed")()).To(BeEmpty())
		Eventually(func() string { return now(ctx, object).Status.TargetService }).Should(Equal("other"))
	})

	It("warns of ports that it does not have", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "ports", backends.url("/"))
		object.Spec.Endpoints[0].Port = nil
		object.Spec.Endpoints[0].Ports = []farpointv1.EndpointPort{{Name: "htpp", Port: 8080}}
		create(ctx, service(namespace, "ports"), object)
		Eventually(condition(ctx, object, farpointv1.PortsMatchedCondition)).Should(Equal("False PortNotInService"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(HavePrefix(`the Service has no port "htpp"/TCP, only "http"/TCP`))
	})

	It("is created from a template, kept like it, and goes with the object", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "made", backends.url("/"))
		object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{
			Metadata: farpointv1.ServiceTemplateMetadata{Labels: map[string]farpointv1.LabelValue{"team": "payments"}, Annotations: map[string]farpointv1.AnnotationValue{"note": "from outside"}},
			Spec: farpointv1.ServiceTemplateSpec{
				Ports:                 []farpointv1.ServiceTemplatePort{{Name: "postgres", Port: 5432, TargetPort: new(int32(6432))}},
				SessionAffinity:       corev1.ServiceAffinityClientIP,
				SessionAffinityConfig: &farpointv1.SessionAffinityConfig{ClientIP: farpointv1.ClientIPConfig{TimeoutSeconds: 60}},
			},
		}
		object.Spec.Endpoints[0].Port = nil
		create(ctx, object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		created := &corev1.Service{}
		get := func() *corev1.Service {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), created)).To(Succeed())
			return created
		}
		Expect(get().Spec.Selector).To(BeEmpty())
		Expect(created.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds).To(HaveValue(BeEquivalentTo(60)))
		Expect(created.Labels).To(HaveKeyWithValue("team", "payments"))
		Expect(created.Annotations).To(HaveKeyWithValue("note", "from outside"))
		slice := slicesFor(ctx, namespace, "made")[0]
		Expect(*slice.Ports[0].Name + " " + string(*slice.Ports[0].Protocol)).To(Equal("postgres TCP"))
		Expect(*slice.Ports[0].Port).To(BeEquivalentTo(6432))
		Expect(slice.Labels).To(HaveKeyWithValue("team", "payments"))

		By("undoing a change by hand")
		created.Spec.Selector = map[string]string{"app": "db"}
		created.Spec.Ports[0].Port = 1
		Expect(k8s.Update(ctx, created)).To(Succeed())
		Eventually(func() int32 { return get().Spec.Ports[0].Port }).Should(BeEquivalentTo(5432))
		Expect(created.Spec.Selector).To(BeEmpty())

		By("following an edit")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.ServiceTemplate.Spec.Ports[0].Port = 5433 })
		Eventually(func() int32 { return get().Spec.Ports[0].Port }).Should(BeEquivalentTo(5433))

		By("saying what cannot be changed")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.ServiceTemplate.Spec.ClusterIP = corev1.ClusterIPNone })
		Eventually(condition(ctx, object, farpointv1.TargetServiceResolvedCondition)).Should(Equal("False ServiceInvalid"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring("delete the Service so that the operator creates it"))
		Expect(conditions(ctx, namespace, "made")()).To(Equal(map[string]string{"192.0.2.10": "TTF"}), "what is published stays")
		Expect(k8s.Delete(ctx, get())).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.TargetServiceResolvedCondition)).Should(Equal("True Resolved"))
		Expect(get().Spec.ClusterIP).To(Equal(corev1.ClusterIPNone))
		Eventually(func() map[string]string { return slicesFor(ctx, namespace, "made")[0].Labels }).Should(HaveKey(corev1.IsHeadlessService))

		By("moving to another name")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService = &farpointv1.TargetServiceReference{Name: "moved"}
		})
		Eventually(conditions(ctx, namespace, "moved")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
		Eventually(func() bool { return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(object), created)) }).Should(BeTrue())

		By("going with the object")
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "moved"}, created))
		}).Should(BeTrue())
		Expect(slicesFor(ctx, namespace, "moved")).To(BeEmpty())
	})

	// Kubernetes gives a headless Service without a selector both families, and does not let one
	// be removed without setting ipFamilyPolicy.
	It("keeps the family that Kubernetes adds to that of the template", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "families", backends.url("/"))
		object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{
			ClusterIP: corev1.ClusterIPNone, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80}},
		}}
		create(ctx, object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		created := &corev1.Service{}
		families := func() []corev1.IPFamily {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), created)).To(Succeed())
			return created.Spec.IPFamilies
		}
		Expect(families()).To(HaveLen(2))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.ServiceTemplate.Spec.Ports[0].Port = 81 })
		Eventually(func() int32 { families(); return created.Spec.Ports[0].Port }).Should(BeEquivalentTo(81))
		Expect(condition(ctx, object, farpointv1.TargetServiceResolvedCondition)()).To(Equal("True Resolved"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.ServiceTemplate.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicySingleStack)
		})
		Eventually(families).Should(Equal([]corev1.IPFamily{corev1.IPv4Protocol}))
	})

	It("is created once a quota permits", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		none := corev1.ResourceList{corev1.ResourceServices: resource.MustParse("0")}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
		create(ctx, quota)
		quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
		Expect(k8s.Status().Update(ctx, quota)).To(Succeed())
		object := externalService(namespace, "quota", backends.url("/"))
		object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 80}}}}
		create(ctx, object)
		Eventually(condition(ctx, object, farpointv1.ReconcilingCondition)).Should(Equal("True ServiceInvalid"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring("exceeded quota: none"))
		Expect(k8s.Delete(ctx, quota)).To(Succeed())
		Eventually(column(ctx, object)).WithTimeout(time.Minute).Should(Equal("1/1"))
	})

	It("is not taken over by a template", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "found", backends.url("/"))
		object.Spec.ServiceTemplate = &farpointv1.ServiceTemplate{Spec: farpointv1.ServiceTemplateSpec{Ports: []farpointv1.ServiceTemplatePort{{Name: "http", Port: 443}}}}
		create(ctx, service(namespace, "found"), object)
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ServiceNotOwned"))
		Eventually(conditions(ctx, namespace, "found")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}), "it is fronted nevertheless")
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(conditions(ctx, namespace, "found")).Should(BeEmpty())
		existing := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "found"}}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(existing), existing)).To(Succeed())
		Expect(existing.Spec.Ports[0].Port).To(BeEquivalentTo(80))
	})
})
