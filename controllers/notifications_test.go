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
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

// hook records the CloudEvents that are posted to it, once each, as their type and subject.
type hook struct {
	*httptest.Server
	// away makes it refuse all posts.
	away   atomic.Bool
	mu     sync.Mutex
	events []map[string]any
}

// newHook returns a hook that requires this bearer token; empty for none.
func newHook(token string) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		defer GinkgoRecover()
		Expect(request.Method + " " + request.Header.Get("Content-Type")).To(Equal("POST application/cloudevents+json; charset=utf-8"))
		if token != "" {
			Expect(request.Header.Get("Authorization")).To(Equal("Bearer " + token))
		}
		if h.away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(request.Body)
		Expect(err).NotTo(HaveOccurred())
		event := map[string]any{}
		Expect(json.Unmarshal(body, &event)).To(Succeed())
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events = append(h.events, event)
	}))
	DeferCleanup(h.Close)
	return h
}

func (h *hook) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var heard []string
	known := map[any]bool{}
	for _, event := range h.events {
		if !known[event["id"]] {
			known[event["id"]] = true
			line := fmt.Sprintf("%v %v", event["type"], event["subject"])
			if strings.HasSuffix(event["source"].(string), "/gone") {
				line += " gone"
			}
			heard = append(heard, line)
		}
	}
	return heard
}

// repeated are the ids of the events that were posted more than once.
func (h *hook) repeated() []any {
	h.mu.Lock()
	defer h.mu.Unlock()
	var twice []any
	known := map[any]bool{}
	for _, event := range h.events {
		if known[event["id"]] {
			twice = append(twice, event["id"])
		}
		known[event["id"]] = true
	}
	return twice
}

