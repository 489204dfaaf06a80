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
	"regexp"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("an endpoint that reports that it drains", func() {
	It("keeps its connections, also over a restart, and comes back or dies", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, a, b := newNamespace(ctx), newBackend(), newBackend()
		object := externalService(namespace, "word", a.url(), b.url())
		object.Spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{DrainStatuses: []string{"429", "500-503"}}
		create(ctx, service(namespace, "word"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		written := versions(ctx, namespace, "word")

		a.status.Store(http.StatusServiceUnavailable)
		Eventually(conditions(ctx, namespace, "word")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "TTF"}))
		for name, generation := range versions(ctx, namespace, "word") {
			Expect(generation).To(Equal(written[name] + 1))
		}
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{"192.0.2.10:8080": "Draining Draining", "192.0.2.11:8080": "Healthy Ready"}))
		status := now(ctx, object).Status
		Expect(status.ReadyEndpoints).To(Equal("1/2"))
		Expect([]int32{status.Draining, status.Unhealthy}).To(Equal([]int32{1, 0}))
		Expect(status.Endpoints[0].Reason).To(Equal("Draining"))
		Expect(status.Endpoints[0].Message).To(Equal("status 503 is one of drainStatuses: the endpoint serves, and takes no new traffic"))
		Expect(condition(ctx, object, farpointv1.DegradedCondition)()).To(Equal("False NoEndpointsUnhealthy"))
		Expect(message(ctx, object, farpointv1.AvailableCondition)).To(Equal("1 of 2 endpoints are ready, 1 draining"))
		Eventually(eventsOf(ctx, object)).Should(ConsistOf(
			"Normal EndpointDraining: Endpoint 192.0.2.10:8080 is draining: status 503 is one of drainStatuses: the endpoint serves, and takes no new traffic"))

		restartsQuietly(ctx, object, first)
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheckInterval = &metav1.Duration{Duration: 500 * time.Millisecond}
		})
		By("coming back")
		a.status.Store(http.StatusOK)
		Eventually(conditions(ctx, namespace, "word")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		By("dying on the way out")
		a.status.Store(http.StatusTooManyRequests)
		Eventually(conditions(ctx, namespace, "word")).Should(HaveKeyWithValue("192.0.2.10", "FTT"))
		a.status.Store(http.StatusNotFound)
		Eventually(conditions(ctx, namespace, "word")).Should(HaveKeyWithValue("192.0.2.10", "FFF"))
	})

	It("gets traffic before dead ones, if traffic must go somewhere", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, a, b := newNamespace(ctx), newBackend(), newBackend()
		object := externalService(namespace, "last", a.url(), b.url())
		object.Spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{DrainStatuses: []string{"503"}}
		object.Spec.Availability.WhenNoneHealthy = farpointv1.PublishAll
		create(ctx, service(namespace, "last"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		b.status.Store(http.StatusNotFound)
		Eventually(conditions(ctx, namespace, "last")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		a.status.Store(http.StatusServiceUnavailable)
		Eventually(condition(ctx, object, farpointv1.FailOpenCondition)).Should(Equal("True DrainingPublished"))
		Expect(conditions(ctx, namespace, "last")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		Expect(message(ctx, object, farpointv1.FailOpenCondition)).To(Equal("no endpoint is healthy: the 1 that drain get traffic"))
		a.status.Store(http.StatusNotFound)
		Eventually(condition(ctx, object, farpointv1.FailOpenCondition)).Should(Equal("True AllPublished"))
		Eventually(conditions(ctx, namespace, "last")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
	})
})

var _ = Describe("an endpoint that leaves the spec", func() {
	removeFirst := func(ctx SpecContext, object *farpointv1.ExternalService) {
		GinkgoHelper()
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[1:] })
	}

	It("drains until its time is up", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "leaves", backends.url("/a"), backends.url("/b"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		object.Spec.Endpoints[0].Zone, object.Spec.Endpoints[0].Hostname = "eu-1", "db-0"
		create(ctx, service(namespace, "leaves"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		written := versions(ctx, namespace, "leaves")

		removeFirst(ctx, object)
		Eventually(conditions(ctx, namespace, "leaves")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "TTF"}))
		slice := slicesFor(ctx, namespace, "leaves")[0]
		Expect(*slice.Endpoints[0].Zone + " " + *slice.Endpoints[0].Hostname).To(Equal("eu-1 db-0"))
		Eventually(func(g Gomega) {
			status := now(ctx, object).Status
			g.Expect(status.ReadyEndpoints).To(Equal("1/1"))
			g.Expect(status.Draining).To(BeEquivalentTo(1))
			g.Expect(status.Endpoints[1].DrainUntil.Time).To(BeTemporally("~", time.Now().Add(time.Hour), 10*time.Minute))
		}).Should(Succeed())

		By("having less time")
		shortened := time.Now()
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Second}
		})
		Eventually(conditions(ctx, namespace, "leaves")).Should(Equal(map[string]string{"192.0.2.11": "TTF"}))
		Expect(time.Now()).To(BeTemporally(">=", shortened.Add(time.Second)))
		Eventually(func() int { return len(now(ctx, object).Status.Endpoints) }).Should(Equal(1))
		for name, generation := range versions(ctx, namespace, "leaves") {
			Expect(generation).To(Equal(written[name] + 2))
		}
		Eventually(eventsOf(ctx, object)).Should(ConsistOf(
			HavePrefix("Normal EndpointDraining: Endpoint 192.0.2.10:8080 is draining: it left the spec, and will be removed at 20"),
			"Normal EndpointDrained: Endpoint 192.0.2.10:8080 is gone: it left the spec, and its drain period is over",
		))
	})

	It("goes at once if it is unhealthy, or if there is no drainPeriod", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "once", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "once"), object)
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		backends.down.Store("/a", true)
		Eventually(column(ctx, object)).Should(Equal("2/3"))
		removeFirst(ctx, object)
		Eventually(conditions(ctx, namespace, "once")).Should(Equal(map[string]string{"192.0.2.11": "TTF", "192.0.2.12": "TTF"}))
		removeFirst(ctx, object)
		Eventually(conditions(ctx, namespace, "once")).Should(Equal(map[string]string{"192.0.2.11": "FTT", "192.0.2.12": "TTF"}))
		By("having the period taken away")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Availability.DrainPeriod = &metav1.Duration{Duration: 0}
		})
		Eventually(conditions(ctx, namespace, "once")).Should(Equal(map[string]string{"192.0.2.12": "TTF"}))
	})

	It("is still probed, and is as before if it comes back", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "back", backends.url("/a"), backends.url("/b"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "back"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		left := object.Spec.Endpoints[0]
		comeBack := func() {
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = append(spec.Endpoints, left) })
		}
		removeFirst(ctx, object)
		Eventually(conditions(ctx, namespace, "back")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "TTF"}))

		By("dying on the way")
		backends.down.Store("/a", true)
		Eventually(conditions(ctx, namespace, "back")).Should(Equal(map[string]string{"192.0.2.10": "FFT", "192.0.2.11": "TTF"}))
		backends.down.Delete("/a")
		Eventually(conditions(ctx, namespace, "back")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "TTF"}))

		Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.10:8080", "Healthy Draining"))
		By("seeing a new operator")
		restartsQuietly(ctx, object, first)
		comeBack() // its interval is an hour, so that its health is what it was
		Eventually(conditions(ctx, namespace, "back")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		Eventually(func() int32 { return now(ctx, object).Status.Draining }).Should(BeZero())
	})

	It("goes at the time that was published before a restart", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "end", backends.url("/a"), backends.url("/b"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "end"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		removeFirst(ctx, object)
		Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.10:8080", "Healthy Draining"))
		first.stop()
		slice := slicesFor(ctx, namespace, "end")[0] // as if nearly an hour had passed
		until := time.Now().Add(3 * time.Second).Truncate(time.Second)
		ends := regexp.MustCompile(`"until":"[^"]+"`)
		Expect(slice.Annotations[farpointv1.SliceStateAnnotation]).To(MatchRegexp(ends.String()))
		slice.Annotations[farpointv1.SliceStateAnnotation] = ends.ReplaceAllString(slice.Annotations[farpointv1.SliceStateAnnotation], `"until":"`+until.UTC().Format(time.RFC3339)+`"`)
		Expect(k8s.Update(ctx, &slice)).To(Succeed())
		startOperator(adminConfig)
		Eventually(conditions(ctx, namespace, "end")).Should(Equal(map[string]string{"192.0.2.11": "TTF"}))
		Expect(time.Now()).To(BeTemporally(">=", until))
	})

	It("starts again if its end was lost", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "lost", backends.url("/a"), backends.url("/b"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "lost"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		removeFirst(ctx, object)
		Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.10:8080", "Healthy Draining"))
		first.stop()
		slice := slicesFor(ctx, namespace, "lost")[0]
		delete(slice.Annotations, farpointv1.SliceStateAnnotation)
		Expect(k8s.Update(ctx, &slice)).To(Succeed())
		startOperator(adminConfig)
		Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.10:8080", "Healthy Draining"))
		Expect(conditions(ctx, namespace, "lost")()).To(HaveKeyWithValue("192.0.2.10", "FTT"))
	})

	It("leaves its old port drain", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "port", backends.url("/a"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "port"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Port = new(int32(9090)) })
		Eventually(forms(ctx, object)).Should(Equal(map[string]string{"192.0.2.10:9090": "Healthy Ready", "192.0.2.10:8080": "Healthy Draining"}))
		byPort := map[int32]string{}
		for _, slice := range slicesFor(ctx, namespace, "port") {
			c := slice.Endpoints[0].Conditions
			byPort[*slice.Ports[0].Port] = letter(c.Ready) + letter(c.Serving) + letter(c.Terminating)
		}
		Expect(byPort).To(Equal(map[int32]string{8080: "FTT", 9090: "TTF"}))
	})

	It("does not drain where another object publishes it", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		from, to := externalService(namespace, "from", backends.url("/a"), backends.url("/b")), externalService(namespace, "to", backends.url("/c"))
		for _, object := range []*farpointv1.ExternalService{from, to} {
			object.Spec.TargetService = &farpointv1.TargetServiceReference{Name: "moves"}
			object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		}
		to.Spec.Endpoints[0].Address = "192.0.2.99"
		create(ctx, service(namespace, "moves"), from, to)
		Eventually(column(ctx, from)).Should(Equal("2/2"))
		Eventually(column(ctx, to)).Should(Equal("1/1"))
		moved := from.Spec.Endpoints[0]
		removeFirst(ctx, from)
		Eventually(forms(ctx, from)).Should(HaveKeyWithValue("192.0.2.10:8080", "Healthy Draining"))
		edit(ctx, to, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = append(spec.Endpoints, moved) })
		Eventually(conditions(ctx, namespace, "moves")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF", "192.0.2.99": "TTF"}))
		Eventually(forms(ctx, from)).ShouldNot(HaveKey("192.0.2.10:8080"))
		Eventually(condition(ctx, to, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
	})

	It("does not drain with the Service, another Service or the object gone", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "gone", backends.url("/a"), backends.url("/b"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "gone"), service(namespace, "renamed"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.TargetService = &farpointv1.TargetServiceReference{Name: "renamed"}
			spec.Endpoints = spec.Endpoints[1:]
		})
		Eventually(conditions(ctx, namespace, "renamed")).Should(Equal(map[string]string{"192.0.2.11": "TTF"}))
		Expect(conditions(ctx, namespace, "gone")()).To(BeEmpty())

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Port = new(int32(9090)) })
		Eventually(forms(ctx, object)).Should(HaveKeyWithValue("192.0.2.11:8080", "Healthy Draining"))
		Expect(k8s.Delete(ctx, service(namespace, "renamed"))).To(Succeed())
		Eventually(conditions(ctx, namespace, "renamed")).Should(BeEmpty())
		Eventually(func() int32 { return now(ctx, object).Status.Draining }).Should(BeZero())
		create(ctx, service(namespace, "renamed"))
		Eventually(conditions(ctx, namespace, "renamed")).Should(Equal(map[string]string{"192.0.2.11": "TTF"}))

		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(slicesFor).WithArguments(ctx, namespace, "renamed").Should(BeEmpty())
	})

	It("does not make endpoints drain that somebody has put into the slice", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "stranger", backends.url("/a"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: time.Hour}
		create(ctx, service(namespace, "stranger"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		slice := slicesFor(ctx, namespace, "stranger")[0]
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{"203.0.113.66"}, Conditions: slice.Endpoints[0].Conditions})
		Expect(k8s.Update(ctx, &slice, client.FieldOwner("somebody"))).To(Succeed())
		Eventually(conditions(ctx, namespace, "stranger")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
	})
})
