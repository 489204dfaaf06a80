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

package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/fixtures"
)

// plannedWithin returns the targets of a spec within limits.
func plannedWithin(t *testing.T, within *policy.Limits, spec farpointv1.ExternalServiceSpec, room int) targets.Targets {
	t.Helper()
	common, err := targets.NewSettings(&spec, targets.Certificates{}, targets.Login{})
	if err != nil {
		t.Fatal(err)
	}
	egress := egress.NewPolicy(egress.Rules{})
	planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
	return planner.Within(within, room).Plan(&targets.Expansion{Spec: &spec}, fixtures.OnePort, fixtures.ProbedBy(common), &slicestate.Prior{})
}

func TestLimits_Endpoints_AreRejected(t *testing.T) {
	type spec = farpointv1.ExternalServicePolicySpec
	with := func(url string) farpointv1.Endpoint {
		endpoint := fixtures.At("192.0.2.1", 8080)
		endpoint.HealthCheckURL = farpointv1.HealthCheckURL(url)
		return endpoint
	}
	disabled := with("icmp://198.51.100.1")
	disabled.State = farpointv1.EndpointDisabled
	portless := farpointv1.Endpoint{Address: "192.0.2.1"} // has the Service's target port, 8080
	for _, test := range []struct {
		name     string
		change   func(*spec)
		endpoint farpointv1.Endpoint
		want     string // of the message; empty if it is accepted
	}{
		{"nothing is said", func(*spec) {}, with(""), ""},
		{"address allowed", func(s *spec) { s.AllowedCIDRs = []farpointv1.CIDR{"192.0.2.0/24"} }, with(""), ""},
		{"address not allowed", func(s *spec) { s.AllowedCIDRs = []farpointv1.CIDR{"198.51.100.0/24"} }, with("tcp://198.51.100.1"), "the address 192.0.2.1 is not allowed by ExternalServicePolicy p: choose another one"},
		{"address denied", func(s *spec) { s.DeniedCIDRs = []farpointv1.CIDR{"192.0.2.1/32"} }, with(""), "the address 192.0.2.1"},
		{"the probe's address", func(s *spec) { s.DeniedCIDRs = []farpointv1.CIDR{"198.51.100.0/24"} }, with("http://198.51.100.1/"), "the address 198.51.100.1"},
		{"port allowed", func(s *spec) { s.AllowedPorts = []farpointv1.PolicyPort{{Port: 8000, EndPort: ptr.To(int32(8100))}} }, with(""), ""},
		{"port denied", func(s *spec) { s.DeniedPorts = []farpointv1.PolicyPort{{Port: 8080}} }, with("tcp://:443"), "port 8080"},
		{"the Service's port", func(s *spec) { s.AllowedPorts = []farpointv1.PolicyPort{{Port: 80}} }, portless, "port 8080"},
		{"the probe's port", func(s *spec) { s.DeniedPorts = []farpointv1.PolicyPort{{Port: 22}} }, with("tcp://:22"), "port 22"},
		{"the scheme", func(s *spec) { s.AllowedSchemes = []farpointv1.ProbeScheme{"https"} }, with("http:///"), "the scheme http"},
		{"no URL", func(s *spec) { s.AllowedSchemes = []farpointv1.ProbeScheme{"https"} }, with(""), "the scheme tcp"},
		{"name allowed", func(s *spec) { s.AllowedDNSSuffixes = []farpointv1.DNSSuffix{"example.com"} }, with("http://api.Example.com./"), ""},
		{"name not allowed", func(s *spec) { s.AllowedDNSSuffixes = []farpointv1.DNSSuffix{"example.com"} }, with("http://example.org/"), "the name example.org"},
		{"an address is no name", func(s *spec) { s.AllowedDNSSuffixes = []farpointv1.DNSSuffix{"example.com"} }, with("http://198.51.100.1/"), ""},
		{"what is not probed", func(s *spec) { s.DeniedSchemes = []farpointv1.ProbeScheme{"icmp"} }, disabled, ""},
		{"room", func(s *spec) { s.MaxEndpoints = ptr.To(int32(3)) }, with(""), ""},
		{"no room", func(s *spec) { s.MaxEndpoints = ptr.To(int32(0)) }, with(""), "more endpoints than the 0 that ExternalServicePolicy p allows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			within := fixtures.LimitsOf(t, fixtures.PolicyNamed("p", test.change), fixtures.PolicyNamed("q", func(*spec) {}))
			object := farpointv1.ExternalService{Spec: farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{test.endpoint}}}
			got := plannedWithin(t, within, object.Spec, within.Room(&object, nil))
			refused := got.Rejected[0]
			switch {
			case test.want == "" && len(got.Rejected) != 0:
				t.Errorf("set aside: %+v", refused)
			case test.want != "" && (refused.Reason != farpointv1.NotAllowedByPolicyReason || !strings.Contains(refused.Message, test.want)):
				t.Errorf("%+v, want %q", refused, test.want)
			case test.want != "" && len(got.Accepted) != 0:
				t.Error("it is published nevertheless")
			case len(got.Claimed) != 1:
				t.Error("it counts as one that has left the spec, and would drain")
			}
		})
	}
}

