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
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// slowWebhook is an admission webhook that delays the EndpointSlices of one namespace, and allows
// them all.
type slowWebhook struct {
	// waiting counts the requests that it has not answered yet.
	waiting atomic.Int32
}

// startSlowWebhook makes the API server call it until the spec ends.
func startSlowWebhook(ctx SpecContext, namespace string, takes time.Duration) *slowWebhook {
	GinkgoHelper()
	webhook, ended := &slowWebhook{}, make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		webhook.waiting.Add(1)
		defer webhook.waiting.Add(-1)
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(request.Body).Decode(review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(takes):
		case <-ended:
		case <-request.Context().Done():
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	}))
	DeferCleanup(server.Close)
	none := admissionregistrationv1.SideEffectClassNone
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "slow.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"discovery.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"endpointslices"}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			SideEffects:             &none,
			AdmissionReviewVersions: []string{"v1"},
			TimeoutSeconds:          new(int32(30)),
		}},
	}
	create(ctx, configuration)
	DeferCleanup(func(ctx SpecContext) {
		close(ended)
		Expect(client.IgnoreNotFound(k8s.Delete(ctx, configuration))).To(Succeed())
	})
	return webhook
}

var _ = Describe("a tenant whose admission webhook is slow", func() {
	It("does not hold up another tenant's changes of health", func(ctx SpecContext) {
		startOperator(adminConfig)
		slow, quick, backend, healthy := newNamespace(ctx), newNamespace(ctx), newBackend(), newBackend()
		object := externalService(quick, "quick", backend.url())
		create(ctx, service(quick, "quick"), object)
		Eventually(conditions(ctx, quick, "quick")).Should(Equal(map[string]string{"192.0.2.10": "TTF"}))
		flip := func() time.Duration {
			GinkgoHelper()
			status, want := http.StatusServiceUnavailable, "FFF"
			if conditions(ctx, quick, "quick")()["192.0.2.10"] == "FFF" {
				status, want = http.StatusOK, "TTF"
			}
			start := time.Now()
			backend.status.Store(int32(status))
			Eventually(conditions(ctx, quick, "quick"), "60s").Should(Equal(map[string]string{"192.0.2.10": want}))
			return time.Since(start)
		}
		alone := max(flip(), flip())

		const takes, objects = 8 * time.Second, 40
		webhook := startSlowWebhook(ctx, slow, takes)
		// The API server does not use a new webhook at once.
		Eventually(func() error {
			hurried, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: slow, Name: "first"}, AddressType: discoveryv1.AddressTypeIPv4}
			return k8s.Create(hurried, slice, client.DryRunAll)
		}).Should(MatchError(context.DeadlineExceeded))
		Eventually(webhook.waiting.Load).Should(BeZero())
		for i := range objects {
			name := fmt.Sprint("slow-", i)
			create(ctx, service(slow, name), externalService(slow, name, healthy.url()))
		}
		Eventually(webhook.waiting.Load).Should(BeNumerically(">", 0), "a write waits")
		for range 3 {
			took := flip()
			AddReportEntry("a change of health was published after", fmt.Sprintf("%v, alone %v", took, alone))
			Expect(took).To(BeNumerically("<", alone+takes/2))
		}
		Expect(webhook.waiting.Load()).To(BeNumerically(">", 0), "the webhook is still slow")
		Eventually(conditions(ctx, slow, "slow-0"), "60s").Should(Equal(map[string]string{"192.0.2.10": "TTF"}), "the slow tenant is served as well")
	}, SpecTimeout(4*time.Minute))
})
