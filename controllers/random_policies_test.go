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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// randomPolicies makes policies and specs out of few parts, so that they often match.
type randomPolicies struct{ *rand.Rand }

func newRandomPolicies(random *rand.Rand) randomPolicies { return randomPolicies{random} }

func pick[T any](r randomPolicies, from ...T) T { return from[r.IntN(len(from))] }

// some picks up to n different ones; none half of the time.
func some[T comparable](r randomPolicies, n int, from ...T) []T {
	if r.IntN(2) == 0 {
		return nil
	}
	var picked []T
	for range 1 + r.IntN(n) {
		if one := pick(r, from...); !slices.Contains(picked, one) {
			picked = append(picked, one)
		}
	}
	return picked
}

func without[T comparable](list, those []T) []T {
	return slices.DeleteFunc(list, func(one T) bool { return slices.Contains(those, one) })
}

func (r randomPolicies) labels() map[string]string {
	set := map[string]string{}
	for _, key := range []string{"stage", "team"} {
		if value := pick(r, "", "a", "b", "c"); value != "" {
			set[key] = value
		}
	}
	return set
}

func (r randomPolicies) policy(spec *farpointv1.ExternalServicePolicySpec) {
	selector := &spec.NamespaceSelector
	selector.MatchLabels = map[string]farpointv1.LabelValue{"round": "random"}
	if r.IntN(2) == 0 {
		selector.MatchLabels["team"] = pick[farpointv1.LabelValue](r, "a", "b", "c")
	}
	for range 1 + r.IntN(2) {
		expression := farpointv1.LabelExpression{Key: pick(r, "stage", "team"), Operator: pick[farpointv1.LabelOperator](r, "In", "In", "NotIn", "Exists", "DoesNotExist")}
		if expression.Operator == "In" || expression.Operator == "NotIn" {
			expression.Values = []farpointv1.LabelValue{pick[farpointv1.LabelValue](r, "a", "b"), pick[farpointv1.LabelValue](r, "b", "c")}
		}
		selector.MatchExpressions = append(selector.MatchExpressions, expression)
	}
	for range 1 + r.IntN(2) {
		pick(r, r.cidrs, r.cidrs, r.suffixes, r.ports, r.schemes, r.numbers)(spec)
	}
}

func (r randomPolicies) cidrs(spec *farpointv1.ExternalServicePolicySpec) {
	all := []farpointv1.CIDR{"192.0.2.0/26", "192.0.2.16/28", "192.0.2.10/32", "192.0.2.0/24", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "2001:db8::/32", "2001:db8:1::/48", "2001:db8::1/128", "fd00::/8"}
	if spec.AllowedCIDRs = some(r, 6, all...); spec.AllowedCIDRs != nil { // or hardly anything is left
		spec.AllowedCIDRs = append(spec.AllowedCIDRs, "192.0.0.0/8", "0.0.0.0/1")
		if r.IntN(2) == 0 {
			spec.AllowedCIDRs = append(spec.AllowedCIDRs, "::/0")
		}
	}
	spec.DeniedCIDRs = without(some(r, 3, all...), spec.AllowedCIDRs)
}

func (r randomPolicies) suffixes(spec *farpointv1.ExternalServicePolicySpec) {
	all := []farpointv1.DNSSuffix{"example", "a.example", "b.a.example", "example.com", "x.example.com", "y.x.example.com"}
	spec.AllowedDNSSuffixes = some(r, 6, all...)
	spec.DeniedDNSSuffixes = without(some(r, 2, all...), spec.AllowedDNSSuffixes)
}

func (r randomPolicies) ports(spec *farpointv1.ExternalServicePolicySpec) {
	ranges := func(from, to int) (ports []farpointv1.PolicyPort) {
		for range r.IntN(3) {
			port := farpointv1.PolicyPort{Port: int32(from + r.IntN(to-from))}
			if r.IntN(2) == 0 {
				port.EndPort = new(port.Port + int32(r.IntN(10)))
			}
			ports = append(ports, port)
		}
		return ports
	}
	if spec.AllowedPorts = ranges(1, 9000); spec.AllowedPorts != nil {
		spec.AllowedPorts = append(spec.AllowedPorts, farpointv1.PolicyPort{Port: 80}, farpointv1.PolicyPort{Port: 443, EndPort: new(int32(8443 + r.IntN(2000)))})
	}
	spec.DeniedPorts = ranges(8076, 8090)
}

