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
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

var (
	one = metav1.NewTime(fixtures.Noon.Add(time.Hour))

	up    = health.Health{State: health.StateHealthy}
	away  = health.Health{State: health.StateDraining, Cause: probes.Result{Outcome: probes.Draining, Reason: probes.ReasonDraining, Code: 503}}
	other = health.Health{State: health.StateIneligible, Cause: probes.IneligibleResult(probes.ReasonRole)}
	down  = health.Health{State: health.StateUnhealthy, Cause: probes.Result{Outcome: probes.Failure, Reason: probes.ReasonTimeout}}
)

// observed is an object with an endpoint for each health, and what was found about it.
func observed(healths ...health.Health) (*farpointv1.ExternalService, Findings) {
	object := fixtures.Owner()
	object.Generation = 3
	for i := range healths {
		object.Spec.Endpoints = append(object.Spec.Endpoints, fixtures.At(fmt.Sprintf("192.0.2.%d", i+1), 80))
	}
	findings := Findings{Service: EvaluateService(object, fixtures.Service()), Targets: &targets.Targets{Rejected: map[int]endpoint.Rejection{}, Names: &targets.Expansion{Spec: &object.Spec}}, Published: []*discoveryv1.EndpointSlice{{}}}
	ports := fixtures.HTTPPort(80)
	for i := range object.Spec.Endpoints {
		e := endpoint.Endpoint{Index: i, Name: fmt.Sprintf("192.0.2.%d:80", i+1), Spec: &object.Spec.Endpoints[i], Ports: ports}
		findings.Targets.Accepted = append(findings.Targets.Accepted, e)
		findings.Verdicts = append(findings.Verdicts, endpoint.Verdict{Endpoint: &e, Health: healths[i]})
	}
	return object, findings
}

// summarizeWithRoles returns the status of the findings, with the roles that follow from them.
func summarizeWithRoles(object *farpointv1.ExternalService, findings Findings, now metav1.Time) farpointv1.ExternalServiceStatus {
	if findings.Targets != nil {
		findings.Availability = availability.RulesOf(&object.Spec.Availability).Assign(findings.Verdicts, pastIn(&object.Status))
	}
	return Summarize(object, findings, now)
}

// pastIn is the past of the slices that a status describes.
func pastIn(status *farpointv1.ExternalServiceStatus) availability.Past {
	before := previousStatus{list: status.Endpoints}
	return availability.Past{Published: func(of *endpoint.Endpoint, _ discoveryv1.EndpointPort) (slicestate.Published, bool) {
		known := before.find(of.Index, of.Name)
		if known == nil || known.Published == "" {
			return slicestate.Published{}, false
		}
		published := slicestate.Published{State: endpoint.ProbeState(known.Health), Role: endpoint.InUse}
		switch known.Published {
		case farpointv1.PublishedReady, farpointv1.PublishedFailOpen:
			published.Conditions = endpoint.Conditions{Ready: true, Serving: true}
		case farpointv1.PublishedStandby:
			published.Role = endpoint.Standby
		}
		return published, true
	}}
}

func conditionsOf(status farpointv1.ExternalServiceStatus) string {
	var words []string
	for _, condition := range status.Conditions {
		words = append(words, fmt.Sprintf("%s=%s(%s)", condition.Type, condition.Status, condition.Reason))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

const sound = "EndpointsAccepted=True(Accepted) NoConflicts=True(NoConflicts) PortsMatched=True(Matched) Programmed=True(Programmed) "

type statusCase struct {
	name    string
	healths []health.Health
	change  func(*farpointv1.ExternalService, *Findings)
	column  string
	want    string
}

func checkStatus(t *testing.T, cases []statusCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			object, findings := observed(test.healths...)
			if test.change != nil {
				test.change(object, &findings)
			}
			status := summarizeWithRoles(object, findings, fixtures.Noon)
			if got := conditionsOf(status); got != test.want {
				t.Errorf("conditions are\n%s, want\n%s", got, test.want)
			}
			if status.ReadyEndpoints != test.column {
				t.Errorf("column %s, want %s", status.ReadyEndpoints, test.column)
			}
			if sum := status.Ready + status.Standby + status.Unhealthy + status.Unknown + status.Draining + status.Disabled + status.Rejected; findings.Targets != nil && !findings.Service.publishesAll() && sum != status.Total {
				t.Errorf("counts add up to %d of %d: %+v", sum, status.Total, status)
			}
		})
	}
}

