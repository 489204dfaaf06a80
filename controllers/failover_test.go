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
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// forms maps the names of an object's endpoints to their health and how they are
// published, as in "Healthy Standby".
func forms(ctx SpecContext, object *farpointv1.ExternalService) func() map[string]string {
	return func() map[string]string {
		states := map[string]string{}
		for _, endpoint := range now(ctx, object).Status.Endpoints {
			states[endpoint.Name] = string(endpoint.Health) + " " + string(endpoint.Published)
		}
		return states
	}
}

// eventsOf are the Events about an object that are not about single endpoints.
func eventsOf(ctx SpecContext, object *farpointv1.ExternalService) func() []string {
	return func() []string {
		return slices.DeleteFunc(notes(ctx, object)(), func(note string) bool {
			return strings.Contains(note, " EndpointHealthy: ") || strings.Contains(note, " EndpointUnhealthy: ")
		})
	}
}

// restartsQuietly stops an operator and starts another one, which knows only what the first one
// has left. It writes the status, for a new generation, and nothing else.
func restartsQuietly(ctx SpecContext, object *farpointv1.ExternalService, first *operator) {
	GinkgoHelper()
	target := now(ctx, object).Status.TargetService
	before, status := versions(ctx, object.Namespace, target), now(ctx, object).Status
	first.stop()
	edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
		spec.HealthCheckInterval = &metav1.Duration{Duration: time.Hour} // it outlasts the test
	})
	second := startOperator(adminConfig)
	Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
	Expect(second.writes.Load()).To(BeEquivalentTo(1), "the status, for the new generation, and nothing else")
	Expect(versions(ctx, object.Namespace, target)).To(Equal(before))
	after := now(ctx, object).Status
	after.ObservedGeneration = status.ObservedGeneration
	for i := range after.Conditions {
		after.Conditions[i].ObservedGeneration = status.Conditions[i].ObservedGeneration
	}
	Expect(after).To(Equal(status))

	By("seeing an operator that finds no status")
	second.stop()
	empty := now(ctx, object)
	empty.Status = farpointv1.ExternalServiceStatus{}
	Expect(k8s.Status().Update(ctx, empty)).To(Succeed())
	startOperator(adminConfig)
	Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(empty.Generation))
	Expect(versions(ctx, object.Namespace, target)).To(Equal(before))
}

var _ = Describe("tiers", func() {
	It("hand over to a standby and back, each by one write", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, primary, second := newNamespace(ctx), newBackend(), newBackend()
		object := externalService(namespace, "tiers", primary.url(), second.url())
		object.Spec.Endpoints[1].Priority = 1
		create(ctx, service(namespace, "tiers"), object)
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{"192.0.2.10:8080": "Healthy Ready", "192.0.2.11:8080": "Healthy Standby"}))
		Expect(conditions(ctx, namespace, "tiers")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		Expect(column(ctx, object)()).To(Equal("1/2"))
		Expect(now(ctx, object).Status.Standby).To(BeEquivalentTo(1))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("True EndpointsReady"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(Equal("1 of 2 endpoints are ready, 1 on standby"))
		quiet := versions(ctx, namespace, "tiers")

		primary.status.Store(http.StatusServiceUnavailable)
		Eventually(conditions(ctx, namespace, "tiers")).Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF"}))
		Eventually(condition(ctx, object, farpointv1.FailedOverCondition)).Should(Equal("True TooFewHealthy"))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("True EndpointsReady"))
		Expect(forms(ctx, object)()).To(Equal(map[string]string{"192.0.2.10:8080": "Unhealthy NotReady", "192.0.2.11:8080": "Healthy Ready"}))
		Expect(now(ctx, object).Status.Tier).To(BeEquivalentTo(1))

		primary.status.Store(http.StatusOK)
		Eventually(conditions(ctx, namespace, "tiers")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		Eventually(condition(ctx, object, farpointv1.FailedOverCondition)).Should(BeEmpty())
		for name, generation := range versions(ctx, namespace, "tiers") {
			Expect(generation).To(Equal(quiet[name]+2), "takeover and failback are a write each")
		}
		Eventually(eventsOf(ctx, object)).Should(ConsistOf(
			"Warning FailedOver: standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1",
			"Normal FailedBack: Tier 0 is the last in use again: 1 of 2 endpoints are ready, 1 on standby",
		))
	})

	It("know that a standby is dead before it is needed", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, primary, second := newNamespace(ctx), newBackend(), newBackend()
		second.status.Store(http.StatusServiceUnavailable)
		object := externalService(namespace, "dead", primary.url(), second.url(), primary.url())
		object.Spec.Endpoints[1].Priority, object.Spec.Endpoints[2].Priority = 1, 2
		create(ctx, service(namespace, "dead"), object)
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{
			"192.0.2.10:8080": "Healthy Ready", "192.0.2.11:8080": "Unhealthy Standby", "192.0.2.12:8080": "Healthy Standby",
		}))
		Expect(condition(ctx, object, farpointv1.DegradedCondition)()).To(Equal("True EndpointsUnhealthy"))
		restartsQuietly(ctx, object, first)
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].State = farpointv1.EndpointDraining })
		Eventually(conditions(ctx, namespace, "dead")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "FFF", "192.0.2.12": "TTF"}))
	})

	It("wait with a standby for the first verdict on a primary", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, primary, second := newNamespace(ctx), newBackend(), newBackend()
		primary.status.Store(http.StatusServiceUnavailable)
		object := externalService(namespace, "patient", primary.url(), second.url())
		object.Spec.Endpoints[1].Priority = 1
		object.Spec.HealthCheck.FailureThreshold = 100 // no verdict on the primary while the test lasts
		create(ctx, service(namespace, "patient"), object)
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{"192.0.2.10:8080": "Unknown NotReady", "192.0.2.11:8080": "Healthy Standby"}))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("Unknown AwaitingProbes"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.FailureThreshold = 1 })
		Eventually(conditions(ctx, namespace, "patient")).Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF"}))
	})

	It("survive a restart after a takeover", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, primary, second := newNamespace(ctx), newBackend(), newBackend()
		primary.status.Store(http.StatusServiceUnavailable)
		object := externalService(namespace, "over", primary.url(), second.url(), second.url())
		object.Spec.Endpoints[1].Priority, object.Spec.Endpoints[2].Priority = 1, 2
		create(ctx, service(namespace, "over"), object)
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{
			"192.0.2.10:8080": "Unhealthy NotReady", "192.0.2.11:8080": "Healthy Ready", "192.0.2.12:8080": "Healthy Standby",
		}))
		restartsQuietly(ctx, object, first)
	})
})