func TestLimits_SeveralPolicies_MustAllAllow(t *testing.T) {
	type spec = farpointv1.ExternalServicePolicySpec
	within := fixtures.LimitsOf(t,
		fixtures.PolicyNamed("a", func(s *spec) {
			s.AllowedCIDRs, s.MinInterval, s.MaxEndpoints = []farpointv1.CIDR{"192.0.2.0/24", "198.51.100.0/24"}, &metav1.Duration{Duration: 20 * time.Second}, ptr.To(int32(10))
		}),
		fixtures.PolicyNamed("b", func(s *spec) {
			s.AllowedCIDRs, s.MinInterval, s.MaxEndpoints = []farpointv1.CIDR{"198.51.100.0/24", "203.0.113.0/24"}, &metav1.Duration{Duration: 5 * time.Second}, ptr.To(int32(4))
		}))
	got := plannedWithin(t, within, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 1), fixtures.At("198.51.100.1", 1), fixtures.At("203.0.113.1", 1)}}, 100)
	if len(got.Accepted) != 1 || got.Accepted[0].Index != 1 || !strings.Contains(got.Rejected[0].Message, "Policy b") || !strings.Contains(got.Rejected[2].Message, "Policy a") {
		t.Errorf("%+v", got.Rejected)
	}
	for _, test := range []struct{ interval, fast, wantInterval, wantFast time.Duration }{
		{time.Second, 100 * time.Millisecond, 20 * time.Second, 20 * time.Second},
		{20 * time.Second, time.Second, 20 * time.Second, 20 * time.Second},
		{time.Minute, 30 * time.Second, time.Minute, 30 * time.Second},
	} {
		timing := scheduler.Timing{Interval: test.interval, FastInterval: test.fast}
		message := within.ClampTiming(&timing)
		if timing.Interval != test.wantInterval || timing.FastInterval != test.wantFast {
			t.Errorf("%v becomes %v", test, timing)
		}
		if want := test.interval < 20*time.Second; strings.Contains(message, "shorter than the 20s that ExternalServicePolicy a allows") != want || !want && message != "" {
			t.Errorf("%v: %q", test, message)
		}
	}
	if left := within.Room(&farpointv1.ExternalService{}, nil); left != 4 {
		t.Errorf("room for %d", left)
	}
}

func TestLimits_MaxEndpoints_OldestComeFirst(t *testing.T) {
	within := fixtures.LimitsOf(t, fixtures.PolicyNamed("p", func(s *farpointv1.ExternalServicePolicySpec) { s.MaxEndpoints = ptr.To(int32(10)) }))
	object := func(name string, age time.Duration, endpoints int) farpointv1.ExternalService {
		return farpointv1.ExternalService{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(0, 0).Add(-age))},
			Spec:       farpointv1.ExternalServiceSpec{Endpoints: make([]farpointv1.Endpoint, endpoints)},
		}
	}
	all := []farpointv1.ExternalService{object("new", time.Hour, 5), object("old", 3*time.Hour, 4), object("b", 2*time.Hour, 3), object("a", 2*time.Hour, 2), object("dying", 4*time.Hour, 100)}
	all[4].DeletionTimestamp = &metav1.Time{}
	for name, want := range map[string]int{"old": 10, "a": 6, "b": 4, "new": 1} {
		for i := range all {
			if got := within.Room(&all[i], all); all[i].Name == name && got != want {
				t.Errorf("%s has room for %d, want %d", name, got, want)
			}
		}
	}
	if left := (*policy.Limits)(nil).Room(&all[0], nil); left != 5 {
		t.Errorf("without a policy there is room for %d of 5", left)
	}
}

