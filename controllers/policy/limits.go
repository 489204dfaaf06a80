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

package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
)

// policyAdvice ends the message for an endpoint that a policy does not allow.
const policyAdvice = ": choose another one, or have the policy changed"

// Policy is an ExternalServicePolicy made ready to decide by.
type Policy struct {
	// Version identifies the policy and its spec.
	Version    string
	Source     string
	Namespaces labels.Selector
	rules      egress.TenantRules
	// spec has the other settings.
	spec *farpointv1.ExternalServicePolicySpec
}

// Read makes a policy ready. One with an error allows nothing in the namespaces that
// it selects, or, if it is the selector that cannot be read, selects none.
func Read(from *farpointv1.ExternalServicePolicy) (*Policy, error) {
	policy := &Policy{
		Version: fmt.Sprintf("%s/%d", from.UID, from.Generation),
		Source:  "ExternalServicePolicy " + from.Name,
		spec:    from.Spec.DeepCopy(),
	}
	var err error
	if policy.Namespaces, err = selectorOf(&from.Spec.NamespaceSelector); err != nil {
		policy.Namespaces = labels.Nothing()
		return policy, fmt.Errorf("spec.namespaceSelector: %w", err)
	}
	policy.rules, err = rulesFrom(&from.Spec)
	if err != nil {
		policy.rules = egress.TenantRules{DeniedCIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	}
	policy.rules.Source = policy.Source
	return policy, err
}

func selectorOf(from *farpointv1.NamespaceSelector) (labels.Selector, error) {
	selector := metav1.LabelSelector{}
	for key, value := range from.MatchLabels {
		metav1.AddLabelToSelector(&selector, key, string(value))
	}
	for _, expression := range from.MatchExpressions {
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: expression.Key, Operator: metav1.LabelSelectorOperator(expression.Operator), Values: texts(expression.Values),
		})
	}
	return metav1.LabelSelectorAsSelector(&selector)
}

func rulesFrom(spec *farpointv1.ExternalServicePolicySpec) (egress.TenantRules, error) {
	allowed, err := prefixesOf(spec.AllowedCIDRs)
	if err != nil {
		return egress.TenantRules{}, fmt.Errorf("spec.allowedCIDRs: %w", err)
	}
	denied, err := prefixesOf(spec.DeniedCIDRs)
	if err != nil {
		return egress.TenantRules{}, fmt.Errorf("spec.deniedCIDRs: %w", err)
	}
	return egress.TenantRules{
		AllowedCIDRs: allowed, DeniedCIDRs: denied,
		AllowedSuffixes: texts(spec.AllowedDNSSuffixes), DeniedSuffixes: texts(spec.DeniedDNSSuffixes),
		AllowedPorts: portRanges(spec.AllowedPorts), DeniedPorts: portRanges(spec.DeniedPorts),
		AllowedSchemes: texts(spec.AllowedSchemes), DeniedSchemes: texts(spec.DeniedSchemes),
	}, nil
}

func prefixesOf(cidrs []farpointv1.CIDR) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, len(cidrs))
	for i, cidr := range cidrs {
		var err error
		if prefixes[i], err = ParsePrefix(string(cidr)); err != nil {
			return nil, err
		}
	}
	return prefixes, nil
}

func portRanges(ports []farpointv1.PolicyPort) []egress.PortRange {
	ranges := make([]egress.PortRange, len(ports))
	for i, port := range ports {
		ranges[i] = egress.PortRange{First: uint16(port.Port), Last: uint16(ptr.Deref(port.EndPort, port.Port))}
	}
	return ranges
}

func texts[T ~string](from []T) []string {
	result := make([]string, len(from))
	for i := range from {
		result[i] = string(from[i])
	}
	return result
}

// Limits are what the policies that select a namespace say together: each of them must allow what
// is done there. They are never changed. They are nil for a namespace that no policy selects.
type Limits struct {
	bounds *egress.Bounds
	// Registry has the probers within the bounds.
	Registry protocol.Registry
	// Digest identifies the limits.
	Digest [sha256.Size]byte
	// slowest is the policy with the longest minInterval, and tightest the one with the
	// smallest maxEndpoints; nil if there is none.
	slowest, tightest *Policy
}

// NewLimits combines policies. Messages name them in this order.
func NewLimits(all []*Policy, dialer *transport.Dialer) *Limits {
	if len(all) == 0 {
		return nil
	}
	limits := &Limits{}
	rules := make([]egress.TenantRules, len(all))
	specs := make([]any, 0, 2*len(all))
	for i, p := range all {
		rules[i] = p.rules
		specs = append(specs, p.Source, p.spec)
		if shortest := p.spec.MinInterval; shortest != nil && shortest.Duration > limits.minInterval() {
			limits.slowest = p
		}
		if most := p.spec.MaxEndpoints; most != nil && (limits.tightest == nil || *most < *limits.tightest.spec.MaxEndpoints) {
			limits.tightest = p
		}
	}
	text, err := json.Marshal(specs)
	if err != nil {
		panic(err) // these types are marshalled in each request to the API
	}
	limits.Digest = sha256.Sum256(text)
	limits.bounds = egress.NewBounds(rules...)
	limits.Registry = protocol.NewRegistry(dialer.Within(limits.bounds))
	return limits
}