func TestStatus_Health_DecidesAvailableAndDegraded(t *testing.T) {
	checkStatus(t, []statusCase{
		{"all up", []health.Health{up, up}, nil, "2/2",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"one down", []health.Health{up, down}, nil, "1/2",
			"Available=True(EndpointsReady) Degraded=True(EndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"all down", []health.Health{down}, nil, "0/1",
			"Available=False(NoEndpointsReady) Degraded=True(EndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"no verdict yet", []health.Health{{}, down}, nil, "0/2",
			"Available=Unknown(AwaitingProbes) Degraded=True(EndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"draining and disabled", []health.Health{up, down, {}}, func(o *farpointv1.ExternalService, _ *Findings) {
			o.Spec.Endpoints[1].State, o.Spec.Endpoints[2].State = farpointv1.EndpointDraining, farpointv1.EndpointDisabled
		}, "1/3",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"draining by its own word", []health.Health{up, away}, nil, "1/2",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"all drain", []health.Health{away, away}, nil, "0/2",
			"Available=False(NoEndpointsReady) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"another role", []health.Health{up, other}, nil, "1/2",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"nobody has the role", []health.Health{other, other, away}, func(o *farpointv1.ExternalService, f *Findings) {
			o.Spec.Availability.WhenNoneHealthy, o.Spec.Availability.MinHealthyPercent = farpointv1.PublishAll, 50
			o.Spec.Endpoints[2].State = farpointv1.EndpointDraining
			f.Service.Service.Spec.PublishNotReadyAddresses = true
		}, "0/3",
			"Available=False(NoEndpointsEligible) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"the one with the role is dead", []health.Health{other, down}, nil, "0/2",
			"Available=False(NoEndpointsReady) Degraded=True(EndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"another role, and no verdict", []health.Health{other, {}}, nil, "0/2",
			"Available=Unknown(AwaitingProbes) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"published anyway", []health.Health{down, {}}, func(_ *farpointv1.ExternalService, f *Findings) {
			f.Service.Service.Spec.PublishNotReadyAddresses = true
		}, "2/2",
			"Available=True(EndpointsReady) Degraded=True(EndpointsUnhealthy) " + sound + "Ready=True(Published) TargetServiceResolved=True(Resolved)"},
	})
}

