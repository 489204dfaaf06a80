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
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// refusingStatus is an API server that refuses every write of the status of an
// ExternalService.
func refusingStatus(config *rest.Config) *rest.Config {
	refusing := rest.CopyConfig(config)
	refusing.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Method == http.MethodGet || !strings.Contains(request.URL.Path, "/externalservices/") || !strings.HasSuffix(request.URL.Path, "/status") {
				return next.RoundTrip(request)
			}
			const text = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no status for you","reason":"Forbidden","code":403}`
			return &http.Response{
				StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
			}, nil
		})
	})
	return refusing
}

var _ = Describe("an operator that may write no status", func() {
	state := func(ctx SpecContext, namespace, service string) func() string {
		return func() string {
			annotations := ""
			for _, slice := range slicesFor(ctx, namespace, service) {
				annotations += slice.Annotations[farpointv1.SliceStateAnnotation]
			}
			return annotations
		}
	}
	hourly := func(ctx SpecContext, object *farpointv1.ExternalService) {
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheckInterval = &metav1.Duration{Duration: time.Hour} // it outlasts the test
		})
	}

	It("has a standby take over at once after a restart, and nothing else change", func(ctx SpecContext) {
		config := refusingStatus(adminConfig)
		first := startOperator(config)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "mute", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		object.Spec.Endpoints[1].Priority, object.Spec.Endpoints[2].Priority = 1, 1
		backends.down.Store("/b", true)
		create(ctx, service(namespace, "mute"), object)
		Eventually(conditions(ctx, namespace, "mute")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF", "192.0.2.12": "FFF"}))
		Eventually(state(ctx, namespace, "mute")).Should(And(
			ContainSubstring(`{"role":"Standby","health":"Healthy","addresses":["192.0.2.12"]}`),
			ContainSubstring(`{"role":"Standby","health":"Unhealthy","reason":"UnexpectedStatus","addresses":["192.0.2.11"]}`)))
		before := versions(ctx, namespace, "mute")
		first.stop()
		Expect(now(ctx, object).Status.Conditions).To(BeEmpty())
		hourly(ctx, object)
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].State = farpointv1.EndpointDraining })
		startOperator(config)
		Eventually(conditions(ctx, namespace, "mute")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "FFF", "192.0.2.12": "TTF"}))
		for name, generation := range versions(ctx, namespace, "mute") {
			Expect(generation).To(Equal(before[name]+1), "one write for the edit, and none for the restart")
		}
	})

	It("keeps what was healthy last after a restart", func(ctx SpecContext) {
		config := refusingStatus(adminConfig)
		first := startOperator(config)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "last", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		object.Spec.Availability.WhenNoneHealthy = farpointv1.PublishLastHealthy
		object.Spec.Availability.DrainPeriod = &metav1.Duration{}
		create(ctx, service(namespace, "last"), object)
		Eventually(conditions(ctx, namespace, "last")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF", "192.0.2.12": "TTF"}))
		backends.down.Store("/a", true)
		Eventually(conditions(ctx, namespace, "last")).Should(HaveKeyWithValue("192.0.2.10", "FFF"))
		backends.down.Store("/b", true)
		Eventually(conditions(ctx, namespace, "last")).Should(HaveKeyWithValue("192.0.2.11", "FFF"))
		backends.down.Store("/c", true)
		Eventually(state(ctx, namespace, "last")).Should(ContainSubstring(`{"health":"Unhealthy","reason":"UnexpectedStatus","addresses":["192.0.2.12"]}`))
		Expect(conditions(ctx, namespace, "last")()).To(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "FFF", "192.0.2.12": "TTF"}))
		before := versions(ctx, namespace, "last")
		first.stop()
		hourly(ctx, object)
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[1:] }) // to be seen to be carried out
		startOperator(config)
		Eventually(conditions(ctx, namespace, "last")).Should(Equal(map[string]string{"192.0.2.11": "FFF", "192.0.2.12": "TTF"}))
		for name, generation := range versions(ctx, namespace, "last") {
			Expect(generation).To(Equal(before[name] + 1))
		}
	})

	It("lets a drain end on time after a restart", func(ctx SpecContext) {
		config := refusingStatus(adminConfig)
		first := startOperator(config)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "ends", backends.url("/a"), backends.url("/b"))
		object.Spec.Availability.DrainPeriod = &metav1.Duration{Duration: 6 * time.Second}
		create(ctx, service(namespace, "ends"), object)
		Eventually(conditions(ctx, namespace, "ends")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		left := time.Now()
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[1:] })
		Eventually(conditions(ctx, namespace, "ends")).Should(Equal(map[string]string{"192.0.2.10": "FTT", "192.0.2.11": "TTF"}))
		ends := state(ctx, namespace, "ends")()
		first.stop()
		startOperator(config)
		Expect(state(ctx, namespace, "ends")()).To(Equal(ends), "the end that was written first")
		Eventually(conditions(ctx, namespace, "ends")).Should(Equal(map[string]string{"192.0.2.11": "TTF"}))
		Expect(time.Now()).To(BeTemporally(">=", left.Add(6*time.Second)))
	})
})
