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
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("spec.endpointStates", func() {
	It("has an owner for each entry, beside the owner of the endpoints", func(ctx SpecContext) {
		namespace, backend := newNamespace(ctx), newBackend()
		startOperator(adminConfig)
		create(ctx, service(namespace, "owned"))
		head := fmt.Sprintf("{apiVersion: farpoint.dev/v1, kind: ExternalService, metadata: {namespace: %s, name: owned}, spec: ", namespace)
		whole := head + fmt.Sprintf("{healthCheckURL: %q, healthCheckInterval: 500ms, endpoints: [{address: 192.0.2.11}, {address: 192.0.2.12}, {address: 192.0.2.13}]}}", backend.url())
		gitops := func() { apply(ctx, whole, "--filename=-", "--field-manager=gitops") }
		drain := func(manager, entries string) {
			apply(ctx, head+"{endpointStates: ["+entries+"]}}", "--filename=-", "--field-manager="+manager)
		}
		gitops()
		published := conditions(ctx, namespace, "owned")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.11": "TTF", "192.0.2.12": "TTF", "192.0.2.13": "TTF"}))

		drain("machine-11", "{address: 192.0.2.11, state: Draining}")
		drain("machine-12", "{address: 192.0.2.12, state: Disabled}")
		drain("machine-99", "{address: 192.0.2.99, state: Draining}")
		both := map[string]string{"192.0.2.11": "FTT", "192.0.2.12": "FFF", "192.0.2.13": "TTF"}
		Eventually(published).Should(Equal(both))

		By("applying the whole manifest again, by its owner and by kubectl")
		gitops()
		apply(ctx, whole, "--filename=-", "--field-manager=kubectl", "--force-conflicts")
		drain("machine-11", "{address: 192.0.2.11, state: Draining}")
		Consistently(published, "500ms").Should(Equal(both))
		object := externalService(namespace, "owned")
		Expect(now(ctx, object).Spec.EndpointStates).To(HaveLen(3))
		Expect(now(ctx, object).Spec.EndpointStates[0].Port).To(BeZero())

		By("ending one of the drains")
		drain("machine-11", "")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.11": "TTF", "192.0.2.12": "FFF", "192.0.2.13": "TTF"}))
		Expect(now(ctx, object).Spec.EndpointStates).To(HaveLen(2))
		Expect(now(ctx, object).Spec.Endpoints).To(HaveLen(3))
	})

	It("is left alone by client-side apply of a manifest that never had it", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		head := fmt.Sprintf("{apiVersion: farpoint.dev/v1, kind: ExternalService, metadata: {namespace: %s, name: plain}, spec: ", namespace)
		kubectl(ctx, head+"{endpoints: [{address: 192.0.2.11}]}}", "apply", "--filename=-")
		// Not by kubectl, which would take over the fields of the manifest, too (see the guide).
		entry := decoded(head + "{endpointStates: [{address: 192.0.2.11, state: Draining}]}}")[0]
		Expect(k8s.Apply(ctx, client.ApplyConfigurationFromUnstructured(entry), client.FieldOwner("machine-11"))).To(Succeed())
		kubectl(ctx, head+"{endpoints: [{address: 192.0.2.11}, {address: 192.0.2.12}]}}", "apply", "--filename=-")
		object := externalService(namespace, "plain")
		Expect(now(ctx, object).Spec.Endpoints).To(HaveLen(2))
		Expect(now(ctx, object).Spec.EndpointStates).To(HaveLen(1))

		By("a manifest that has it, which replaces all entries")
		kubectl(ctx, head+"{endpoints: [{address: 192.0.2.11}], endpointStates: [{address: 192.0.2.12, state: Draining}]}}", "apply", "--filename=-")
		Expect(now(ctx, object).Spec.EndpointStates).To(HaveExactElements(HaveField("Address", "192.0.2.12")))
	})

	It("ends by itself, and says so", func(ctx SpecContext) {
		namespace, backend, failing := newNamespace(ctx), newBackend(), newBackend()
		failing.status.Store(http.StatusServiceUnavailable)
		startOperator(adminConfig)
		object := externalService(namespace, "ending", backend.url(), failing.url())
		until := metav1.NewTime(time.Now().Add(4 * time.Second).Truncate(time.Second))
		object.Spec.Endpoints[0].State, object.Spec.Endpoints[0].StateUntil = farpointv1.EndpointDraining, &until
		object.Spec.EndpointStates = []farpointv1.EndpointStateEntry{{Address: "192.0.2.11", State: farpointv1.EndpointDisabled, Until: &until}}
		create(ctx, service(namespace, "ending"), object)
		published := conditions(ctx, namespace, "ending")
		Eventually(published).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "FFF"}))
		Eventually(func() []string {
			var states []string
			for _, endpoint := range now(ctx, object).Status.Endpoints {
				states = append(states, fmt.Sprint(endpoint.State, endpoint.Health, endpoint.StateUntil.Equal(&until)))
			}
			return states
		}).Should(Equal([]string{"DrainingHealthytrue", "DisabledUnknowntrue"}))

		Eventually(published).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		Expect(time.Now()).To(BeTemporally(">=", until.Time))
		Eventually(func() []string {
			var states []string
			for _, endpoint := range now(ctx, object).Status.Endpoints {
				states = append(states, fmt.Sprint(endpoint.State, endpoint.Health, endpoint.StateUntil))
			}
			return states
		}).Should(Equal([]string{"ActiveHealthy<nil>", "ActiveUnhealthy<nil>"}))
		Eventually(notes(ctx, object)).Should(ContainElements(
			"Normal EndpointStateEnded: Endpoint 192.0.2.10:8080 is active: its state Draining ended at "+until.UTC().Format(time.RFC3339),
			"Normal EndpointStateEnded: Endpoint 192.0.2.11:8080 is active: its state Disabled ended at "+until.UTC().Format(time.RFC3339),
		))
	})
})