func (r randomPolicies) schemes(spec *farpointv1.ExternalServicePolicySpec) {
	all := []farpointv1.ProbeScheme{"dns", "grpc", "icmp", "postgres", "redis", "tls", "http", "https", "tcp"}
	if r.IntN(2) == 0 {
		spec.AllowedSchemes = all[r.IntN(4):]
	} else {
		spec.DeniedSchemes = []farpointv1.ProbeScheme{pick(r, all...)}
	}
}

func (r randomPolicies) numbers(spec *farpointv1.ExternalServicePolicySpec) {
	if r.IntN(2) == 0 {
		spec.MinInterval = &metav1.Duration{Duration: pick(r, time.Second, 10*time.Second, 61*time.Second)}
	} else {
		spec.MaxEndpoints = new(int32(2 + r.IntN(3)))
	}
}

func (r randomPolicies) address() string {
	switch r.IntN(6) {
	case 0:
		return fmt.Sprintf("10.%d.%d.%d", r.IntN(3), r.IntN(4), 1+r.IntN(20))
	case 1:
		return fmt.Sprintf("2001:db8:%x::%x", r.IntN(2), 1+r.IntN(3))
	case 2:
		return fmt.Sprintf("2001:DB8:0:0::%X", 10+r.IntN(30)) // not canonical
	}
	return fmt.Sprintf("192.0.2.%d", 1+r.IntN(80))
}

func (r randomPolicies) port() int32 {
	return pick[int32](r, 80, 443, 5432, 8080, 8081, 8085, 8443, 9000)
}

func (r randomPolicies) url() farpointv1.HealthCheckURL {
	scheme := pick(r, "dns", "grpc", "http", "https", "http", "https", "icmp", "postgres", "redis", "tcp", "tls")
	host := pick(r, "", "", "192.0.2.10", "10.1.2.3", "[2001:db8::1]", "[2001:DB8:0::1]", "www.Example.com", "y.x.example.com.", "b.a.example", "notexample.com", r.address())
	if len(host) > 5 && host[:5] == "2001:" {
		host = "[" + host + "]"
	}
	port := ""
	if r.IntN(2) == 0 && scheme != "icmp" {
		port = fmt.Sprintf(":%d", r.port())
	}
	path := map[string]string{"dns": "/www.example.com", "http": "/health?q=http://10.1.2.3:22/"}[scheme]
	return farpointv1.HealthCheckURL(scheme + "://" + host + port + path)
}

func (r randomPolicies) spec(spec *farpointv1.ExternalServiceSpec) {
	spec.HealthCheckInterval = &metav1.Duration{Duration: pick(r, 500*time.Millisecond, 5*time.Second, 10*time.Second, time.Minute, 2*time.Minute)}
	if r.IntN(6) == 0 {
		spec.HealthCheckInterval = nil
	}
	spec.HealthCheck.FastInterval = nil
	spec.Ports = []farpointv1.EndpointPort{{Port: r.port()}}
	if r.IntN(2) == 0 {
		spec.HealthCheckURL = r.url()
	}
	seen := map[string]bool{}
	for range 1 + r.IntN(4) {
		endpoint := farpointv1.Endpoint{Address: r.address()}
		if seen[endpoint.Address] {
			continue
		}
		seen[endpoint.Address] = true
		switch r.IntN(4) {
		case 0:
			endpoint.Port = new(r.port())
		case 1:
			endpoint.Ports = []farpointv1.EndpointPort{{Name: "a", Port: r.port()}, {Name: "b", Port: 1000 + r.port()}}
		}
		if r.IntN(2) == 0 {
			endpoint.HealthCheckURL = r.url()
		}
		if r.IntN(8) == 0 {
			endpoint.State = farpointv1.EndpointDisabled
		}
		spec.Endpoints = append(spec.Endpoints, endpoint)
	}
}
