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

package report

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/test/fixtures"
)

// groupStatus is the status of an object with these endpoints, and the families and ports
// of its Service.
func groupStatus(t *testing.T, rules farpointv1.Availability, families []corev1.IPFamily, ports []string, lines ...string) farpointv1.ExternalServiceStatus {
	t.Helper()
	object := fixtures.Owner()
	object.Spec.Availability = rules
	service := fixtures.Service()
	service.Spec.IPFamilies = families
	for _, port := range ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: port, Protocol: corev1.ProtocolTCP, Port: 80})
	}
	findings := Findings{Service: EvaluateService(object, service), Targets: &targets.Targets{Rejected: map[int]endpoint.Rejection{}, Names: &targets.Expansion{Spec: &object.Spec}}}
	findings.Verdicts = fixtures.Verdicts(t, lines...)
	for i := range findings.Verdicts {
		object.Spec.Endpoints = append(object.Spec.Endpoints, *findings.Verdicts[i].Spec)
		findings.Targets.Accepted = append(findings.Targets.Accepted, *findings.Verdicts[i].Endpoint)
	}
	findings.Availability = availability.RulesOf(&object.Spec.Availability).Assign(findings.Verdicts, availability.Past{Published: func(*endpoint.Endpoint, discoveryv1.EndpointPort) (slicestate.Published, bool) {
		return slicestate.Published{}, false
	}})
	findings.FamiliesReason, findings.FamiliesMessage = conflicts.FamilyMismatch(findings.Targets.Accepted, conflicts.Neighbours{Service: service})
	return Summarize(object, findings, fixtures.Noon)
}

const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol

type groupCase struct {
	name      string
	rules     farpointv1.Availability
	families  []corev1.IPFamily
	ports     []string
	endpoints []string
	want      string
}

func checkGroups(t *testing.T, cases []groupCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			status := groupStatus(t, test.rules, test.families, test.ports, test.endpoints...)
			got := availabilityOf(status)
			if condition := meta.FindStatusCondition(status.Conditions, farpointv1.FamiliesMatchedCondition); condition != nil {
				got += fmt.Sprintf("\n%s %s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message)
			}
			if got != test.want && (!strings.HasSuffix(test.want, ": ") || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestStatus_FamiliesAndPorts_LeastAvailableDecides(t *testing.T) {
	type rules = farpointv1.Availability
	type families = []corev1.IPFamily
	http := []string{"http"}
	checkGroups(t, []groupCase{
		{"both families", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 up", "2001:db8::1 http=80 0 up"},
			"Available True EndpointsReady: 2 of 2 endpoints are ready"},
		{"a dead family", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			`Available False NoEndpointsReady: 1 of 2 endpoints are ready; IPv4 port "http"/TCP has 0`},
		{"too few of a family", rules{MinReady: 2}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 up", "2001:db8::1 http=80 0 up", "2001:db8::2 http=80 0 up"},
			`Available False TooFewEndpointsReady: 3 of 3 endpoints are ready; IPv4 port "http"/TCP has 1`},
		{"a family without a verdict", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 new", "2001:db8::1 http=80 0 up"},
			`Available Unknown AwaitingProbes: 1 of 2 endpoints are ready; IPv4 port "http"/TCP has 0, 1 have no verdict yet`},
		{"a dead port", rules{}, families{v4}, []string{"web", "db"}, []string{"192.0.2.1 web=80,db=1 0 down", "192.0.2.2 web=80 0 up"},
			`Available False NoEndpointsReady: 1 of 2 endpoints are ready; IPv4 port "db"/TCP has 0`},
		{"all ports alike", rules{}, families{v4}, []string{"web", "db"}, []string{"192.0.2.1 web=80,db=1 0 down"},
			"Available False NoEndpointsReady: 0 of 1 endpoints are ready"},
		{"one family has failed over", rules{}, families{v4, v6}, http,
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"},
			"Available True EndpointsReady: 2 of 4 endpoints are ready, 1 on standby\n" +
				`FailedOver True TooFewHealthy: IPv4 port "http"/TCP: standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1`},
		{"both have", rules{}, families{v4, v6}, http,
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 down", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"},
			"Available True EndpointsReady: 2 of 4 endpoints are ready\n" +
				`FailedOver True TooFewHealthy: standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1`},
		{"one family fails open", rules{WhenNoneHealthy: farpointv1.PublishAll}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			`Available False FailingOpen: 2 of 2 endpoints get traffic, 1 of them unhealthy; IPv4 port "http"/TCP has 0` + "\n" +
				`FailOpen True AllPublished: IPv4 port "http"/TCP: no endpoint is healthy: all 1 get traffic (whenNoneHealthy: PublishAll)`},
	})
}

func TestStatus_FamilyOrPortNotInTheService_DoesNotCount(t *testing.T) {
	type rules = farpointv1.Availability
	type families = []corev1.IPFamily
	http := []string{"http"}
	checkGroups(t, []groupCase{
		{"a family that the Service lacks", rules{}, families{v4}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			"Available False NoEndpointsReady: 1 of 2 endpoints are ready\n" +
				"FamiliesMatched False AddressFamilyNotInService: [2001:db8::1]:80 is of an address family that the Service lacks, which has only IPv4: clients do not reach them; give the Service both families (ipFamilyPolicy, ipFamilies), or remove the endpoints"},
		{"none but that", rules{}, families{v4}, http, []string{"2001:db8::1 http=80 0 up"},
			"Available False NoEndpointsReady: 1 of 1 endpoints are ready; none has an address family and a port of the Service\n" +
				"FamiliesMatched False AddressFamilyNotInService: "},
		{"a dead family that the Service lacks", rules{}, families{v6}, http, []string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"},
			"Available True EndpointsReady: 1 of 2 endpoints are ready\nFamiliesMatched False AddressFamilyNotInService: "},
		{"a family of the Service that no endpoint has", rules{}, families{v4, v6}, http, []string{"192.0.2.1 http=80 0 up"},
			"Available True EndpointsReady: 1 of 1 endpoints are ready\n" +
				"FamiliesMatched False AddressFamilyWithoutEndpoints: no endpoint has an IPv6 address, but the Service has one, which leads nowhere: add IPv6 endpoints, or make the Service SingleStack"},
		{"what the Service lacks fails neither over nor open", rules{WhenNoneHealthy: farpointv1.PublishAll}, families{v6}, http,
			[]string{"192.0.2.1 http=80 0 down", "192.0.2.2 http=80 1 down", "2001:db8::1 http=80 0 up"},
			"Available True EndpointsReady: 3 of 3 endpoints are ready\nFamiliesMatched False AddressFamilyNotInService: "},
		{"a port that the Service lacks", rules{}, families{v4}, http, []string{"192.0.2.1 web=80 0 up"},
			"Available False NoEndpointsReady: 1 of 1 endpoints are ready; none has an address family and a port of the Service"},
		{"a Service of no known family", rules{}, nil, nil, []string{"192.0.2.1 http=80 0 up"},
			"Available True EndpointsReady: 1 of 1 endpoints are ready"},
		{"published as a name", rules{}, families{v4}, http, []string{"db.example http=80 0 up"},
			"Available True EndpointsReady: 1 of 1 endpoints are ready"},
	})
}