// Probes of namespaces with different policies are shared unless a name or a redirect may make
// them differ.
func TestLimits_Probes_AreSeparatedOnlyIfTheyMayLeaveTheirTarget(t *testing.T) {
	type spec = farpointv1.ExternalServicePolicySpec
	deny := func(cidr farpointv1.CIDR) *policy.Limits {
		return fixtures.LimitsOf(t, fixtures.PolicyNamed("p", func(s *spec) { s.DeniedCIDRs = []farpointv1.CIDR{cidr} }))
	}
	for url, shared := range map[string]bool{
		"http:///health": true, "http://192.0.2.7/": true, "tcp://[2001:db8::1]:80": true, "": true,
		"http://api.example.com/": false, "grpc://api.example.com:80": false,
	} {
		identity := func(within *policy.Limits) scheduler.Identity {
			endpoint := fixtures.At("192.0.2.1", 8080)
			endpoint.HealthCheckURL = farpointv1.HealthCheckURL(url)
			got := plannedWithin(t, within, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{endpoint}}, 1)
			if len(got.Accepted) != 1 {
				t.Fatal(got.Rejected)
			}
			return got.Probers[0].Identity
		}
		a, b, none := identity(deny("10.0.0.0/8")), identity(deny("172.16.0.0/12")), identity(nil)
		if (a == b) != shared || (a == none) != shared || a != identity(deny("10.0.0.0/8")) {
			t.Errorf("%s is shared: %v", url, a == b)
		}
	}
	roaming := protocol.Definition{URL: "http:///", HTTP: &protocol.HTTPSettings{FollowRedirects: true}}
	if !policy.MayLeaveTarget(&roaming) {
		t.Error("a probe that follows redirects does not roam")
	}
}

// The API server refuses such policies, unless the CRD is older.
func TestRead_InvalidPolicy_AllowsNothing(t *testing.T) {
	bad, err := policy.Read(fixtures.PolicyNamed("p", func(s *farpointv1.ExternalServicePolicySpec) {
		s.AllowedCIDRs = []farpointv1.CIDR{"10.0.0.0/8", "10.1.2.3/8"}
	}))
	if err == nil || !strings.HasPrefix(err.Error(), "spec.allowedCIDRs: ") {
		t.Error(err)
	}
	within := policy.NewLimits([]*policy.Policy{bad}, transport.NewDialer(egress.NewPolicy(egress.Rules{})))
	got := plannedWithin(t, within, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("10.0.0.1", 1), fixtures.At("2001:db8::1", 1)}}, 2)
	if len(got.Accepted) != 0 {
		t.Errorf("%d endpoints are published", len(got.Accepted))
	}
	_, err = policy.Read(fixtures.PolicyNamed("p", func(s *farpointv1.ExternalServicePolicySpec) {
		s.NamespaceSelector.MatchExpressions = []farpointv1.LabelExpression{{Key: "a", Operator: "Like"}}
	}))
	if err == nil || !strings.HasPrefix(err.Error(), "spec.namespaceSelector: ") {
		t.Error(err)
	}
}

func TestWithdraw_RefusedEndpoints_AreRemovedAlone(t *testing.T) {
	slice := func(name string, port int32, addresses ...string) *discoveryv1.EndpointSlice {
		result := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, Ports: []discoveryv1.EndpointPort{{Port: &port}, {}}}
		for _, address := range addresses {
			result.Endpoints = append(result.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
		}
		return result
	}
	within := fixtures.LimitsOf(t, fixtures.PolicyNamed("p", func(s *farpointv1.ExternalServicePolicySpec) {
		s.DeniedCIDRs, s.DeniedPorts = []farpointv1.CIDR{"192.0.2.7/32"}, []farpointv1.PolicyPort{{Port: 22}}
	}))
	planner := targets.Planner{Egress: egress.NewPolicy(egress.Rules{})}.Within(within, 0)
	existing := []*discoveryv1.EndpointSlice{
		slice("untouched", 80, "192.0.2.1", "192.0.2.2"), slice("smaller", 80, "192.0.2.3", "192.0.2.7"), slice("gone", 22, "192.0.2.4"), slice("name", 80, "a.example"),
	}
	before := existing[1].DeepCopy()
	plan := sliceplan.Withdraw(existing, planner.Refuses)
	if plan.Kept != 3 || len(plan.Update) != 1 || len(plan.Update[0].Endpoints) != 1 || plan.Update[0].Endpoints[0].Addresses[0] != "192.0.2.3" || len(plan.Delete) != 1 || plan.Delete[0].Name != "gone" {
		t.Errorf("%+v", plan)
	}
	if fmt.Sprint(before) != fmt.Sprint(existing[1]) {
		t.Error("what is in the cache was changed")
	}
}