func TestStatus_OtherFindings_DecideReady(t *testing.T) {
	checkStatus(t, []statusCase{
		{"write failed", []health.Health{up}, func(_ *farpointv1.ExternalService, f *Findings) { f.WriteFailed = errors.New("quota") }, "1/1",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) " + sound + "Ready=False(WriteFailed) Reconciling=True(WriteFailed) TargetServiceResolved=True(Resolved)"},
		{"port not in the Service", []health.Health{up}, func(_ *farpointv1.ExternalService, f *Findings) {
			f.PortsReason, f.PortsMessage = farpointv1.PortNotInServiceReason, "no port"
		}, "1/1",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) EndpointsAccepted=True(Accepted) NoConflicts=True(NoConflicts) PortsMatched=False(PortNotInService) Programmed=True(Programmed) Ready=False(PortNotInService) Stalled=True(PortNotInService) TargetServiceResolved=True(Resolved)"},
		{"port without endpoints and a conflict only warn", []health.Health{up}, func(_ *farpointv1.ExternalService, f *Findings) {
			f.PortsReason, f.PortsMessage = farpointv1.PortWithoutEndpointsReason, "leads nowhere"
			f.Conflict = &conflicts.Conflict{Reason: farpointv1.SharedEndpointReason, Message: "twice"}
		}, "1/1",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) EndpointsAccepted=True(Accepted) NoConflicts=False(SharedEndpoint) PortsMatched=False(PortWithoutEndpoints) Programmed=True(Programmed) Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"held", []health.Health{up}, func(_ *farpointv1.ExternalService, f *Findings) { f.Held = true }, "1/1",
			"Available=True(EndpointsReady) Degraded=False(NoEndpointsUnhealthy) EndpointsAccepted=True(Accepted) NoConflicts=True(NoConflicts) OperatorIsolated=True(VerdictsHeld) PortsMatched=True(Matched) Programmed=True(Programmed) Ready=True(Published) TargetServiceResolved=True(Resolved)"},
		{"no Service", nil, func(o *farpointv1.ExternalService, f *Findings) {
			*f = Findings{Service: EvaluateService(o, nil)}
		}, "0/0",
			"Available=False(NoEndpointsReady) Degraded=False(NoEndpointsUnhealthy) EndpointsAccepted=Unknown(NotJudged) NoConflicts=True(NoConflicts) PortsMatched=Unknown(NotJudged) Programmed=True(Programmed) Ready=False(ServiceNotFound) Reconciling=True(ServiceNotFound) TargetServiceResolved=False(ServiceNotFound)"},
	})
}

func (f TargetService) publishesAll() bool {
	return f.Service != nil && f.Service.Spec.PublishNotReadyAddresses
}

func TestStatus_RejectedEndpoints_AreListed(t *testing.T) {
	object, findings := observed(up, up)
	object.Spec.Endpoints = append([]farpointv1.Endpoint{fixtures.At("10.300.1.10", 80)}, object.Spec.Endpoints...)
	findings.Verdicts[0].Index, findings.Verdicts[1].Index = 1, 2
	findings.Targets.Rejected[0] = endpoint.Rejection{Reason: farpointv1.InvalidAddressReason, Message: "is not an address"}
	status := summarizeWithRoles(object, findings, fixtures.Noon)
	if status.ReadyEndpoints != "2/3" || status.Rejected != 1 || status.Endpoints[0].Name != "endpoints[0]" || status.Endpoints[1].Name != "192.0.2.1:80" {
		t.Errorf("%+v", status)
	}
	ready := meta.FindStatusCondition(status.Conditions, farpointv1.ReadyCondition)
	if want := "1 of 3 endpoints rejected: spec.endpoints[0] (10.300.1.10): is not an address"; ready.Reason != farpointv1.InvalidAddressReason || ready.Message != want {
		t.Errorf("Ready says %s: %s, want %s", ready.Reason, ready.Message, want)
	}
}

func TestStatus_NothingChanges_StaysTheSame(t *testing.T) {
	for name, change := range map[string]func(*farpointv1.ExternalService, *Findings){
		"well":    func(*farpointv1.ExternalService, *Findings) {},
		"awaited": func(o *farpointv1.ExternalService, f *Findings) { f.Service = EvaluateService(o, nil) },
		"stalled": func(_ *farpointv1.ExternalService, f *Findings) { f.PortsReason = farpointv1.PortNotInServiceReason },
		"held":    func(_ *farpointv1.ExternalService, f *Findings) { f.Held = true },
		"rejected": func(_ *farpointv1.ExternalService, f *Findings) {
			f.Targets.Rejected[0] = endpoint.Rejection{Reason: farpointv1.InvalidPortReason, Message: "no port"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			object, findings := observed(up, down)
			change(object, &findings)
			object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
			if second := summarizeWithRoles(object, findings, one); !equality.Semantic.DeepEqual(object.Status, second) {
				t.Errorf("changed from %+v to %+v", object.Status, second)
			}
		})
	}
}