var _ = Describe("failing open", func() {
	down := func(backends ...*backend) {
		for _, b := range backends {
			b.status.Store(http.StatusServiceUnavailable)
		}
	}

	DescribeTable("when none is healthy",
		func(ctx SpecContext, rules farpointv1.Availability, want map[string]string, available, failOpen, event string) {
			first := startOperator(adminConfig)
			namespace, a, b := newNamespace(ctx), newBackend(), newBackend()
			object := externalService(namespace, "none", a.url(), b.url())
			object.Spec.Availability = rules
			create(ctx, service(namespace, "none"), object)
			Eventually(column(ctx, object)).Should(Equal("2/2"))
			// They die one after the other, so that there is a last one.
			down(a)
			Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.10:8080", HavePrefix("Unhealthy ")))
			down(b)
			Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.11:8080", HavePrefix("Unhealthy ")))
			Expect(conditions(ctx, namespace, "none")()).To(Equal(want))
			Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal(available))
			Expect(condition(ctx, object, farpointv1.FailOpenCondition)()).To(Equal(failOpen))
			Expect(condition(ctx, object, farpointv1.ReadyCondition)()).To(Equal("True Published"))
			if event != "" {
				Eventually(eventsOf(ctx, object)).Should(ContainElement("Warning FailOpen: " + event))
			}
			By("deleting its slices")
			Expect(k8s.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(namespace))).To(Succeed())
			Eventually(conditions(ctx, namespace, "none")).Should(Equal(want))

			By("restarting")
			restartsQuietly(ctx, object, first)
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
				spec.HealthCheckInterval = &metav1.Duration{Duration: 500 * time.Millisecond}
			})
			a.status.Store(http.StatusOK)
			b.status.Store(http.StatusOK)
			Eventually(column(ctx, object)).Should(Equal("2/2"))
			Eventually(condition(ctx, object, farpointv1.FailOpenCondition)).Should(BeEmpty())
			if event != "" {
				Eventually(eventsOf(ctx, object)).Should(ContainElement(HavePrefix("Normal FailOpenEnded: ")))
			}
		},
		Entry("publishes none", farpointv1.Availability{}, map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "FFF"},
			"False NoEndpointsReady", "", ""),
		Entry("publishes all", farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishAll}, map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"},
			"False FailingOpen", "True AllPublished", "no endpoint is healthy: all 2 get traffic (whenNoneHealthy: PublishAll)"),
		Entry("publishes what was healthy last", farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishLastHealthy}, map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF"},
			"False FailingOpen", "True LastHealthyPublished", "no endpoint is healthy: the 1 of 2 that were healthy last get traffic (whenNoneHealthy: PublishLastHealthy)"),
		Entry("publishes all if minHealthyPercent says so", farpointv1.Availability{MinHealthyPercent: 40}, map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"},
			"False FailingOpen", "True BelowMinHealthyPercent", "0 of 2 endpoints in use are healthy, less than minHealthyPercent (40): all of them get traffic"),
	)

	It("publishes all when too few are healthy", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, a, b, c := newNamespace(ctx), newBackend(), newBackend(), newBackend()
		object := externalService(namespace, "few", a.url(), b.url(), c.url())
		object.Spec.Availability.MinHealthyPercent = 50
		create(ctx, service(namespace, "few"), object)
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		down(a)
		Eventually(column(ctx, object)).Should(Equal("2/3"))
		down(b)
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		Expect(forms(ctx, object)()).To(Equal(map[string]string{
			"192.0.2.10:8080": "Unhealthy FailOpen", "192.0.2.11:8080": "Unhealthy FailOpen", "192.0.2.12:8080": "Healthy Ready",
		}))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("True FailingOpen"))
		Expect(now(ctx, object).Status.Unhealthy).To(BeEquivalentTo(2))
		restartsQuietly(ctx, object, first)
	})

	It("changes nothing while a Service publishes addresses that are not ready", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, a, b := newNamespace(ctx), newBackend(), newBackend()
		down(b)
		object := externalService(namespace, "always", a.url(), b.url(), a.url(), a.url())
		object.Spec.Endpoints[2].Priority = 1
		object.Spec.Endpoints[3].State = farpointv1.EndpointDisabled
		target := service(namespace, "always")
		target.Spec.PublishNotReadyAddresses = true
		create(ctx, target, object)
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{
			"192.0.2.10:8080": "Healthy Ready", "192.0.2.11:8080": "Unhealthy Always", "192.0.2.12:8080": "Healthy Standby", "192.0.2.13:8080": "Unknown Disabled",
		}))
		Expect(conditions(ctx, namespace, "always")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TFF", "192.0.2.12": "FFF", "192.0.2.13": "FFF"}))
		Expect(column(ctx, object)()).To(Equal("2/4"))
		restartsQuietly(ctx, object, first)
	})
})
