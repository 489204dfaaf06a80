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
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// site is many backends in one server, distinguished by the path of their URL.
type site struct {
	*httptest.Server
	down sync.Map
}

func newSite() *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if _, down := s.down.Load(request.URL.Path); down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	DeferCleanup(s.Close)
	return s
}

func (s *site) url(path string) farpointv1.HealthCheckURL {
	return farpointv1.HealthCheckURL(s.URL + path)
}

// versions maps the names of a Service's slices to their generations.
func versions(ctx context.Context, namespace, service string) map[string]int64 {
	GinkgoHelper()
	generations := map[string]int64{}
	for _, slice := range slicesFor(ctx, namespace, service) {
		generations[slice.Name] = slice.Generation
	}
	return generations
}

var _ = Describe("publishing", func() {
	It("packs 250 endpoints into 3 slices and writes one of them for one flip", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "many")
		for i := range 250 {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: fmt.Sprintf("198.51.100.%d", i+1), Port: new(int32(8080)), HealthCheckURL: backends.url(fmt.Sprintf("/%d", i)),
			})
		}
		create(ctx, service(namespace, "many"), object)
		Eventually(column(ctx, object)).Should(Equal("250/250"))
		before := versions(ctx, namespace, "many")
		Expect(before).To(HaveLen(3))
		Expect(now(ctx, object).Status.EndpointSlices).To(BeEquivalentTo(3))

		backends.down.Store("/120", true)
		Eventually(column(ctx, object)).Should(Equal("249/250"))
		Expect(conditions(ctx, namespace, "many")()).To(HaveKeyWithValue("198.51.100.121", "FFF"))
		written := int64(0)
		for name, generation := range versions(ctx, namespace, "many") {
			Expect(before).To(HaveKey(name))
			written += generation - before[name]
		}
		Expect(written).To(BeEquivalentTo(1), "one flip is one write of one slice")
	})

	It("gives address types and ports slices of their own", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "mixed")
		for i, address := range []string{"192.0.2.4", "2001:DB8:0:0::1", "192.0.2.2", "192.0.2.3"} {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: address, Port: new(int32(8080 + i/3)), HealthCheckURL: backends.url("/"),
				Zone: "eu-1", Hostname: fmt.Sprintf("db-%d", i), NodeName: "node-a",
			})
		}
		create(ctx, service(namespace, "mixed"), object)
		Eventually(column(ctx, object)).Should(Equal("4/4"))
		sizes := map[string]int{}
		for _, slice := range slicesFor(ctx, namespace, "mixed") {
			sizes[fmt.Sprintf("%s %s %d", slice.AddressType, *slice.Ports[0].Name, *slice.Ports[0].Port)] = len(slice.Endpoints)
			Expect(slice.Labels).To(HaveKeyWithValue(discoveryv1.LabelManagedBy, "externalservice-controller.farpoint.dev"))
			Expect(slice.Labels).To(HaveKeyWithValue("farpoint.dev/externalservice", "mixed"))
			for _, endpoint := range slice.Endpoints {
				Expect(*endpoint.Zone + " " + *endpoint.NodeName).To(Equal("eu-1 node-a"))
				Expect(*endpoint.Hostname).To(HavePrefix("db-"))
			}
		}
		Expect(sizes).To(Equal(map[string]int{"IPv4 http 8080": 2, "IPv6 http 8080": 1, "IPv4 http 8081": 1}))
		Expect(conditions(ctx, namespace, "mixed")()).To(HaveKey("2001:db8::1"))
	})

	It("follows the state that the spec sets", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "switch", backends.url("/a"), backends.url("/b"), backends.url("/c"))
		create(ctx, service(namespace, "switch"), object)
		Eventually(column(ctx, object)).Should(Equal("3/3"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[1].State, spec.Endpoints[2].State = farpointv1.EndpointDraining, farpointv1.EndpointDisabled
		})
		Eventually(conditions(ctx, namespace, "switch")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FTT", "192.0.2.12": "FFF"}))
		Eventually(column(ctx, object)).Should(Equal("1/3"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[1].State, spec.Endpoints[2].State = farpointv1.EndpointActive, farpointv1.EndpointActive
		})
		Eventually(column(ctx, object)).Should(Equal("3/3"))
	})

	It("repairs what somebody else changed", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "drift", backends.url("/a"), backends.url("/b"))
		create(ctx, service(namespace, "drift"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		sound := map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}

		damages := map[string]func(*discoveryv1.EndpointSlice){
			"conditions":     func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions.Ready = new(false) },
			"endpoints":      func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil },
			"address":        func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses[0] = "203.0.113.66" },
			"service label":  func(s *discoveryv1.EndpointSlice) { s.Labels[discoveryv1.LabelServiceName] = "elsewhere" },
			"owner label":    func(s *discoveryv1.EndpointSlice) { delete(s.Labels, "farpoint.dev/externalservice") },
			"manager label":  func(s *discoveryv1.EndpointSlice) { s.Labels[discoveryv1.LabelManagedBy] = "somebody" },
			"all labels":     func(s *discoveryv1.EndpointSlice) { s.Labels = nil },
			"owner referred": func(s *discoveryv1.EndpointSlice) { s.OwnerReferences = nil },
			"ports":          func(s *discoveryv1.EndpointSlice) { s.Ports[0].Port = new(int32(1)) },
		}
		for name, damage := range damages {
			By("mending " + name)
			slice := slicesFor(ctx, namespace, "drift")[0]
			damage(&slice)
			Expect(k8s.Update(ctx, &slice)).To(Succeed())
			Eventually(func(g Gomega) {
				current := slicesFor(ctx, namespace, "drift")
				g.Expect(current).To(HaveLen(1))
				g.Expect(conditions(ctx, namespace, "drift")()).To(Equal(sound))
				g.Expect(current[0].Labels).To(HaveKeyWithValue(discoveryv1.LabelManagedBy, farpointv1.ManagedBy))
				g.Expect(current[0].Labels).To(HaveKeyWithValue(farpointv1.OwnerLabel, "drift"))
				g.Expect(current[0].OwnerReferences).To(HaveLen(1))
				g.Expect(*current[0].Ports[0].Port).To(BeEquivalentTo(8080))
			}).Should(Succeed())
		}
		By("restoring what was deleted")
		Expect(k8s.DeleteAllOf(ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(namespace))).To(Succeed())
		Eventually(conditions(ctx, namespace, "drift")).Should(Equal(sound))
	})

	It("leaves slices of others alone and removes only its own", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		foreign := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "by-hand", Labels: map[string]string{
				discoveryv1.LabelServiceName: "shared", discoveryv1.LabelManagedBy: "somebody", farpointv1.OwnerLabel: "mine",
			}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.200"}}},
		}
		mine, other := externalService(namespace, "mine", backends.url("/")), externalService(namespace, "other", backends.url("/"))
		mine.Spec.TargetService, other.Spec.TargetService = &farpointv1.TargetServiceReference{Name: "shared"}, &farpointv1.TargetServiceReference{Name: "shared", Namespace: namespace}
		other.Spec.Endpoints[0].Address = "192.0.2.99"
		create(ctx, foreign, service(namespace, "shared"), mine, other)
		Eventually(column(ctx, mine)).Should(Equal("1/1"))
		Eventually(column(ctx, other)).Should(Equal("1/1"))

		Expect(k8s.Delete(ctx, mine)).To(Succeed())
		Eventually(conditions(ctx, namespace, "shared")).Should(Equal(map[string]string{"192.0.2.99": "TTF", "192.0.2.200": "---"}))
		untouched := &discoveryv1.EndpointSlice{}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(foreign), untouched)).To(Succeed())
		Expect(untouched.ResourceVersion).To(Equal(foreign.ResourceVersion))
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "shared"}, &corev1.Service{})).To(Succeed(), "a Service that was found stays")
	})

	It("reports when two objects publish the same endpoint, and when they no longer do", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		first, second := externalService(namespace, "first", backends.url("/")), externalService(namespace, "second", backends.url("/"))
		for _, object := range []*farpointv1.ExternalService{first, second} {
			object.Spec.TargetService = &farpointv1.TargetServiceReference{Name: "shared"}
		}
		create(ctx, service(namespace, "shared"), first, second)
		for _, object := range []*farpointv1.ExternalService{first, second} {
			Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("False SharedEndpoint"))
			Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		}
		Expect(message(ctx, first, farpointv1.NoConflictsCondition)).To(HavePrefix("192.0.2.10:8080 is also in ExternalService second"))
		edit(ctx, second, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].Address = "192.0.2.77" })
		for _, object := range []*farpointv1.ExternalService{first, second} {
			Eventually(condition(ctx, object, farpointv1.NoConflictsCondition)).Should(Equal("True NoConflicts"))
		}
	})

	It("keeps the other endpoints going beside bad ones", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "bad", backends.url("/good"))
		for _, address := range []string{"127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "192.0.2.10"} {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{Address: address, Port: new(int32(8080)), HealthCheckURL: backends.url("/")})
		}
		for i, url := range []farpointv1.HealthCheckURL{forbiddenURL, "http://224.0.0.1/", "http://[fe80::1]/"} {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{Address: fmt.Sprintf("192.0.2.%d", 60+i), Port: new(int32(8080)), HealthCheckURL: url})
		}
		create(ctx, service(namespace, "bad"), object)
		Eventually(column(ctx, object)).Should(Equal("1/9"))
		Expect(now(ctx, object).Status.Rejected).To(BeEquivalentTo(8))
		Expect(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)()).To(Equal("False RefusedAddress"))
		Expect(condition(ctx, object, farpointv1.StalledCondition)()).To(Equal("True RefusedAddress"))
		Expect(condition(ctx, object, farpointv1.AvailableCondition)()).To(Equal("True EndpointsReady"))
		Expect(conditions(ctx, namespace, "bad")()).To(Equal(map[string]string{"192.0.2.10": "TTF"}))

		backends.down.Store("/good", true)
		Eventually(column(ctx, object)).Should(Equal("0/9"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[:1] })
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Expect(condition(ctx, object, farpointv1.StalledCondition)()).To(BeEmpty())
	})

	It("keeps what it publishes when an edit makes its URL invalid", func(ctx SpecContext) {
		first := startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := externalService(namespace, "slip", backends.url("/a"), backends.url("/b"))
		create(ctx, service(namespace, "slip"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[0].HealthCheckURL = forbiddenURL
			spec.Endpoints = append(spec.Endpoints, farpointv1.Endpoint{Address: "192.0.2.99", Port: new(int32(1)), HealthCheckURL: forbiddenURL})
		})
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("False InvalidHealthCheckURL"))
		Expect(message(ctx, object, farpointv1.ReadyCondition)).To(HavePrefix("1 of 3 endpoints rejected, 1 published as before: spec.endpoints[0] (192.0.2.10): "))
		Expect(column(ctx, object)()).To(Equal("2/3"))
		published := map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}
		Expect(conditions(ctx, namespace, "slip")()).To(Equal(published))

		By("over a restart")
		first.stop()
		startOperator(adminConfig)
		backends.down.Store("/b", true)
		Eventually(conditions(ctx, namespace, "slip")).Should(Equal(map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "FFF"}))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].HealthCheckURL = backends.url("/b") })
		Eventually(conditions(ctx, namespace, "slip")).Should(HaveKeyWithValue("192.0.2.10", "FFF"))
	})

	It("stops at suspend and goes on without a change of the slices", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, probed := newNamespace(ctx), newBackend()
		object := externalService(namespace, "suspended", probed.url())
		create(ctx, service(namespace, "suspended"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		before := versions(ctx, namespace, "suspended")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = true })
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Suspended"))
		asOfNow := probed.probes.Load()
		probed.status.Store(http.StatusServiceUnavailable)
		Consistently(probed.probes.Load).WithTimeout(2 * time.Second).Should(BeNumerically("<=", asOfNow+1))
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = false })
		probed.status.Store(http.StatusOK)
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
		Eventually(probed.probes.Load).Should(BeNumerically(">", asOfNow+1))
		Expect(versions(ctx, namespace, "suspended")).To(Equal(before))
	})
})