// A fault that somebody has to fix may turn into one that is awaited, and back.
func TestStatus_NotReady_IsReconcilingOrStalled(t *testing.T) {
	object, findings := observed(up)
	for _, step := range []struct {
		service *corev1.Service
		port    string
		want    string
	}{
		{fixtures.Service(), farpointv1.PortNotInServiceReason, "Stalled=True(PortNotInService)"},
		{nil, "", "Reconciling=True(ServiceNotFound)"},
		{fixtures.Service(), farpointv1.PortNotInServiceReason, "Stalled=True(PortNotInService)"},
		{fixtures.Service(), "", ""},
	} {
		findings.Service, findings.PortsReason = EvaluateService(object, step.service), step.port
		object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
		var progress []string
		for _, word := range strings.Fields(conditionsOf(object.Status)) {
			if strings.HasPrefix(word, "Reconciling") || strings.HasPrefix(word, "Stalled") {
				progress = append(progress, word)
			}
		}
		if got := strings.Join(progress, " "); got != step.want {
			t.Errorf("it is %q, want %q", got, step.want)
		}
	}
}

func TestStatus_Restart_StaysTheSame(t *testing.T) {
	unreachable := health.Health{Cause: probes.Result{Reason: probes.ReasonNetworkUnreachable}}
	object, findings := observed(up, down, unreachable)
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	for i := range findings.Verdicts {
		findings.Verdicts[i].Health = health.New(findings.Verdicts[i].Health.State)
	}
	if second := summarizeWithRoles(object, findings, one); !equality.Semantic.DeepEqual(object.Status, second) {
		t.Errorf("changed from %+v to %+v", object.Status.Endpoints, second.Endpoints)
	}
}

func TestStatus_VerdictChanges_HasItsTime(t *testing.T) {
	object, findings := observed(up)
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	findings.Verdicts[0].Health.Observe(down.Cause, health.Thresholds{Failure: 1, Success: 1}, one.Time)
	if got := summarizeWithRoles(object, findings, one).Endpoints[0].LastTransitionTime; !got.Equal(new(one.Rfc3339Copy())) {
		t.Errorf("since %v, want %v", got, one)
	}
}

func TestStatus_Suspended(t *testing.T) {
	object, findings := observed(up, down)
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	object.Generation = 4
	status := Suspended(object, nil, nil, one)
	if status.ReadyEndpoints != "1/2" || status.ObservedGeneration != 4 || !strings.Contains(conditionsOf(status), "Ready=True(Suspended)") {
		t.Errorf("%+v", status)
	}
}

func TestStatus_LongMessages_AreCut(t *testing.T) {
	object, findings := observed(up)
	findings.WriteFailed = errors.New(strings.Repeat("ä", 40000))
	if n := len(meta.FindStatusCondition(summarizeWithRoles(object, findings, fixtures.Noon).Conditions, farpointv1.ReadyCondition).Message); n > 5000 {
		t.Errorf("a message of %d bytes", n)
	}
}

// A URL may be 2 KiB long, and be wrong for all endpoints.
func TestStatus_ThousandLongMessages_FitsIntoAnObject(t *testing.T) {
	object, findings := observed(make([]health.Health, 1000)...)
	for i := range object.Spec.Endpoints {
		findings.Targets.Rejected[i] = endpoint.Rejection{Reason: farpointv1.InvalidHealthCheckURLReason, Message: strings.Repeat("ä", 2000)}
		findings.Targets.Accepted[i].Held = i%2 == 0
	}
	findings.Verdicts = slices.DeleteFunc(findings.Verdicts, func(v endpoint.Verdict) bool { return v.Index%2 == 1 })
	text, err := json.Marshal(summarizeWithRoles(object, findings, fixtures.Noon))
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 1<<20 {
		t.Errorf("a status of %d bytes", len(text))
	}
}
