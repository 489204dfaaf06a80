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
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// denySlices makes the API server refuse EndpointSlices in the namespace that do not meet the CEL
// expression, until the returned function is called or the spec ends.
func denySlices(ctx SpecContext, namespace, expression string) (allow func()) {
	GinkgoHelper()
	fail, forbidden := admissionregistrationv1.Fail, metav1.StatusReasonForbidden
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{"discovery.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"endpointslices"}},
				}}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: expression, Message: "the platform team does not allow it", Reason: &forbidden}},
		},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        namespace,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			},
		},
	}
	create(ctx, policy, binding)
	allow = func() {
		Expect(client.IgnoreNotFound(k8s.Delete(context.Background(), binding))).To(Succeed())
		Expect(client.IgnoreNotFound(k8s.Delete(context.Background(), policy))).To(Succeed())
	}
	DeferCleanup(allow)
	return allow
}

// inForce waits until the API server refuses a slice with these addresses.
func inForce(ctx SpecContext, namespace string, addresses ...string) {
	GinkgoHelper()
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "refused"}, AddressType: discoveryv1.AddressTypeIPv4}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	Eventually(func() bool {
		return apierrors.IsForbidden(k8s.Create(ctx, slice, client.DryRunAll))
	}).Should(BeTrue())
}

var _ = Describe("a write of EndpointSlices that is refused", func() {
	It("is not reported as success", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		allow := denySlices(ctx, namespace, "size(object.endpoints) == 0")
		inForce(ctx, namespace, "192.0.2.1")
		startOperator(adminConfig)
		object := externalService(namespace, "denied", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		create(ctx, service(namespace, "denied"), object)
		Eventually(condition(ctx, object, farpointv1.ProgrammedCondition)).Should(Equal("False Forbidden"))
		Expect(message(ctx, object, farpointv1.ProgrammedCondition)).To(ContainSubstring("the platform team does not allow it"))
		Eventually(func() int32 { return now(ctx, object).Status.Unknown }).Should(BeZero(), "every endpoint has a verdict")
		Consistently(condition(ctx, object, farpointv1.AvailableCondition), "1s").Should(Equal("False NoEndpointsReady"))
		Expect(column(ctx, object)()).To(Equal("0/3"))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("False WriteFailed"))
		Expect(rollout(ctx, object)()).To(Equal("InProgress Progressing"))
		Expect(now(ctx, object).Status.EndpointSlices).To(BeZero())

		allow()
		Eventually(condition(ctx, object, farpointv1.ProgrammedCondition), "60s").Should(Equal("True Programmed"))
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		Eventually(condition(ctx, object, farpointv1.AvailableCondition)).Should(Equal("True EndpointsReady"))
		Eventually(rollout(ctx, object)).Should(Equal("Current Healthy"))
	})

	It("leaves what is published, which the status says, dead or alive", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		startOperator(adminConfig)
		object := externalService(namespace, "stuck", backends.url("/a"), backends.url("/b"))
		create(ctx, service(namespace, "stuck"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(condition(ctx, object, farpointv1.ProgrammedCondition)()).To(Equal("True Programmed"))
		allow := denySlices(ctx, namespace, "size(object.endpoints) == 0")
		inForce(ctx, namespace, "192.0.2.1")

		backends.down.Store("/a", true)
		backends.down.Store("/b", true)
		Eventually(condition(ctx, object, farpointv1.ProgrammedCondition)).Should(Equal("False Forbidden"))
		Eventually(func() int32 { return now(ctx, object).Status.Unhealthy }).Should(BeEquivalentTo(2))
		Expect(conditions(ctx, namespace, "stuck")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		Expect(column(ctx, object)()).To(Equal("2/2"), "clients are sent to both")
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("False NoEndpointsReady"), "and none of them serves")

		allow()
		Eventually(conditions(ctx, namespace, "stuck"), "60s").Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "FFF"}))
		Eventually(condition(ctx, object, farpointv1.ProgrammedCondition)).Should(Equal("True Programmed"))
		Eventually(column(ctx, object)).Should(Equal("0/2"))
	})

	It("counts as far as it was made", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		two := corev1.ResourceList{"count/endpointslices.discovery.k8s.io": resource.MustParse("2")}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "two"}, Spec: corev1.ResourceQuotaSpec{Hard: two}}
		create(ctx, quota)
		quota.Status = corev1.ResourceQuotaStatus{Hard: two, Used: corev1.ResourceList{"count/endpointslices.discovery.k8s.io": resource.MustParse("0")}}
		Expect(k8s.Status().Update(ctx, quota)).To(Succeed())
		startOperator(adminConfig)
		object := externalService(namespace, "partly", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		object.Spec.EndpointSlices = &farpointv1.EndpointSliceOptions{MaxEndpoints: new(int32(1))}
		create(ctx, service(namespace, "partly"), object)
		Eventually(func() int { return len(slicesFor(ctx, namespace, "partly")) }).Should(Equal(2))
		Eventually(condition(ctx, object, farpointv1.ProgrammedCondition)).Should(Equal("False Forbidden"))
		Expect(message(ctx, object, farpointv1.ProgrammedCondition)).To(ContainSubstring("exceeded quota: two"))
		Eventually(column(ctx, object)).Should(Equal("2/3"))
		Eventually(func() int32 { return now(ctx, object).Status.EndpointSlices }).Should(BeEquivalentTo(2))
		published := 0
		for _, endpoint := range now(ctx, object).Status.Endpoints {
			if endpoint.Published == farpointv1.PublishedReady {
				published++
			}
		}
		Expect(published).To(Equal(2))
		Expect(k8s.Delete(ctx, quota)).To(Succeed())
		Eventually(column(ctx, object), "60s").Should(Equal("3/3"))
		Eventually(condition(ctx, object, farpointv1.ProgrammedCondition)).Should(Equal("True Programmed"))
	})
})

