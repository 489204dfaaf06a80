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
	"time"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestEndedStates_EndedByItself_HasAnEvent(t *testing.T) {
	in := func(state farpointv1.EndpointState, until time.Duration) *farpointv1.ExternalServiceStatus {
		status := &farpointv1.ExternalServiceStatus{Endpoints: []farpointv1.EndpointStatus{{Name: "192.0.2.1:80", State: state}}}
		if until != 0 {
			status.Endpoints[0].StateUntil = timeOrNil(fixtures.Noon.Add(until))
		}
		return status
	}
	before := in(farpointv1.EndpointDisabled, time.Minute)
	got := EndedStates(before, in(farpointv1.EndpointActive, 0), fixtures.Noon.Add(time.Minute))
	want := "Endpoint 192.0.2.1:80 is active: its state Disabled ended at " + fixtures.Noon.Add(time.Minute).UTC().Format(time.RFC3339)
	if len(got) != 1 || got[0].Warning || got[0].Reason != "EndpointStateEnded" || got[0].Note != want {
		t.Errorf("%+v, want %s", got, want)
	}
	for name, events := range map[string][]PendingEvent{
		"edited before its end": EndedStates(before, in(farpointv1.EndpointActive, 0), fixtures.Noon.Time),
		"prolonged":             EndedStates(before, in(farpointv1.EndpointDisabled, time.Hour), fixtures.Noon.Add(time.Minute)),
		"without an end":        EndedStates(in(farpointv1.EndpointDisabled, 0), in(farpointv1.EndpointActive, 0), fixtures.Noon.Time),
	} {
		if len(events) > 0 {
			t.Errorf("%s: %+v", name, events)
		}
	}
}
