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
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var _ = Describe("certificates", func() {
	It("are trusted by reference, and awaited while the reference does not resolve", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		server := httptest.NewTLSServer(http.NotFoundHandler())
		DeferCleanup(server.Close)
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))

		object := externalService(namespace, "secure", farpointv1.HealthCheckURL(server.URL))
		object.Spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{ExpectedStatuses: []string{"404"}}
		create(ctx, service(namespace, "secure"), object)
		Eventually(condition(ctx, object, farpointv1.DegradedCondition)).Should(Equal("True EndpointsUnhealthy"))
		Expect(now(ctx, object).Status.Endpoints[0].Reason).To(Equal("CertificateInvalid"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{ServerName: "example.com", CASecretRef: &farpointv1.KeyReference{Name: "ca"}}
		})
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False CertificatesUnavailable"))
		Expect(condition(ctx, object, farpointv1.ReconcilingCondition)()).To(Equal("True CertificatesUnavailable"))
		Expect(conditions(ctx, namespace, "secure")()).To(Equal(map[string]string{"192.0.2.10": "FFF"}), "what is published stays")

		create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, StringData: map[string]string{"ca.crt": ca}})
		// A Secret is not watched: it is read after the next edit, or after some seconds.
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.FailureThreshold = 2 })
		Eventually(column(ctx, object)).Should(Equal("1/1"))

		By("from a ConfigMap as well")
		create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cas"}, Data: map[string]string{"bundle": ca, "rubbish": "x"}})
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.HealthCheck.TLS.CASecretRef = nil
			spec.HealthCheck.TLS.CAConfigMapRef = &farpointv1.KeyReference{Name: "cas", Key: "bundle"}
		})
		Eventually(func() int64 { return now(ctx, object).Status.ObservedGeneration }).Should(Equal(now(ctx, object).Generation))
		Consistently(column(ctx, object)).Should(Equal("1/1"))

		By("reporting contents that are no certificate")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.TLS.CAConfigMapRef.Key = "rubbish" })
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False CertificatesUnavailable"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(ContainSubstring(`key "rubbish" of ConfigMap cas, which contains no certificate`))
		Expect(conditions(ctx, namespace, "secure")()).To(Equal(map[string]string{"192.0.2.10": "TTF"}), "what is published stays")
	})

	It("of the operator are presented to endpoints that ask for one", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		server.StartTLS()
		DeferCleanup(server.Close)

		object := externalService(namespace, "mutual", farpointv1.HealthCheckURL(server.URL))
		object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{
			InsecureSkipVerify:         true,
			ClientCertificateSecretRef: &farpointv1.SecretReference{Name: "ours"},
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ours"}, StringData: map[string]string{"tls.crt": "x", "tls.key": "y"}}
		create(ctx, secret, service(namespace, "mutual"), object)
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False CertificatesUnavailable"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(HavePrefix("healthCheck.tls refers to Secret ours, whose keys tls.crt and tls.key are not a certificate"))

		//nolint:staticcheck // a key of two primes takes seconds to find
		long, err := rsa.GenerateMultiPrimeKey(rand.Reader, 5, 4160)
		Expect(err).NotTo(HaveOccurred())
		secret.StringData = keyPair(long)
		Expect(k8s.Update(ctx, secret)).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.FailureThreshold = 4 })
		Eventually(message).WithArguments(ctx, object, farpointv1.ReadyCondition).Should(ContainSubstring("which contains an RSA key of 4160 bits"))

		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		secret.StringData = keyPair(key)
		Expect(k8s.Update(ctx, secret)).To(Succeed())
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.FailureThreshold = 2 })
		Eventually(column(ctx, object)).Should(Equal("1/1"))
	})
})

// keyPair makes a certificate for clients and its key, as a Secret holds them.
func keyPair(key crypto.Signer) map[string]string {
	GinkgoHelper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	private, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return map[string]string{"tls.crt": encode("CERTIFICATE", certificate), "tls.key": encode("PRIVATE KEY", private)}
}