var _ = Describe("an object whose deletion a finalizer holds", func() {
	hold := func(object *farpointv1.ExternalService) *farpointv1.ExternalService {
		object.Finalizers = []string{"example.com/held"}
		return object
	}
	release := func(ctx SpecContext, object *farpointv1.ExternalService) {
		GinkgoHelper()
		Eventually(func() error {
			present := &farpointv1.ExternalService{}
			if err := k8s.Get(ctx, client.ObjectKeyFromObject(object), present); err != nil {
				return client.IgnoreNotFound(err)
			}
			present.Finalizers = nil
			return client.IgnoreNotFound(k8s.Update(ctx, present))
		}).Should(Succeed())
	}

	It("is probed, and its slices are kept up to date, until they are gone", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		running := startOperator(adminConfig)
		object := hold(externalService(namespace, "held", backends.url("/a"), backends.url("/b")))
		create(ctx, service(namespace, "held"), object)
		DeferCleanup(release, object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(k8s.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
		backends.down.Store("/a", true)
		Eventually(conditions(ctx, namespace, "held")).Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF"}))
		Eventually(column(ctx, object)).Should(Equal("1/2"))

		By("another operator")
		running.stop()
		startOperator(adminConfig)
		backends.down.Delete("/a")
		backends.down.Store("/b", true)
		Eventually(conditions(ctx, namespace, "held")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))

		By("the garbage collector, which is not there in the tests")
		for _, slice := range slicesFor(ctx, namespace, "held") {
			Expect(k8s.Delete(ctx, &slice)).To(Succeed())
		}
		later := externalService(namespace, "later", backends.url("/a"))
		create(ctx, service(namespace, "later"), later)
		Eventually(column(ctx, later)).Should(Equal("1/1"))
		backends.down.Delete("/b")
		Consistently(conditions(ctx, namespace, "held"), "1s").Should(BeEmpty(), "nothing is created again")
	})

	It("leaves owners and labels of its slices alone, which the garbage collector may be removing", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		startOperator(adminConfig)
		object := hold(externalService(namespace, "left", backends.url("/a")))
		create(ctx, service(namespace, "left"), object)
		DeferCleanup(release, object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Expect(k8s.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationOrphan))).To(Succeed())
		// What follows this death finds an operator that has seen the deletion.
		backends.down.Store("/a", true)
		Eventually(conditions(ctx, namespace, "left")).Should(Equal(map[string]string{"192.0.2.10": "FFF"}))
		slice := slicesFor(ctx, namespace, "left")[0]
		slice.OwnerReferences = nil
		Expect(k8s.Update(ctx, &slice)).To(Succeed())
		backends.down.Delete("/a")
		Eventually(conditions(ctx, namespace, "left")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
		Expect(slicesFor(ctx, namespace, "left")[0].OwnerReferences).To(BeEmpty())
	})
})

