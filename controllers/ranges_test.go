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
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

var _ = Describe("The cluster's own ranges", func() {
	// at is an ExternalService with one endpoint, whose probe passes.
	at := func(ctx SpecContext, address string) *farpointv1.ExternalService {
		GinkgoHelper()
		object := externalService(newNamespace(ctx), "api", newBackend().url())
		object.Spec.Endpoints[0].Address = address
		create(ctx, service(object.Namespace, object.Name), object)
		return object
	}

	DescribeTable("are refused from the start", func(ctx SpecContext, address, what string) {
		startOperator(adminConfig)
		object := at(ctx, address)
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False " + farpointv1.RefusedAddressReason))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(ContainSubstring(address + " is " + what))
		Expect(slicesFor(ctx, object.Namespace, object.Name)).To(BeEmpty())
	},
		// envtest's defaults.
		Entry("a Service's address", "10.0.0.77", "a Service of this cluster"),
		Entry("an API server's address", "192.0.2.1", "an API server of this cluster"),
		Entry("a Service's address by NAT64", "64:ff9b::a00:4d", "a form of 10.0.0.77, a Service of this cluster"),
	)

	It("are allowed by the administrator", func(ctx SpecContext) {
		startOperator(adminConfig, func(options *controllers.Options) {
			options.Egress.Allowed = []netip.Prefix{netip.MustParsePrefix("10.0.0.64/26")}
		})
		object := at(ctx, "10.0.0.77")
		Eventually(column(ctx, object)).Should(Equal("1/1"))
	})

	It("are followed as nodes come and go", func(ctx SpecContext) {
		startOperator(adminConfig)
		object := at(ctx, "198.51.100.7")
		Eventually(column(ctx, object)).Should(Equal("1/1"))

		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-"}, Spec: corev1.NodeSpec{PodCIDR: "198.51.100.0/26", PodCIDRs: []string{"198.51.100.0/26"}}}
		create(ctx, node)
		DeferCleanup(func(ctx SpecContext) { _ = k8s.Delete(ctx, node) })
		Eventually(conditions(ctx, object.Namespace, object.Name)).Should(BeEmpty())
		Eventually(func() string { return message(ctx, object, farpointv1.EndpointsAcceptedCondition) }).Should(ContainSubstring("a Pod of this cluster"))

		Expect(k8s.Delete(ctx, node)).To(Succeed())
		Eventually(conditions(ctx, object.Namespace, object.Name)).Should(Equal(map[string]string{"198.51.100.7": "TTF"}))
	})

	It("are followed as nodes get their addresses", func(ctx SpecContext) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-"}}
		create(ctx, node)
		DeferCleanup(func(ctx SpecContext) { _ = k8s.Delete(ctx, node) })
		startOperator(adminConfig)
		object := at(ctx, "198.51.100.9")
		Eventually(column(ctx, object)).Should(Equal("1/1"))

		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node.example"}, {Type: corev1.NodeInternalIP, Address: "198.51.100.9"}}
		Expect(k8s.Status().Update(ctx, node)).To(Succeed())
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False " + farpointv1.RefusedAddressReason))
	})
})
