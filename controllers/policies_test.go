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
	"net"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// tenant returns a namespace with a label by which policyFor selects it.
func tenant(ctx SpecContext) string {
	GinkgoHelper()
	namespace := newNamespace(ctx)
	labelled(ctx, namespace, map[string]string{"tenant": namespace})
	return namespace
}

// policyFor creates a policy for this tenant alone.
func policyFor(ctx SpecContext, namespace, name string, change func(*farpointv1.ExternalServicePolicySpec)) *farpointv1.ExternalServicePolicy {
	GinkgoHelper()
	return newPolicy(ctx, name+"-"+namespace, func(spec *farpointv1.ExternalServicePolicySpec) {
		spec.NamespaceSelector.MatchLabels = map[string]farpointv1.LabelValue{"tenant": farpointv1.LabelValue(namespace)}
		change(spec)
	})
}

// editPolicy changes the spec of a policy as it is now.
func editPolicy(ctx SpecContext, object *farpointv1.ExternalServicePolicy, change func(*farpointv1.ExternalServicePolicySpec)) {
	GinkgoHelper()
	Eventually(func() error {
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		change(&object.Spec)
		return k8s.Update(ctx, object)
	}).Should(Succeed())
}

const (
	acceptedAll = "True " + farpointv1.EndpointsAcceptedReason
	notAllowed  = "False " + farpointv1.NotAllowedByPolicyReason
)