var _ = Describe("A webhook", func() {
	It("gets CloudEvents, once each according to their ids", func(ctx SpecContext) {
		receiver, folder := newHook("swordfish"), GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(folder, "http.yaml"), []byte("authorization: {credentials_file: token}\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(folder, "token"), []byte("swordfish"), 0o600)).To(Succeed())
		receive := func(options *controllers.Options) {
			options.WebhookURLs, options.WebhookHTTPConfig = []string{receiver.URL + "/events"}, filepath.Join(folder, "http.yaml")
		}
		running := startOperator(adminConfig, receive)
		namespace, first, second := newNamespace(ctx), newBackend(), newBackend()
		object := externalService(namespace, "db", first.url(), second.url())
		create(ctx, service(namespace, "db"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		Expect(receiver.heard()).To(BeEmpty())

		second.status.Store(http.StatusServiceUnavailable)
		Eventually(receiver.heard).Should(Equal([]string{"dev.farpoint.endpoint.down 192.0.2.11:8080"}))
		receiver.mu.Lock()
		event := receiver.events[0]
		receiver.mu.Unlock()
		Expect(event).To(And(
			HaveKeyWithValue("specversion", "1.0"),
			HaveKeyWithValue("source", "/apis/farpoint.dev/v1/namespaces/"+namespace+"/externalservices/db"),
			HaveKeyWithValue("time", now(ctx, object).Status.Endpoints[1].LastTransitionTime.UTC().Format(time.RFC3339)),
			HaveKeyWithValue("data", And(
				HaveKeyWithValue("namespace", namespace), HaveKeyWithValue("externalService", "db"), HaveKeyWithValue("endpoint", "192.0.2.11:8080"), HaveKeyWithValue("address", "192.0.2.11"),
				HaveKeyWithValue("severity", "warning"), HaveKeyWithValue("reason", "UnexpectedStatus"), HaveKeyWithValue("message", "status 503 is not an expected one"),
			)),
		))
		running.stop()
		startOperator(adminConfig, receive)
		first.status.Store(http.StatusServiceUnavailable)
		Eventually(receiver.heard).Should(ConsistOf("dev.farpoint.endpoint.down 192.0.2.11:8080", "dev.farpoint.endpoint.down 192.0.2.10:8080", "dev.farpoint.service.unavailable <nil>"))
		second.status.Store(http.StatusOK)
		Eventually(receiver.heard).Should(ContainElements("dev.farpoint.endpoint.up 192.0.2.11:8080", "dev.farpoint.service.available <nil>"))
	})

	It("reports that traffic goes to unhealthy endpoints, although enough are healthy", func(ctx SpecContext) {
		receiver, folder := newHook("swordfish"), GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(folder, "http.yaml"), []byte("authorization: {credentials: swordfish}\n"), 0o600)).To(Succeed())
		startOperator(adminConfig, func(options *controllers.Options) {
			options.WebhookURLs, options.WebhookHTTPConfig = []string{receiver.URL + "/events"}, filepath.Join(folder, "http.yaml")
		})
		namespace, first, second := newNamespace(ctx), newBackend(), newBackend()
		object := externalService(namespace, "db", first.url(), second.url())
		object.Spec.Availability.MinHealthyPercent = 100
		create(ctx, service(namespace, "db"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		second.status.Store(http.StatusServiceUnavailable)
		Eventually(receiver.heard).Should(ConsistOf("dev.farpoint.endpoint.down 192.0.2.11:8080", "dev.farpoint.service.failopen <nil>"))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(HavePrefix("True"))
		second.status.Store(http.StatusOK)
		Eventually(receiver.heard).Should(ContainElements("dev.farpoint.endpoint.up 192.0.2.11:8080", "dev.farpoint.service.failopen.ended <nil>"))
	})

	It("gets the end of what was posted to it, whichever replica leads by then", func(ctx SpecContext) {
		receiver, system := newHook(""), newNamespace(ctx)
		receive := func(options *controllers.Options) {
			options.WebhookURLs, options.LeaderElectionNamespace = []string{receiver.URL}, system
		}
		running := startOperator(adminConfig, receive)
		namespace := newNamespace(ctx)
		recovers, leaves, stays := newBackend(), newBackend(), newBackend()
		object := externalService(namespace, "db", recovers.url(), leaves.url(), stays.url())
		deleted := externalService(namespace, "gone", leaves.url())
		create(ctx, service(namespace, "db"), object, service(namespace, "gone"), deleted)
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		Eventually(column(ctx, deleted)).Should(Equal("1/1"))
		recovers.status.Store(http.StatusServiceUnavailable)
		leaves.status.Store(http.StatusServiceUnavailable)
		Eventually(receiver.heard).Should(ConsistOf(
			"dev.farpoint.endpoint.down 192.0.2.10:8080", "dev.farpoint.endpoint.down 192.0.2.11:8080",
			"dev.farpoint.endpoint.down 192.0.2.10:8080 gone", "dev.farpoint.service.unavailable <nil> gone",
		))

		By("a recovery that it does not take, and a new leader")
		receiver.away.Store(true)
		recovers.status.Store(http.StatusOK)
		Eventually(column(ctx, object)).Should(Equal("2/3"))
		running.stop()
		receiver.away.Store(false)

		By("a removal and a deletion while there is no leader")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints = append(spec.Endpoints[:1:1], spec.Endpoints[2:]...)
		})
		Expect(k8s.Delete(ctx, deleted)).To(Succeed())
		before := len(receiver.heard())
		startOperator(adminConfig, receive)
		Eventually(func() []string { return receiver.heard()[before:] }).Should(ConsistOf(
			"dev.farpoint.endpoint.up 192.0.2.10:8080", "dev.farpoint.endpoint.unwatched 192.0.2.11:8080",
			"dev.farpoint.endpoint.unwatched 192.0.2.10:8080 gone", "dev.farpoint.service.unwatched <nil> gone",
		))

		By("a suspension")
		stays.status.Store(http.StatusServiceUnavailable)
		Eventually(receiver.heard).Should(ContainElement("dev.farpoint.endpoint.down 192.0.2.12:8080"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = true })
		Eventually(receiver.heard).Should(ContainElement("dev.farpoint.endpoint.unwatched 192.0.2.12:8080"))
		Expect(receiver.heard()).NotTo(ContainElement("dev.farpoint.endpoint.up 192.0.2.12:8080"))
		Expect(receiver.repeated()).To(BeEmpty(), "a restart repeats nothing that was delivered")
	})
})
