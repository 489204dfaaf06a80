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

package targets_test

import (
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/fixtures"
)

// publishedAt returns the prior state of an endpoint that was published as ready, or not.
func publishedAt(address string, ready bool) *slicestate.Prior {
	slice := &discoveryv1.EndpointSlice{Ports: fixtures.HTTPPort(8080).Ports, Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready}},
	}}
	return slicestate.Read([]*discoveryv1.EndpointSlice{slice})
}

func soundSettings(t *testing.T, spec *farpointv1.ExternalServiceSpec) targets.Settings {
	t.Helper()
	settings, err := targets.NewSettings(spec, targets.Certificates{}, targets.Login{})
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestProbers_NoSoundDefinition_WatchesWhatIsPublishedForItsDeath(t *testing.T) {
	spec := &farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080), fixtures.At("192.0.2.2", 8080)}}
	egress := egress.NewPolicy(egress.Rules{})
	planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
	for _, ready := range []bool{true, false} {
		prior := publishedAt("192.0.2.1", ready)
		by := targets.Probing{Fault: &endpoint.Rejection{Reason: farpointv1.InvalidHealthCheckReason, Message: "wrong"}}
		got := planner.Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, prior)
		if len(got.Accepted) != 1 || !got.Accepted[0].Held || !got.Accepted[0].Unprobed || got.Rejected[1].Reason != farpointv1.InvalidHealthCheckReason {
			t.Fatalf("accepted %+v, rejected %v", got.Accepted, got.Rejected)
		}
		target := got.ProbeTargets(targets.Schedule{}, prior)[0]
		if target.Prober == nil || !target.Initial.IsStale() || target.Initial.State == health.StateUnknown {
			t.Errorf("a target %+v", target)
		}
		known := endpoint.Verdict{Endpoint: &got.Accepted[0], Health: target.Initial}
		if reason := endpoint.StaleReason(&known); reason != probes.ReasonUnsoundDefinition {
			t.Errorf("stale for %q", reason)
		}
		dead := probes.Result{Outcome: probes.Failure, Reason: probes.ReasonConnectionRefused}
		known.Health.Observe(dead, health.Thresholds{Failure: 1, Success: 1}, time.Unix(1, 0))
		if reason := endpoint.StaleReason(&known); ready && reason != probes.ReasonNone {
			t.Errorf("found dead, and stale for %q", reason)
		}
	}
}

func TestProbers_UnchangedEndpoint_IsNotPreparedAgain(t *testing.T) {
	spec := &farpointv1.ExternalServiceSpec{HealthCheckURL: "http:///", Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080), fixtures.At("192.0.2.2", 8080)}}
	egress := egress.NewPolicy(egress.Rules{})
	planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
	by := fixtures.ProbedBy(soundSettings(t, spec))
	first := planner.Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, &slicestate.Prior{})
	before := first.ActiveProbers()
	by.Before = &before
	spec.Endpoints = spec.Endpoints[1:] // at another place now
	second := planner.Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, &slicestate.Prior{})
	if second.Probers[0].Prober != first.Probers[1].Prober {
		t.Error("it was prepared again")
	}
	before.ForgetProbers()
	if anew := planner.Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, &slicestate.Prior{}); anew.Probers[0].Prober == first.Probers[1].Prober {
		t.Error("it was not prepared again although it may not be the same any more")
	}
}

func TestProbers_PolicyThatForbidsTheLastSoundDefinition_TakesItOut(t *testing.T) {
	spec := &farpointv1.ExternalServiceSpec{HealthCheckURL: "http:///", Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080)}}
	egress := egress.NewPolicy(egress.Rules{})
	planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
	by := fixtures.ProbedBy(soundSettings(t, spec))
	by.Sound[0].Url = "http:///"
	first := planner.Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, &slicestate.Prior{})
	before := first.ActiveProbers()
	by.Before, by.Fault = &before, &endpoint.Rejection{Reason: farpointv1.InvalidHealthCheckReason, Message: "wrong"}
	got := planner.Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, publishedAt("192.0.2.1", true))
	if len(got.Accepted) != 1 || got.Accepted[0].Held || got.Probers[0].Prober != before.List[0].Prober {
		t.Fatalf("accepted %+v, rejected %v", got.Accepted, got.Rejected)
	}
	policy := &farpointv1.ExternalServicePolicy{Spec: farpointv1.ExternalServicePolicySpec{DeniedSchemes: []farpointv1.ProbeScheme{"http"}}}
	before.ForgetProbers()
	got = planner.Within(fixtures.LimitsOf(t, policy), 10).Plan(&targets.Expansion{Spec: spec}, fixtures.OnePort, by, publishedAt("192.0.2.1", true))
	if len(got.Accepted) != 0 || got.Rejected[0].Reason != farpointv1.NotAllowedByPolicyReason {
		t.Errorf("accepted %+v, rejected %v", got.Accepted, got.Rejected)
	}
}
