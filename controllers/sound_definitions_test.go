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
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

// faulty is what a fault is made in.
type faulty struct {
	object    *farpointv1.ExternalService
	ca, login *corev1.Secret
	// unavailable is what reads of Secrets fail by, if anything.
	unavailable *atomic.Pointer[error]
}

var _ = Describe("a fault in the health check", func() {
	const ready = "True Published"
	DescribeTable("does not keep a death from being published, nor a new endpoint from being probed",
		func(ctx SpecContext, want string, wantMessage string, breakIt func(context.Context, faulty)) {
			var unavailable atomic.Pointer[error]
			startOperator(failing(adminConfig, func(request *http.Request) error {
				if err := unavailable.Load(); err != nil && strings.Contains(request.URL.Path, "/secrets/") {
					return *err
				}
				return nil
			}))
			namespace := newNamespace(ctx)
			first, second, third := newTLSBackend(), newTLSBackend(), newTLSBackend()
			object := externalService(namespace, "faulty", first.url(), second.url())
			object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{
				InsecureSkipVerify: false, ServerName: "example.com", CASecretRef: &farpointv1.KeyReference{Name: "ca", Key: "ca.crt"},
			}
			object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
			object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
			ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, StringData: map[string]string{"ca.crt": first.authority()}}
			login := loginSecret(namespace, corev1.SecretTypeOpaque, map[string]string{"token": "x"})
			create(ctx, ca, login, service(namespace, "faulty"), object)
			Eventually(column(ctx, object)).Should(Equal("2/2"))
			Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal(ready))

			breakIt(ctx, faulty{object, ca, login, &unavailable})
			// A Secret is read again after the next edit.
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
				spec.Endpoints = append(spec.Endpoints, farpointv1.Endpoint{Address: "192.0.2.12", Port: new(int32(8080)), HealthCheckURL: third.url()})
			})
			Eventually(conditions(ctx, namespace, "faulty")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF", "192.0.2.12": "TTF"}))
			Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal(want))
			Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring(wantMessage))

			first.status.Store(http.StatusServiceUnavailable)
			Eventually(conditions(ctx, namespace, "faulty")).Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF", "192.0.2.12": "TTF"}))
			Eventually(column(ctx, object)).Should(Equal("2/3"))
			Eventually(notes(ctx, object)).Should(ContainElement(HavePrefix("Warning EndpointUnhealthy: Endpoint 192.0.2.10:8080")))
			Eventually(condition(ctx, object, farpointv1.DegradedCondition)).Should(Equal("True EndpointsUnhealthy"))

			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[:2] })
			Eventually(func() string { return conditions(ctx, namespace, "faulty")()["192.0.2.12"] }).Should(Equal("FTT"), "what is removed leaves")
			first.status.Store(http.StatusOK)
			Eventually(func() string { return conditions(ctx, namespace, "faulty")()["192.0.2.10"] }).Should(Equal("TTF"), "what recovers is back")
		},
		Entry("in a pattern", "False InvalidHealthCheck", "; endpoints are probed by the last valid health check, that of generation 1", func(ctx context.Context, f faulty) {
			edit(ctx, f.object, func(spec *farpointv1.ExternalServiceSpec) {
				spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{ExpectedBody: "(ok"}
			})
		}),
		Entry("as a CA Secret that is deleted", "False CertificatesUnavailable", `secrets "ca" not found; probes use its last contents`, func(ctx context.Context, f faulty) {
			Expect(k8s.Delete(ctx, f.ca)).To(Succeed())
		}),
		Entry("as a CA Secret that becomes rubbish", "False CertificatesUnavailable", "which contains no certificate", func(ctx context.Context, f faulty) {
			f.ca.StringData = map[string]string{"ca.crt": "rubbish"}
			Expect(k8s.Update(ctx, f.ca)).To(Succeed())
		}),
		Entry("as a CA that another Secret is to have", "False CertificatesUnavailable", "; endpoints are probed by the last valid health check, that of generation 1", func(ctx context.Context, f faulty) {
			edit(ctx, f.object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.TLS.CASecretRef.Name = "none" })
		}),
		Entry("as a client certificate that does not exist", "False CertificatesUnavailable", "; endpoints are probed by the last valid health check, that of generation 1", func(ctx context.Context, f faulty) {
			edit(ctx, f.object, func(spec *farpointv1.ExternalServiceSpec) {
				spec.HealthCheck.TLS.ClientCertificateSecretRef = &farpointv1.SecretReference{Name: "none"}
			})
		}),
		Entry("as credentials that are deleted", "False CredentialsUnavailable", `secrets "login" not found; probes use its last contents until `, func(ctx context.Context, f faulty) {
			Expect(k8s.Delete(ctx, f.login)).To(Succeed())
		}),
		Entry("as an API server that fails to read Secrets", ready, "", func(_ context.Context, f faulty) {
			f.unavailable.Store(new(error(apierrors.NewInternalError(context.DeadlineExceeded))))
		}),
		Entry("as an API server that cannot be reached about Secrets", ready, "", func(_ context.Context, f faulty) {
			f.unavailable.Store(new(error(syscall.ECONNREFUSED)))
		}),
	)

	It("of one endpoint leaves it to be probed as before, also with what is rotated", func(ctx SpecContext) {
		startOperator(adminConfig, readingReferencesOften)
		namespace, api := newNamespace(ctx), newGuarded("Bearer first")
		object := externalService(namespace, "slip", api.url())
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		token := loginSecret(namespace, corev1.SecretTypeOpaque, map[string]string{"token": "first"})
		create(ctx, token, service(namespace, "slip"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].HealthCheckURL = forbiddenURL })
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False InvalidHealthCheckURL"))
		api.authorization.Store("Bearer second")
		Eventually(column(ctx, object)).Should(Equal("0/1"))
		token.StringData = map[string]string{"token": "second"}
		Expect(k8s.Update(ctx, token)).To(Succeed())
		Eventually(column(ctx, object)).WithTimeout(40 * time.Second).Should(Equal("1/1"))
	})

	It("has removed credentials used for the grace time only, and the verdict is kept", func(ctx SpecContext) {
		startOperator(adminConfig, func(options *controllers.Options) { options.RemovedCredentialGrace = time.Second })
		namespace, backend := newNamespace(ctx), newBackend()
		object := externalService(namespace, "removed", backend.url())
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		login := loginSecret(namespace, corev1.SecretTypeOpaque, map[string]string{"token": "x"})
		create(ctx, login, service(namespace, "removed"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Expect(k8s.Delete(ctx, login)).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.FailureThreshold = 100 })
		Eventually(message).WithArguments(ctx, object, farpointv1.EndpointsAcceptedCondition).Should(ContainSubstring("probes no longer use its last contents"))
		Eventually(func() int64 {
			before := backend.probes.Load()
			time.Sleep(2 * object.Spec.HealthCheckInterval.Duration)
			return backend.probes.Load() - before
		}).Should(BeZero(), "nothing shows the token")
		Expect(conditions(ctx, namespace, "removed")()).To(Equal(map[string]string{"192.0.2.10": "TTF"}))
	})
})
