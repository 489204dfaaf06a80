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
	"github.com/onsi/gomega/gleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("quiet", func() {
	It("writes nothing while nothing changes", func(ctx SpecContext) {
		running := startOperator(adminConfig)
		namespace, up, down := newNamespace(ctx), newBackend(), newBackend()
		down.status.Store(http.StatusInternalServerError)
		objects := make([]*farpointv1.ExternalService, 100)
		for i := range objects {
			name := fmt.Sprintf("quiet-%d", i)
			objects[i] = externalService(namespace, name, up.url(), down.url())
			objects[i].Spec.HealthCheck.FailureThreshold = 1
			// Otherwise they would all share their probes.
			objects[i].Spec.Endpoints[0].Address, objects[i].Spec.Endpoints[1].Address = fmt.Sprintf("198.51.100.%d", i+1), fmt.Sprintf("203.0.113.%d", i+1)
			create(ctx, service(namespace, name), objects[i])
		}
		for _, object := range objects {
			Eventually(condition(ctx, object, farpointv1.DegradedCondition)).Should(Equal("True EndpointsUnhealthy"))
			Eventually(column(ctx, object)).Should(Equal("1/2"))
		}
		// Writes that were under way are done by now if all endpoints have been probed again.
		probedOnceMore(up, down, len(objects))
		before := running.writes.Load()
		for range 5 {
			probedOnceMore(up, down, len(objects))
		}
		Expect(running.writes.Load()).To(Equal(before))
	})

	It("does not write an endpoint whose failures stay below the threshold", func(ctx SpecContext) {
		running := startOperator(adminConfig)
		namespace, flaky := newNamespace(ctx), newBackend()
		object := externalService(namespace, "flaky", flaky.url())
		create(ctx, service(namespace, "flaky"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Eventually(notes(ctx, object)).Should(HaveLen(1), "which is written after the status")
		before := running.writes.Load()
		for range 10 {
			flaky.status.Store(http.StatusServiceUnavailable)
			failed := flaky.probes.Load()
			Eventually(flaky.probes.Load).WithPolling(time.Millisecond).Should(BeNumerically(">", failed))
			flaky.status.Store(http.StatusOK)
			passed := flaky.probes.Load()
			Eventually(flaky.probes.Load).WithPolling(time.Millisecond).Should(BeNumerically(">", passed+1))
		}
		Expect(running.writes.Load()).To(Equal(before))
		Expect(column(ctx, object)()).To(Equal("1/1"))
	})

	It("changes no slice by a restart, although no probe gets an answer", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, up, down := newNamespace(ctx), newBackend(), newBackend()
		down.status.Store(http.StatusInternalServerError)
		object := externalService(namespace, "restart", up.url(), down.url())
		create(ctx, service(namespace, "restart"), object)
		Eventually(condition(ctx, object, farpointv1.DegradedCondition)).Should(Equal("True EndpointsUnhealthy"))
		before, status := versions(ctx, namespace, "restart"), now(ctx, object).Status
		first.stop()

		// The interval outlasts the test, so that all the second operator knows is what
		// the first has left.
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheckInterval = &metav1.Duration{Duration: time.Hour}
		})
		second := startOperator(adminConfig)
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Expect(second.writes.Load()).To(BeEquivalentTo(1), "the status, for the new generation, and nothing else")
		Expect(versions(ctx, namespace, "restart")).To(Equal(before))
		Expect(now(ctx, object).Status.Endpoints).To(Equal(status.Endpoints))
	})

	It("leaves no goroutine running when it stops", func(ctx SpecContext) {
		before := gleak.Goroutines()
		running := startOperator(adminConfig)
		namespace, hanging := newNamespace(ctx), newBackend()
		object := externalService(namespace, "leak", hanging.url())
		create(ctx, service(namespace, "leak"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		running.stop()
		hanging.Close()
		Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before))
	})
})

// probedOnceMore waits until both backends have had a probe from each of the objects.
func probedOnceMore(up, down *backend, objects int) {
	GinkgoHelper()
	for _, b := range []*backend{up, down} {
		reached := b.probes.Load() + int64(objects)
		Eventually(b.probes.Load).WithTimeout(time.Minute).Should(BeNumerically(">=", reached))
	}
}
