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
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// admissionMarker is a label that the policies of the tests of admission look for, and
// what is not allowed by the last one of them.
const (
	admissionMarker = "example.com/admission"
	markedPort      = 1
)

// newPolicy creates a policy that is deleted at the end of the spec.
func newPolicy(ctx SpecContext, name string, change func(*farpointv1.ExternalServicePolicySpec)) *farpointv1.ExternalServicePolicy {
	GinkgoHelper()
	policy := &farpointv1.ExternalServicePolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	change(&policy.Spec)
	create(ctx, policy)
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(k8s.Delete(ctx, policy))).To(Succeed()) })
	return policy
}

// labelled adds labels to a namespace.
func labelled(ctx SpecContext, namespace string, labels map[string]string) {
	GinkgoHelper()
	present := &corev1.Namespace{}
	Expect(k8s.Get(ctx, client.ObjectKey{Name: namespace}, present)).To(Succeed())
	for key, value := range labels {
		present.Labels[key] = value
		if value == "" {
			delete(present.Labels, key)
		}
	}
	Expect(k8s.Update(ctx, present)).To(Succeed())
}

// admitted returns what the API server answers to a dry run of creating an object.
func admitted(ctx SpecContext, object *farpointv1.ExternalService) error {
	return k8s.Create(ctx, object.DeepCopy(), client.DryRunAll)
}

// policiesAreSeen waits until the API server enforces all policies created so far.
func policiesAreSeen(ctx SpecContext) {
	GinkgoHelper()
	namespace := newNamespace(ctx)
	labelled(ctx, namespace, map[string]string{admissionMarker: namespace})
	newPolicy(ctx, "last-"+namespace, func(spec *farpointv1.ExternalServicePolicySpec) {
		spec.NamespaceSelector.MatchLabels = map[string]farpointv1.LabelValue{admissionMarker: farpointv1.LabelValue(namespace)}
		spec.DeniedPorts = []farpointv1.PolicyPort{{Port: markedPort}}
	})
	refused := externalService(namespace, "marked", "tcp://")
	refused.Spec.Endpoints[0].Port = new(int32(markedPort))
	Eventually(func() error { return admitted(ctx, refused) }).Should(MatchError(ContainSubstring("port 1 is not allowed by ExternalServicePolicy last-" + namespace)))
}

