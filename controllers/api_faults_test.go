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
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// failing makes requests fail as the fault says: by a refusal of the API server, if it is one,
// and otherwise without an answer.
func failing(config *rest.Config, fault func(*http.Request) error) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			err := fault(request)
			var refused apierrors.APIStatus
			switch {
			case err == nil:
				return next.RoundTrip(request)
			case !errors.As(err, &refused):
				return nil, err
			}
			status := refused.Status()
			status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
			text, err := json.Marshal(status)
			return &http.Response{
				StatusCode: int(status.Code), Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(bytes.NewReader(text)), Request: request,
			}, err
		})
	})
	return config
}

var _ = Describe("an API server that does not answer", func() {
	DescribeTable("is not reported as a fault of an ExternalService, which waits for it", func(ctx SpecContext, method, path string) {
		var away atomic.Bool
		var unanswered atomic.Int32
		startOperator(failing(adminConfig, func(request *http.Request) error {
			if away.Load() && request.Method == method && strings.Contains(request.URL.Path, path) {
				unanswered.Add(1)
				return syscall.ECONNREFUSED
			}
			return nil
		}))
		namespace, backend, tlsBackend := newNamespace(ctx), newBackend(), newTLSBackend()
		object := publishing(namespace, "patient", backend.url())
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		object.Spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{FollowRedirects: true}
		object.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{CAConfigMapRef: &farpointv1.KeyReference{Name: "ca", Key: "ca.crt"}}
		create(ctx, loginSecret(namespace, corev1.SecretTypeOpaque, map[string]string{"token": "x"}))
		create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, Data: map[string]string{"ca.crt": tlsBackend.authority()}})
		create(ctx, service(namespace, "patient"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		before := now(ctx, object).Status

		away.Store(true)
		backend.status.Store(http.StatusServiceUnavailable)
		Eventually(unanswered.Load).Should(BeNumerically(">=", 2), "it tries again")
		Expect(now(ctx, object).Status).To(Equal(before), "nobody knows anything new")
		away.Store(false)
		Eventually(legacy(ctx, namespace, "patient")).Should(Equal("http 8080: / 192.0.2.10"))
		Eventually(column(ctx, object)).Should(Equal("0/1"))
		Expect(notes(ctx, object)()).NotTo(ContainElement(Or(
			ContainSubstring(farpointv1.WriteFailedReason), ContainSubstring(farpointv1.CredentialsUnavailableReason), ContainSubstring(farpointv1.CertificatesUnavailableReason),
		)))
	},
		Entry("about a slice", http.MethodPut, "/endpointslices/"),
		Entry("about an Endpoints object", http.MethodPut, "/endpoints/"),
	)
})