// minInterval is the shortest time from one probe to the next; 0 if none is set.
func (c *Limits) minInterval() time.Duration {
	if c == nil || c.slowest == nil {
		return 0
	}
	return c.slowest.spec.MinInterval.Duration
}

// ClampTiming keeps probes from being made more often than is allowed. The message says so if the
// interval of the spec has to be longer.
func (c *Limits) ClampTiming(timing *scheduler.Timing) (message string) {
	shortest := c.minInterval()
	if timing.Interval < shortest {
		message = fmt.Sprintf("healthCheckInterval %s is shorter than the %s that %s allows, and is replaced by that: lengthen it", timing.Interval, shortest, c.slowest.Source)
	}
	timing.Interval = max(timing.Interval, shortest)
	timing.FastInterval = max(timing.FastInterval, shortest)
	return message
}

// CheckPublished returns an error if an endpoint may not have this address and these ports.
func (c *Limits) CheckPublished(address netip.Addr, ports []discoveryv1.EndpointPort) error {
	if c == nil {
		return nil
	}
	if err := c.bounds.CheckAddress(address); err != nil {
		return err
	}
	return c.checkPorts(ports)
}

// CheckNameServer returns an error if a name server may not be asked, which counts as a dns probe
// of it.
func (c *Limits) CheckNameServer(server netip.AddrPort) error {
	if c == nil {
		return nil
	}
	err := cmp.Or(c.bounds.CheckAddress(server.Addr()), c.bounds.CheckPort(server.Port()), c.bounds.CheckScheme("dns"))
	if rejection := RejectionFor(err); rejection != nil {
		return errors.New(rejection.Message)
	}
	return err
}

// checkNames returns an error if a name that led to an endpoint is not allowed: the name of the
// spec, or the host that SRV records name.
func (c *Limits) checkNames(from *endpoint.ResolvedFrom) error {
	if from == nil {
		return nil
	}
	parsed, err := endpoint.ParseName(from.Address)
	if err != nil {
		return err
	}
	return cmp.Or(c.bounds.CheckName(parsed.Name), c.bounds.CheckName(from.Name))
}

func (c *Limits) checkPorts(ports []discoveryv1.EndpointPort) error {
	for _, port := range ports {
		if port.Port == nil {
			continue // somebody has edited the slice
		}
		if err := c.bounds.CheckPort(uint16(*port.Port)); err != nil {
			return err
		}
	}
	return nil
}

// Refusal says why an endpoint is set aside; nil if it is not. room is how many endpoints
// its ExternalService may have.
func (c *Limits) Refusal(e *endpoint.Endpoint, room int) *endpoint.Rejection {
	if c == nil {
		return nil
	}
	err := c.checkNames(e.Resolved)
	switch {
	case err != nil:
	case e.Address.IsValid():
		err = c.CheckPublished(e.Address, e.Ports.Ports)
	default:
		err = c.checkPorts(e.Ports.Ports)
	}
	if err != nil {
		return RejectionFor(err)
	}
	if c.tightest != nil && e.Index >= room {
		message := fmt.Sprintf("the ExternalServices of this namespace have more endpoints than the %d that %s allows: remove some, or have the policy changed", *c.tightest.spec.MaxEndpoints, c.tightest.Source)
		return &endpoint.Rejection{Reason: farpointv1.NotAllowedByPolicyReason, Message: message}
	}
	return nil
}

// Room returns how many endpoints an ExternalService may have besides those of older ones.
func (c *Limits) Room(owner *farpointv1.ExternalService, all []farpointv1.ExternalService) int {
	if c == nil || c.tightest == nil {
		return len(owner.Spec.Endpoints)
	}
	left := int(*c.tightest.spec.MaxEndpoints)
	for i := range all {
		if other := &all[i]; other.DeletionTimestamp == nil && other.Name != owner.Name && isOlder(other, owner) {
			left -= CountEndpoints(other)
		}
	}
	return max(left, 0)
}

// BoundsEndpoints reports whether a policy says how many endpoints there may be.
func (c *Limits) BoundsEndpoints() bool { return c != nil && c.tightest != nil }

// CountEndpoints returns how many endpoints an ExternalService has. How many endpoints its names
// lead to is known only from its status, which lags behind its spec.
func CountEndpoints(object *farpointv1.ExternalService) int {
	if endpoint.HasDNSName(&object.Spec) {
		return max(len(object.Spec.Endpoints), int(object.Status.Total))
	}
	return len(object.Spec.Endpoints)
}

func isOlder(a, b *farpointv1.ExternalService) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name)) < 0
}

// RejectionFor returns the rejection of an endpoint with this error; nil if the error is not a
// policy's.
func RejectionFor(err error) *endpoint.Rejection {
	if !errors.Is(err, egress.ErrOutOfBounds) {
		return nil
	}
	return &endpoint.Rejection{Reason: farpointv1.NotAllowedByPolicyReason, Message: err.Error() + policyAdvice}
}

// MayLeaveTarget reports whether a probe may reach other addresses than the one that is checked
// when it is prepared, by a name or a redirect.
func MayLeaveTarget(definition *protocol.Definition) bool {
	if definition.HTTP != nil && definition.HTTP.FollowRedirects {
		return true
	}
	if !definition.Address.IsValid() {
		return true
	}
	u, err := url.Parse(definition.URL)
	if err != nil || u.Hostname() == "" {
		return err != nil
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err != nil
}