var _ = Describe("policies", func() {
	// api has the endpoints 192.0.2.10 and 192.0.2.11, both well.
	api := func(ctx SpecContext, namespace string) *farpointv1.ExternalService {
		GinkgoHelper()
		object := externalService(namespace, "api", newBackend().url(), newBackend().url())
		create(ctx, service(namespace, "api"), object)
		Eventually(column(ctx, object)).Should(Equal("2/2"))
		return object
	}
	both := map[string]string{"192.0.2.10": "TTF", "192.0.2.11": "TTF"}
	first := map[string]string{"192.0.2.10": "TTF"}

	It("take effect on what runs, in the namespaces that they select, and end with themselves", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, other := tenant(ctx), tenant(ctx)
		object, neighbour := api(ctx, namespace), api(ctx, other)
		start := time.Now()
		policy := policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.DeniedCIDRs = []farpointv1.CIDR{"192.0.2.11/32"}
		})
		Eventually(conditions(ctx, namespace, "api")).Should(Equal(first))
		Expect(time.Since(start)).To(BeNumerically("<", 2*time.Second))
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal(notAllowed))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(Equal(fmt.Sprintf(
			"1 of 2 endpoints rejected: spec.endpoints[1] (192.0.2.11): the address 192.0.2.11 is not allowed by ExternalServicePolicy %s: choose another one, or have the policy changed", policy.Name)))
		Expect(condition(ctx, object, farpointv1.StalledCondition)()).To(Equal("True " + farpointv1.NotAllowedByPolicyReason))
		Expect(now(ctx, object).Status.Endpoints[1]).To(And(HaveField("Health", farpointv1.EndpointRejected), HaveField("Reason", farpointv1.NotAllowedByPolicyReason)))
		Expect(conditions(ctx, other, "api")()).To(Equal(both))

		By("an edit of the policy")
		editPolicy(ctx, policy, func(spec *farpointv1.ExternalServicePolicySpec) { spec.DeniedCIDRs = nil })
		Eventually(conditions(ctx, namespace, "api")).Should(Equal(both))
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal(acceptedAll))
		editPolicy(ctx, policy, func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.DeniedPorts = []farpointv1.PolicyPort{{Port: 8080}}
		})
		Eventually(conditions(ctx, namespace, "api")).Should(BeEmpty())

		By("a namespace that is another one's now")
		labelled(ctx, namespace, map[string]string{"tenant": ""})
		Eventually(conditions(ctx, namespace, "api")).Should(Equal(both))
		labelled(ctx, namespace, map[string]string{"tenant": namespace})
		Eventually(conditions(ctx, namespace, "api")).Should(BeEmpty())

		By("the policy's end")
		Expect(k8s.Delete(ctx, policy)).To(Succeed())
		Eventually(conditions(ctx, namespace, "api")).Should(Equal(both))
		Expect(conditions(ctx, other, "api")()).To(Equal(both))
		Expect(now(ctx, neighbour).Status.Conditions).NotTo(ContainElement(HaveField("Reason", farpointv1.NotAllowedByPolicyReason)))
	})

	It("hold from the start", func(ctx SpecContext) {
		namespace := tenant(ctx)
		policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.AllowedCIDRs = []farpointv1.CIDR{"192.0.2.10/32"}
		})
		hidden := newBackend()
		object := externalService(namespace, "api", hidden.url())
		create(ctx, service(namespace, "api"), object)
		startOperator(adminConfig)
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal(notAllowed))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(ContainSubstring("healthCheckURL leads to an address that probes may not connect to: the address 127.0.0.1 is not allowed by ExternalServicePolicy"))
		Expect(hidden.probes.Load()).To(BeZero())
		Expect(slicesFor(ctx, namespace, "api")).To(BeEmpty())
	})

	It("apply to where names lead when a probe is made", func(ctx SpecContext) {
		addresses, err := net.DefaultResolver.LookupHost(ctx, "localhost")
		Expect(err).NotTo(HaveOccurred())
		Expect(addresses).To(ContainElement("127.0.0.1"))
		startOperator(adminConfig)
		namespace, hidden := tenant(ctx), newBackend()
		policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.DeniedCIDRs = []farpointv1.CIDR{"127.0.0.0/8", "::1/128"}
			spec.AllowedDNSSuffixes = []farpointv1.DNSSuffix{"localhost"}
		})
		at, err := url.Parse(hidden.URL)
		Expect(err).NotTo(HaveOccurred())
		object := externalService(namespace, "api", farpointv1.HealthCheckURL("http://localhost:"+at.Port()+"/"), farpointv1.HealthCheckURL("http://example.com:"+at.Port()+"/"))
		create(ctx, service(namespace, "api"), object)
		Eventually(func() []farpointv1.EndpointStatus { return now(ctx, object).Status.Endpoints }).Should(HaveExactElements(
			And(HaveField("Reason", "AddressRefused"), HaveField("Health", farpointv1.EndpointUnhealthy)),
			HaveField("Message", ContainSubstring("the name example.com is not allowed by")),
		))
		Expect(hidden.probes.Load()).To(BeZero())
	})

	It("slow probes down that are made too often", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backend := tenant(ctx), newBackend()
		object := externalService(namespace, "api", backend.url())
		create(ctx, service(namespace, "api"), object)
		Eventually(func() int64 { return backend.probes.Load() }).Should(BeNumerically(">", 3))
		policy := policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.MinInterval = &metav1.Duration{Duration: time.Hour}
		})
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal(notAllowed))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(Equal("healthCheckInterval 500ms is shorter than the 1h0m0s that ExternalServicePolicy " + policy.Name + " allows, and is replaced by that: lengthen it"))
		before := backend.probes.Load()
		Consistently(func() int64 { return backend.probes.Load() - before }, 2*time.Second).Should(BeNumerically("<=", 2), "one under way, and the first by the new interval")
		Expect(conditions(ctx, namespace, "api")()).To(Equal(first), "nothing is taken out for it")

		editPolicy(ctx, policy, func(spec *farpointv1.ExternalServicePolicySpec) { spec.MinInterval = nil })
		Eventually(func() int64 { return backend.probes.Load() - before }).Should(BeNumerically(">", 5))
		Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Published"))
	})

	It("bound the endpoints of a namespace, of which the oldest come first", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := tenant(ctx)
		object := api(ctx, namespace)
		policy := policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) { spec.MaxEndpoints = new(int32(3)) })
		// The name decides if both are created within the same second.
		later := externalService(namespace, "later", newBackend().url(), newBackend().url())
		later.Spec.Endpoints[0].Address, later.Spec.Endpoints[1].Address = "198.51.100.10", "198.51.100.11"
		create(ctx, service(namespace, "later"), later)
		Eventually(column(ctx, later)).Should(Equal("1/2"))
		Expect(message(ctx, later, farpointv1.EndpointsAcceptedCondition)).To(ContainSubstring("spec.endpoints[1] (198.51.100.11): the ExternalServices of this namespace have more endpoints than the 3 that ExternalServicePolicy " + policy.Name + " allows"))
		Expect(column(ctx, object)()).To(Equal("2/2"))

		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints = spec.Endpoints[:1] })
		Eventually(column(ctx, later)).Should(Equal("2/2"))
		editPolicy(ctx, policy, func(spec *farpointv1.ExternalServicePolicySpec) { spec.MaxEndpoints = new(int32(2)) })
		Eventually(column(ctx, later)).Should(Equal("1/2"))
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(column(ctx, later)).Should(Equal("2/2"))
	})

	It("count what the names of older ExternalServices lead to", func(ctx SpecContext) {
		server := dnsmasq()
		server.Hold("192.0.2.21 db.example")
		server.Start()
		startOperator(adminConfig, resolvingBy(server.Address()))
		namespace, backend := tenant(ctx), newBackend()
		policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) { spec.MaxEndpoints = new(int32(2)) })
		older, later := byName(namespace, "by-name", backend, "db.example"), externalService(namespace, "later", backend.url())
		create(ctx, service(namespace, "by-name"), service(namespace, "later"), older, later)
		Eventually(column(ctx, later)).Should(Equal("1/1"))
		server.Hold("192.0.2.21 db.example", "192.0.2.22 db.example")
		Eventually(column(ctx, older)).Should(Equal("2/2"))
		Eventually(condition(ctx, later, farpointv1.EndpointsAcceptedCondition)).Should(Equal(notAllowed))
		server.Hold("192.0.2.22 db.example")
		Eventually(column(ctx, later)).Should(Equal("1/1"))
	})

	It("must all allow", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := tenant(ctx)
		api(ctx, namespace)
		a := policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.DeniedCIDRs = []farpointv1.CIDR{"192.0.2.10/32"}
		})
		policyFor(ctx, namespace, "b", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.AllowedCIDRs = []farpointv1.CIDR{"192.0.2.10/32", "127.0.0.0/8"}
		})
		Eventually(conditions(ctx, namespace, "api")).Should(BeEmpty())
		Expect(k8s.Delete(ctx, a)).To(Succeed())
		Eventually(conditions(ctx, namespace, "api")).Should(Equal(first))
	})

	It("allow nothing that the operator's flags and defaults refuse", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := tenant(ctx)
		policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.AllowedCIDRs = []farpointv1.CIDR{"0.0.0.0/0", "169.254.169.254/32", "10.0.0.77/32"}
		})
		object := externalService(namespace, "api", "tcp://169.254.169.254:80", "http:///")
		object.Spec.Endpoints[1].Address = "10.0.0.77" // a Service's
		create(ctx, service(namespace, "api"), object)
		Eventually(func() []farpointv1.EndpointStatus { return now(ctx, object).Status.Endpoints }).Should(HaveExactElements(
			HaveField("Message", ContainSubstring("169.254.169.254 is a cloud metadata address")),
			HaveField("Message", ContainSubstring("10.0.0.77 is a Service of this cluster")),
		))
	})

	It("apply also to suspended objects, and to those with faults", func(ctx SpecContext) {
		startOperator(adminConfig)
		for what, change := range map[string]func(*farpointv1.ExternalServiceSpec){
			"suspended": func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = true },
			"with a faulty health check": func(spec *farpointv1.ExternalServiceSpec) {
				spec.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{ExpectedBody: "("}
			},
			"with URLs that are a slip": func(spec *farpointv1.ExternalServiceSpec) {
				spec.Endpoints[0].HealthCheckURL, spec.Endpoints[1].HealthCheckURL = forbiddenURL, forbiddenURL
			},
			"with a legacy to keep, idle": func(spec *farpointv1.ExternalServiceSpec) { spec.PublishEndpoints = true },
		} {
			By(what)
			namespace := tenant(ctx)
			object := api(ctx, namespace)
			edit(ctx, object, change)
			Eventually(func() bool {
				present := now(ctx, object)
				ready := meta.FindStatusCondition(present.Status.Conditions, farpointv1.ReadyCondition)
				return ready != nil && ready.ObservedGeneration == present.Generation
			}).Should(BeTrue())
			if strings.Contains(what, "legacy") {
				Eventually(legacy(ctx, namespace, "api")).Should(Equal("http 8080: 192.0.2.10 192.0.2.11"))
				edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Suspend = true })
				Eventually(condition(ctx, object, farpointv1.ReadyCondition)).Should(Equal("True Suspended"))
			}
			Expect(conditions(ctx, namespace, "api")()).To(Equal(both))
			policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
				spec.DeniedCIDRs = []farpointv1.CIDR{"192.0.2.11/32"}
			})
			Eventually(conditions(ctx, namespace, "api")).Should(Equal(first))
			Eventually(column(ctx, object)).Should(Equal("1/2"))
			if strings.Contains(what, "legacy") {
				Eventually(legacy(ctx, namespace, "api")).Should(Equal("http 8080: 192.0.2.10"))
			}
		}
	})

	DescribeTable("end probes that go on unchanged, which may lead anywhere", func(ctx SpecContext, leave func(SpecContext, *farpointv1.ExternalService), kind, why string) {
		startOperator(adminConfig)
		namespace, backend := tenant(ctx), newBackend()
		at, err := url.Parse(backend.URL)
		Expect(err).NotTo(HaveOccurred())
		object := externalService(namespace, "api", farpointv1.HealthCheckURL("http://localhost:"+at.Port()+"/"))
		create(ctx, service(namespace, "api"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		leave(ctx, object)
		Eventually(condition(ctx, object, kind)).Should(Equal("False " + why))
		before := backend.probes.Load()
		Eventually(func() int64 { return backend.probes.Load() }).Should(BeNumerically(">", before+1), "it is probed as it was")
		policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.DeniedDNSSuffixes = []farpointv1.DNSSuffix{"localhost"}
		})
		Eventually(func() bool {
			seen := backend.probes.Load()
			time.Sleep(700 * time.Millisecond) // longer than the interval
			return backend.probes.Load() == seen
		}).Should(BeTrue())
		Eventually(conditions(ctx, namespace, "api")).Should(BeEmpty())
	},
		Entry("after a slip in the URL, and take the endpoint out", func(ctx SpecContext, object *farpointv1.ExternalService) {
			edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.Endpoints[0].HealthCheckURL = forbiddenURL })
		}, farpointv1.EndpointsAcceptedCondition, farpointv1.InvalidHealthCheckURLReason),
		Entry("by a Service that is gone", func(ctx SpecContext, object *farpointv1.ExternalService) {
			Expect(k8s.Delete(ctx, service(object.Namespace, object.Name))).To(Succeed())
		}, farpointv1.TargetServiceResolvedCondition, farpointv1.ServiceNotFoundReason),
	)

	It("show what they select", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, other := tenant(ctx), newNamespace(ctx)
		object := api(ctx, namespace)
		policy := policyFor(ctx, namespace, "a", func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.MinInterval, spec.MaxEndpoints = &metav1.Duration{Duration: 500 * time.Millisecond}, new(int32(100))
		})
		line := func() string { return row(kubectl(ctx, "", "get", "extsvcpol", policy.Name, "--no-headers")) }
		Eventually(line).Should(Equal(policy.Name + " 1 1 500ms 100 True"))
		labelled(ctx, other, map[string]string{"tenant": namespace})
		create(ctx, externalService(other, "api", "tcp://"))
		Eventually(line).Should(Equal(policy.Name + " 2 2 500ms 100 True"))
		Expect(k8s.Delete(ctx, object)).To(Succeed())
		Eventually(line).Should(Equal(policy.Name + " 2 1 500ms 100 True"))
		labelled(ctx, namespace, map[string]string{"tenant": ""})
		Eventually(line).Should(Equal(policy.Name + " 1 1 500ms 100 True"))
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(policy), policy)).To(Succeed())
		Expect(policy.Status.ObservedGeneration).To(Equal(policy.Generation))
		Expect(meta.FindStatusCondition(policy.Status.Conditions, farpointv1.ReadyCondition).Reason).To(Equal(farpointv1.EnforcedReason))
	})
})
