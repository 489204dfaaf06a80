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

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("the story of two backends", func() {
	It("mirrors the death and the recovery of one", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		first, second := newBackend(), newBackend()
		object := externalService(namespace, "legacy-api", first.url(), second.url())
		create(ctx, service(namespace, "legacy-api"), object)

		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(conditions(ctx, namespace, "legacy-api")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("True EndpointsReady"))
		Expect(condition(ctx, object, farpointv1.DegradedCondition)()).To(Equal("False NoEndpointsUnhealthy"))
		quiet := statuses(now(ctx, object))
		raw := &unstructured.Unstructured{}
		raw.SetGroupVersionKind(farpointv1.GroupVersion.WithKind("ExternalService"))

		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), raw)).To(Succeed())
		Expect(raw.Object["status"]).To(HaveKeyWithValue("disabled", BeEquivalentTo(0)), "zeros are written, too")

		second.status.Store(http.StatusServiceUnavailable)
		Eventually(column(ctx, object)).Should(Equal("1/2"))
		Expect(conditions(ctx, namespace, "legacy-api")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		changed := statuses(now(ctx, object))
		Expect(changed).To(HaveKeyWithValue(farpointv1.DegradedCondition, "True EndpointsUnhealthy"))
		delete(changed, farpointv1.DegradedCondition)
		delete(quiet, farpointv1.DegradedCondition)
		Expect(changed).To(Equal(quiet), "only one condition tells it")
		Expect(message(ctx, object, farpointv1.DegradedCondition)).To(Equal("unhealthy: 192.0.2.11:8080 (UnexpectedStatus)"))
		Expect(now(ctx, object).Status.Endpoints[1].Message).To(Equal("status 503 is not an expected one"))

		second.status.Store(http.StatusOK)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(conditions(ctx, namespace, "legacy-api")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		Expect(condition(ctx, object, farpointv1.DegradedCondition)()).To(Equal("False NoEndpointsUnhealthy"))

		// The endpoints whose first verdict is healthy are reported in one Event, or in two.
		Eventually(counted(ctx, object, "EndpointHealthy", "healthy")).Should(Equal(2 + 1))
		Expect(notes(ctx, object)()).To(ContainElements(
			"Warning EndpointUnhealthy: Endpoint 192.0.2.11:8080 is unhealthy: status 503 is not an expected one",
			"Normal EndpointHealthy: Endpoint 192.0.2.11:8080 is healthy",
		))
	})
})

// statuses maps the types of an object's conditions to their statuses and reasons.
func statuses(object *farpointv1.ExternalService) map[string]string {
	byType := map[string]string{}
	for _, c := range object.Status.Conditions {
		byType[c.Type] = string(c.Status) + " " + c.Reason
	}
	return byType
}

// notes are the Events about an object.
func notes(ctx SpecContext, object *farpointv1.ExternalService) func() []string {
	return func() []string {
		list := &eventsv1.EventList{}
		Expect(k8s.List(ctx, list, client.InNamespace(object.Namespace))).To(Succeed())
		var lines []string
		for _, event := range list.Items {
			if event.Regarding.UID == now(ctx, object).UID {
				lines = append(lines, event.Type+" "+event.Reason+": "+event.Note)
			}
		}
		return lines
	}
}
