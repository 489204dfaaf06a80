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
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

// guarded is an HTTP server that answers requests with the credentials that it currently
// requires.
type guarded struct {
	*httptest.Server
	// authorization is the Authorization header that it requires.
	authorization atomic.Value
}

func newGuarded(authorization string) *guarded {
	g := &guarded{}
	g.authorization.Store(authorization)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Authorization") != g.authorization.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	DeferCleanup(g.Close)
	return g
}

func (g *guarded) url() farpointv1.HealthCheckURL { return farpointv1.HealthCheckURL(g.URL) }

// loginSecret is a Secret named login.
func loginSecret(namespace string, kind corev1.SecretType, data map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "login"}, Type: kind, StringData: data}
}

var _ = Describe("credentials", func() {
	It("come from a Secret, and endpoints that need none are probed while it is unusable", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		api, other := newGuarded("Basic Ym9iOmh1bnRlcjI="), newBackend() // bob:hunter2
		object := externalService(namespace, "guarded", api.url(), farpointv1.HealthCheckURL("tcp://"+other.Listener.Addr().String()))
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		create(ctx, service(namespace, "guarded"), object)
		// A Secret is not watched; the next edit, or some seconds, find it.
		edits := int32(1)
		look := func() {
			edits++
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.FailureThreshold = edits })
		}

		By("saying that there is none")
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False CredentialsUnavailable"))
		Eventually(conditions(ctx, namespace, "guarded")).Should(Equal(map[string]string{"192.0.2.11": "TTF"}), "the port needs no credentials")
		Expect(condition(ctx, object, farpointv1.ReconcilingCondition)()).To(Equal("True CredentialsUnavailable"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring(`healthCheck.credentialsSecretRef refers to Secret login: secrets "login" not found`))

		By("saying that it is for another purpose")
		wrong := loginSecret(namespace, "kubernetes.io/ssh-auth", map[string]string{"ssh-privatekey": "x", "password": "hunter2"})
		create(ctx, wrong)
		look()
		Eventually(func() string { return message(ctx, object, farpointv1.ReadyCondition) }).Should(
			ContainSubstring("Secret login of the type kubernetes.io/ssh-auth, which is for another purpose: create one of the type kubernetes.io/basic-auth or Opaque"))
		Expect(k8s.Delete(ctx, wrong)).To(Succeed())

		By("saying which key it lacks")
		right := loginSecret(namespace, corev1.SecretTypeBasicAuth, map[string]string{"username": "bob"})
		create(ctx, right)
		look()
		Eventually(func() string { return message(ctx, object, farpointv1.ReadyCondition) }).Should(
			ContainSubstring("Secret login, which has neither the key password nor token"))

		By("using it")
		right.StringData = map[string]string{"password": "hunter2"}
		Expect(k8s.Update(ctx, right)).To(Succeed())
		look()
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))

		By("holding what it showed when it is gone")
		Expect(k8s.Delete(ctx, right)).To(Succeed())
		look()
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("False CredentialsUnavailable"))
		Expect(conditions(ctx, namespace, "guarded")()).To(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}))
		api.authorization.Store("nobody")
		Eventually(conditions(ctx, namespace, "guarded")).Should(Equal(map[string]string{"192.0.2.10": "FFF", "192.0.2.11": "TTF"}), "it is probed still")

		By("and showing nobody what is in it")
		text, err := json.Marshal(now(ctx, object))
		Expect(err).NotTo(HaveOccurred())
		Expect(CurrentSpecReport().CapturedGinkgoWriterOutput).NotTo(BeEmpty(), "the log")
		output := string(text) + strings.Join(notes(ctx, object)(), "\n") + CurrentSpecReport().CapturedGinkgoWriterOutput
		Expect(output).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("Ym9iOmh1bnRlcjI")))
	})

	It("that are rotated are in use without an edit", func(ctx SpecContext) {
		Expect(controllers.NewOptions().ReferencesInterval).To(BeNumerically("<=", 20*time.Second), "within 30 seconds, it says")
		startOperator(adminConfig, readingReferencesOften)
		namespace := newNamespace(ctx)
		api := newGuarded("Bearer first")
		object := externalService(namespace, "rotated", api.url())
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		token := loginSecret(namespace, corev1.SecretTypeOpaque, map[string]string{"token": "first"})
		create(ctx, token, service(namespace, "rotated"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))

		api.authorization.Store("Bearer second")
		Eventually(column(ctx, object)).Should(Equal("0/1"))
		token.StringData = map[string]string{"token": "second"}
		Expect(k8s.Update(ctx, token)).To(Succeed())
		Eventually(column(ctx, object)).Should(Equal("1/1"))
	})
})