var _ = Describe("a Service that is being deleted", func() {
	It("loses no endpoint if slices are not created any more", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		startOperator(adminConfig)
		object := externalService(namespace, "leaving", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		target := service(namespace, "leaving")
		target.Finalizers = []string{"example.com/load-balancer"}
		create(ctx, target, object)
		DeferCleanup(func(ctx SpecContext) {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
			target.Finalizers = nil
			Expect(k8s.Update(ctx, target)).To(Succeed())
		})
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		Expect(k8s.Delete(ctx, target)).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.EndpointSlices = &farpointv1.EndpointSliceOptions{MaxEndpoints: new(int32(1))}
		})
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		backends.down.Store("/a", true)
		backends.down.Store("/c", true)
		Eventually(conditions(ctx, namespace, "leaving")).Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF", "192.0.2.12": "FFF"}))
		Expect(slicesFor(ctx, namespace, "leaving")).To(HaveLen(1))
		Eventually(column(ctx, object)).Should(Equal("1/3"))
		Expect(condition(ctx, object, farpointv1.ProgrammedCondition)()).To(Equal("True Programmed"))
	})
})

var _ = Describe("a target that is renamed", func() {
	published := map[string]string{"192.0.2.10": "TTF"}
	exists := func(ctx SpecContext, namespace, name string) func() bool {
		return func() bool {
			err := k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &corev1.Service{})
			Expect(client.IgnoreNotFound(err)).To(Succeed())
			return err == nil
		}
	}

	It("keeps the Service that was created for it until another one serves", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		startOperator(adminConfig)
		object := fromTemplate(externalService(namespace, "before", backends.url("/")))
		create(ctx, object)
		Eventually(conditions(ctx, namespace, "before")).Should(Equal(published))
		none := corev1.ResourceList{corev1.ResourceServices: resource.MustParse("1")}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "one"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
		create(ctx, quota)
		quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
		Expect(k8s.Status().Update(ctx, quota)).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService = &farpointv1.TargetServiceReference{Name: "after"}
		})
		Eventually(condition(ctx, object, farpointv1.TargetServiceResolvedCondition)).Should(Equal("False ServiceInvalid"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(And(ContainSubstring("exceeded quota: one"), HaveSuffix("until then Service before still leads to the endpoints")))
		Expect(exists(ctx, namespace, "before")()).To(BeTrue())
		Expect(conditions(ctx, namespace, "before")()).To(Equal(published))
		Expect(column(ctx, object)()).To(Equal("1/1"))
		backends.down.Store("/", true)
		Eventually(conditions(ctx, namespace, "before")).Should(Equal(map[string]string{"192.0.2.10": "FFF"}), "deaths are published as well")
		backends.down.Delete("/")
		Eventually(conditions(ctx, namespace, "before")).Should(Equal(published))

		Expect(k8s.Delete(ctx, quota)).To(Succeed())
		Eventually(conditions(ctx, namespace, "after")).WithTimeout(time.Minute).Should(Equal(published))
		Eventually(exists(ctx, namespace, "before")).Should(BeFalse())
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Expect(conditions(ctx, namespace, "before")()).To(BeEmpty())
	})

	It("goes on for the Service before while there is none of the new name", func(ctx SpecContext) {
		namespace, backends := newNamespace(ctx), newSite()
		startOperator(adminConfig)
		object := externalService(namespace, "typo", backends.url("/"))
		create(ctx, service(namespace, "typo"), object)
		Eventually(conditions(ctx, namespace, "typo")).Should(Equal(published))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService = &farpointv1.TargetServiceReference{Name: "tpyo"}
		})
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False ServiceNotFound"))
		backends.down.Store("/", true)
		Eventually(conditions(ctx, namespace, "typo")).Should(Equal(map[string]string{"192.0.2.10": "FFF"}))
		create(ctx, service(namespace, "tpyo"))
		Eventually(conditions(ctx, namespace, "tpyo")).Should(Equal(map[string]string{"192.0.2.10": "FFF"}))
		Eventually(conditions(ctx, namespace, "typo")).Should(BeEmpty())
	})
})