var _ = Describe("admission by policies", Ordered, func() {
	BeforeAll(func(ctx SpecContext) {
		installed := rendered(ctx, "../config/policy")
		Expect(installed).To(HaveLen(2))
		apply(ctx, "", "--kustomize", "../config/policy")
		DeferCleanup(func(ctx SpecContext) { installed.remove(ctx) })
	})

	DescribeTable("says what is wrong, and what to do",
		func(ctx SpecContext, change func(*farpointv1.ExternalServicePolicySpec), edit func(*farpointv1.ExternalServiceSpec), want string) {
			namespace := newNamespace(ctx)
			labelled(ctx, namespace, map[string]string{"team": namespace})
			newPolicy(ctx, namespace, func(spec *farpointv1.ExternalServicePolicySpec) {
				spec.NamespaceSelector.MatchLabels = map[string]farpointv1.LabelValue{"team": farpointv1.LabelValue(namespace)}
				change(spec)
			})
			policiesAreSeen(ctx)
			object, elsewhere := externalService(namespace, "api", "http:///health"), externalService("default", "api", "http:///health")
			edit(&object.Spec)
			edit(&elsewhere.Spec)
			err := admitted(ctx, object)
			Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(HaveSuffix("denied request: " + fmt.Sprintf(want, namespace))))
			Expect(admitted(ctx, elsewhere)).To(Succeed(), "no policy selects the other namespace")
		},
		Entry("an address", func(policy *farpointv1.ExternalServicePolicySpec) {
			policy.AllowedCIDRs = []farpointv1.CIDR{"198.51.100.0/24"}
		},
			func(*farpointv1.ExternalServiceSpec) {}, "the address 192.0.2.10 is not allowed by ExternalServicePolicy %s: choose another one, or have the policy changed"),
		Entry("a name", func(policy *farpointv1.ExternalServicePolicySpec) {
			policy.DeniedDNSSuffixes = []farpointv1.DNSSuffix{"example.com"}
		},
			func(spec *farpointv1.ExternalServiceSpec) {
				spec.Endpoints[0].HealthCheckURL = "http://a.Example.com./"
			}, "the name a.example.com is not allowed by ExternalServicePolicy %s: choose another one, or have the policy changed"),
		Entry("a port", func(policy *farpointv1.ExternalServicePolicySpec) {
			policy.AllowedPorts = []farpointv1.PolicyPort{{Port: 1, EndPort: new(int32(1023))}}
		},
			func(*farpointv1.ExternalServiceSpec) {}, "port 8080 is not allowed by ExternalServicePolicy %s: choose another one, or have the policy changed"),
		Entry("a scheme", func(policy *farpointv1.ExternalServicePolicySpec) {
			policy.DeniedSchemes = []farpointv1.ProbeScheme{"http"}
		},
			func(*farpointv1.ExternalServiceSpec) {}, "the scheme http is not allowed by ExternalServicePolicy %s: choose another one, or have the policy changed"),
		Entry("an interval", func(policy *farpointv1.ExternalServicePolicySpec) {
			policy.MinInterval = &metav1.Duration{Duration: 90 * time.Second}
		},
			func(*farpointv1.ExternalServiceSpec) {}, "healthCheckInterval 500ms is shorter than the 1m30s that ExternalServicePolicy %s allows: lengthen it"),
		Entry("too many endpoints", func(policy *farpointv1.ExternalServicePolicySpec) { policy.MaxEndpoints = new(int32(0)) },
			func(*farpointv1.ExternalServiceSpec) {}, "1 endpoints are more than the 0 that ExternalServicePolicy %s allows the ExternalServices of a namespace: remove some, or have the policy changed"),
	)

	It("allows existing objects to be labelled, but not edited", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		labelled(ctx, namespace, map[string]string{"team": namespace})
		object := externalService(namespace, "api", "http:///health")
		create(ctx, object)
		newPolicy(ctx, namespace, func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.NamespaceSelector.MatchLabels = map[string]farpointv1.LabelValue{"team": farpointv1.LabelValue(namespace)}
			spec.DeniedPorts = []farpointv1.PolicyPort{{Port: 8080}}
		})
		policiesAreSeen(ctx)
		present := now(ctx, object)
		present.Labels = map[string]string{"a": "b"}
		Expect(k8s.Update(ctx, present)).To(Succeed())
		present.Spec.Suspend = true
		Expect(k8s.Update(ctx, present)).To(MatchError(ContainSubstring("port 8080 is not allowed")))
	})

	It("agrees with the operator about all that can be known", func(ctx SpecContext) {
		seed := uint64(GinkgoRandomSeed())
		random := rand.New(rand.NewPCG(seed, seed))
		world := newRandomPolicies(random)
		namespaces := map[string]map[string]string{}
		for range 20 {
			name, labels := newNamespace(ctx), world.labels()
			labels["round"] = "random"
			labelled(ctx, name, labels)
			namespaces[name] = labels
		}
		var policies []farpointv1.ExternalServicePolicy
		for i := range 10 {
			policies = append(policies, *newPolicy(ctx, fmt.Sprintf("random-%d", i), world.policy))
		}
		policiesAreSeen(ctx)
		names := sortedKeysOf(namespaces)
		refusals := 0
		for i := range 400 {
			object := externalService(names[i%len(names)], "random")
			world.spec(&object.Spec)
			_, others := objections(nil, nil, object)
			Expect(others).To(BeEmpty(), "the test makes specs that are in order: %+v", object.Spec)
			byPolicies, _ := objections(policies, namespaces[object.Namespace], object)
			err := admitted(ctx, object)
			if len(byPolicies) == 0 {
				Expect(err).NotTo(HaveOccurred(), "the operator has nothing to say against %+v", object.Spec)
				continue
			}
			refusals++
			Expect(err).To(MatchError(ContainSubstring("denied request: ")), "the operator says of %+v: %v", object.Spec, byPolicies)
		}
		Expect(refusals).To(And(BeNumerically(">", 20), BeNumerically("<", 380)), "one result for nearly all teaches nothing")
	})

	It("can check the largest object by the largest policy", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		labelled(ctx, namespace, map[string]string{"team": namespace})
		newPolicy(ctx, namespace, func(spec *farpointv1.ExternalServicePolicySpec) {
			spec.NamespaceSelector.MatchLabels = map[string]farpointv1.LabelValue{"team": farpointv1.LabelValue(namespace)}
			for i := range 64 {
				spec.AllowedCIDRs = append(spec.AllowedCIDRs, farpointv1.CIDR(fmt.Sprintf("10.%d.0.0/16", i)))
				spec.DeniedCIDRs = append(spec.DeniedCIDRs, farpointv1.CIDR(fmt.Sprintf("10.%d.255.0/24", i)))
			}
			for i := range 32 {
				spec.AllowedPorts = append(spec.AllowedPorts, farpointv1.PolicyPort{Port: int32(1000 + 100*i), EndPort: new(int32(1099 + 100*i))})
				spec.DeniedPorts = append(spec.DeniedPorts, farpointv1.PolicyPort{Port: int32(5000 + i)})
				spec.AllowedDNSSuffixes = append(spec.AllowedDNSSuffixes, farpointv1.DNSSuffix(fmt.Sprintf("team-%d.example.com", i)))
				spec.DeniedDNSSuffixes = append(spec.DeniedDNSSuffixes, farpointv1.DNSSuffix(fmt.Sprintf("secret.team-%d.example.com", i)))
			}
		})
		policiesAreSeen(ctx)
		object := externalService(namespace, "large")
		for i := range 1000 {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: fmt.Sprintf("10.63.%d.%d", i/250, i%250), Port: new(int32(4100 + i%99)),
				HealthCheckURL: farpointv1.HealthCheckURL(fmt.Sprintf("http://host-%d.team-31.example.com:%d/health", i, 4100+i%99)),
			})
		}
		last := &object.Spec.Endpoints[999]
		start := time.Now()
		Expect(admitted(ctx, object)).To(Succeed())
		AddReportEntry("time to admit 1,000 endpoints by 256 rules", time.Since(start))
		address := last.Address
		last.Address = "10.63.255.7"
		Expect(admitted(ctx, object)).To(MatchError(ContainSubstring("the address 10.63.255.7 is not allowed")))
		last.Address, last.HealthCheckURL = address, "http://a.secret.team-31.example.com:4100/"
		Expect(admitted(ctx, object)).To(MatchError(ContainSubstring("the name a.secret.team-31.example.com is not allowed")))
		last.HealthCheckURL = "http://a.team-31.example.com:5031/"
		Expect(admitted(ctx, object)).To(MatchError(ContainSubstring("port 5031 is not allowed")))
	})
})

func sortedKeysOf(all map[string]map[string]string) []string {
	var keys []string
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
