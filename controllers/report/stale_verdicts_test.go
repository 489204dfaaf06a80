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
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestStaleVerdicts_AreReportedOnce(t *testing.T) {
	spec := farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080), fixtures.At("192.0.2.2", 8080)}}
	targets := fixtures.Planned(t, spec, fixtures.OnePort)
	object := fixtures.Owner()
	object.Spec = spec
	look := func(reasons ...probes.Reason) []PendingEvent {
		all := make([]endpoint.Verdict, len(reasons))
		for i, reason := range reasons {
			current := health.New(health.StateHealthy)
			if reason != probes.ReasonNone {
				current = health.SeededStale(health.StateHealthy, reason)
			}
			all[i] = endpoint.Verdict{Endpoint: &targets.Accepted[i], Health: current}
		}
		findings := Findings{Service: EvaluateService(object, fixtures.Service()), Targets: &targets, Verdicts: all}
		status := Summarize(object, findings, fixtures.Noon)
		events := staleChange(object.Status.Conditions, status.Conditions)
		object.Status = status
		return events
	}
	if events := look(probes.ReasonNone, probes.ReasonNone); events != nil || object.Status.Stale != 0 {
		t.Errorf("Events %v while nothing is stale", events)
	}
	events := look(probes.ReasonNetworkUnreachable, probes.ReasonNone)
	row := object.Status.Endpoints[0]
	if len(events) != 1 || !events[0].Warning || object.Status.Stale != 1 || !row.Stale || row.Reason != "NetworkUnreachable" || row.Health != farpointv1.EndpointHealthy {
		t.Errorf("Events %v, status %+v", events, object.Status)
	}
	if events := look(probes.ReasonNetworkUnreachable, probes.ReasonNameResolution); events != nil || object.Status.Stale != 2 {
		t.Errorf("Events %v again", events)
	}
	if events := look(probes.ReasonNone, probes.ReasonNone); len(events) != 1 || events[0].Warning || object.Status.Endpoints[0].Reason != "" {
		t.Errorf("Events %v at the end, status %+v", events, object.Status.Endpoints[0])
	}
	// Another condition reports what the operator holds back itself.
	if events := look(probes.ReasonIsolated, probes.ReasonIsolated); events != nil || object.Status.Stale != 0 {
		t.Errorf("Events %v for what is held back", events)
	}
}
