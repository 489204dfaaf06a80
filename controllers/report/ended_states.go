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
	"time"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// EndedStates compares two statuses and returns one Event for each endpoint whose state has ended
// by itself, or one for all if these are more than maxIndividualEvents.
func EndedStates(before, after *farpointv1.ExternalServiceStatus, now time.Time) []PendingEvent {
	known := previousStatus{list: before.Endpoints}
	var ended []farpointv1.EndpointStatus
	for i, endpoint := range after.Endpoints {
		was := known.find(i, endpoint.Name)
		if was == nil || was.StateUntil == nil || now.Before(was.StateUntil.Time) || was.State == endpoint.State {
			continue
		}
		endpoint.Message = fmt.Sprintf("its state %s ended at %s", was.State, was.StateUntil.UTC().Format(time.RFC3339))
		ended = append(ended, endpoint)
	}
	var events []PendingEvent
	for _, state := range []farpointv1.EndpointState{farpointv1.EndpointActive, farpointv1.EndpointDraining} {
		var same []farpointv1.EndpointStatus
		for _, endpoint := range ended {
			if endpoint.State == state {
				same = append(same, endpoint)
			}
		}
		events = append(events, changes(same, maxIndividualEvents, false, endpointStateEndedEvent, strings.ToLower(string(state)))...)
	}
	return events
}
