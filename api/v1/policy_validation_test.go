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

package v1_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// strict is a policy that uses every field.
const strict = `
apiVersion: farpoint.dev/v1
kind: ExternalServicePolicy
metadata:
  name: strict
spec:
  namespaceSelector:
    matchLabels:
      example.com/tenant: "true"
    matchExpressions:
    - key: example.com/stage
      operator: NotIn
      values: [prod]
    - key: example.com/team
      operator: Exists
  allowedCIDRs: [10.0.0.0/8, 2001:db8::/32]
  deniedCIDRs: [10.1.0.0/16, 192.0.2.10/32]
  allowedDNSSuffixes: [example.com, xn--bcher-kva.example]
  deniedDNSSuffixes: [internal.example.com]
  allowedPorts:
  - port: 443
  - port: 8000
    endPort: 8999
  deniedPorts:
  - port: 8080
  allowedSchemes: [http, https, tcp]
  deniedSchemes: [icmp]
  minInterval: 10s
  maxEndpoints: 100
`

const (
	badRange = "must be a range of addresses such as 10.0.0.0/8"
	badKey   = "must be the key of a label"
)

var _ = Describe("a policy with every field", func() {
	It("is accepted, and reads into the Go type and back without a change", func(ctx SpecContext) {
		created := object(strict)
		Expect(k8s.Create(ctx, created)).To(Succeed())
		DeferCleanup(k8s.Delete, created)
		typed := &farpointv1.ExternalServicePolicy{}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(created), typed)).To(Succeed())
		before := typed.ResourceVersion
		Expect(k8s.Update(ctx, typed)).To(Succeed())
		Expect(typed.ResourceVersion).To(Equal(before))
	})
})

var _ = DescribeTable("a mutation of a policy",
	func(ctx SpecContext, path string, value any, message string) {
		mutated := object(strict)
		set(mutated, path, value)
		err := k8s.Create(ctx, mutated)
		if message == "" {
			Expect(err).NotTo(HaveOccurred())
			Expect(k8s.Delete(ctx, mutated)).To(Succeed())
			return
		}
		Expect(err).To(MatchError(ContainSubstring(message)))
	},
	Entry("no selector", "spec", map[string]any{"maxEndpoints": 1}, "spec.namespaceSelector: Required value"),
	Entry("all namespaces", "spec.namespaceSelector", map[string]any{}, ""),
	Entry("label key", "spec.namespaceSelector.matchLabels", map[string]any{"a b": "c"}, "matchLabels must have qualified names as keys"),
	Entry("label value", "spec.namespaceSelector.matchLabels", map[string]any{"a": "b c"}, "and label values as values"),
	Entry("expression key", "spec.namespaceSelector.matchExpressions.0.key", "a b", badKey),
	Entry("expression operator", "spec.namespaceSelector.matchExpressions.0.operator", "Equals", "Unsupported value"),
	Entry("expression value", "spec.namespaceSelector.matchExpressions.0.values", []any{"-"}, "must be the value of a label"),
	Entry("values with Exists", "spec.namespaceSelector.matchExpressions.1.values", []any{"a"}, "set values with In and NotIn, and omit them with Exists"),
	Entry("no values with NotIn", "spec.namespaceSelector.matchExpressions.0.values", []any{}, "set values with In and NotIn"),

	Entry("no range", "spec.allowedCIDRs", []any{"ten"}, badRange),
	Entry("an address", "spec.allowedCIDRs", []any{"10.0.0.1"}, badRange),
	Entry("bits beyond the length", "spec.deniedCIDRs", []any{"10.0.0.1/8"}, badRange),
	Entry("a length too long", "spec.deniedCIDRs", []any{"10.0.0.0/33"}, badRange),
	Entry("IPv4 mapped into IPv6", "spec.deniedCIDRs", []any{"::ffff:10.0.0.0/104"}, badRange),
	Entry("octal", "spec.deniedCIDRs", []any{"010.0.0.0/8"}, badRange),
	Entry("an empty list, which would allow nothing", "spec.allowedCIDRs", []any{}, "should have at least 1 items"),
	Entry("twice", "spec.allowedCIDRs", []any{"10.0.0.0/8", "10.0.0.0/8"}, "Duplicate value"),
	Entry("allowed and denied", "spec.deniedCIDRs", []any{"10.0.0.0/8"}, "a range is in allowedCIDRs and in deniedCIDRs"),
	Entry("as many ranges as there may be", "spec.allowedCIDRs", ranges(64), ""),
	Entry("too many ranges", "spec.allowedCIDRs", ranges(65), "must have at most 64 items"),

	Entry("a name with a dot before it", "spec.allowedDNSSuffixes", []any{".example.com"}, "should match"),
	Entry("a wildcard", "spec.allowedDNSSuffixes", []any{"*.example.com"}, "should match"),
	Entry("a name with a dot behind it", "spec.allowedDNSSuffixes", []any{"example.com."}, "should match"),
	Entry("a name in capitals", "spec.allowedDNSSuffixes", []any{"Example.com"}, "should match"),
	Entry("a name that is too long", "spec.allowedDNSSuffixes", []any{strings.Repeat("a", 254)}, "Too long"),
	Entry("a name allowed and denied", "spec.allowedDNSSuffixes", []any{"internal.example.com"}, "a name is in allowedDNSSuffixes and in deniedDNSSuffixes"),

	Entry("port 0", "spec.allowedPorts", []any{map[string]any{"port": 0}}, "should be greater than or equal to 1"),
	Entry("a port as text", "spec.allowedPorts", []any{map[string]any{"port": "443"}}, "must be of type integer"),
	Entry("a range the wrong way round", "spec.deniedPorts", []any{map[string]any{"port": 9000, "endPort": 8000}}, "endPort must not be below port"),
	Entry("a range of one", "spec.deniedPorts", []any{map[string]any{"port": 9000, "endPort": 9000}}, ""),
	Entry("a scheme that there is not", "spec.allowedSchemes", []any{"ftp"}, "Unsupported value"),

	Entry("interval 0", "spec.minInterval", "0s", "must be a duration from 500ms to 1h"),
	Entry("the longest interval", "spec.minInterval", "1h", ""),
	Entry("no endpoints at all", "spec.maxEndpoints", 0, ""),
	Entry("less than none", "spec.maxEndpoints", -1, "should be greater than or equal to 0"),
)

func ranges(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = fmt.Sprintf("172.16.%d.0/24", i)
	}
	return list
}
