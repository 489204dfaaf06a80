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
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// Reasons of Events, besides the names of conditions and the reasons of Ready.
const (
	// endpointHealthyEvent: the verdict on an endpoint is now Healthy.
	endpointHealthyEvent = "EndpointHealthy"
	// endpointUnhealthyEvent: the verdict on an endpoint is now Unhealthy.
	endpointUnhealthyEvent = "EndpointUnhealthy"
	// endpointDrainingEvent: an endpoint reports that it takes no new traffic, or has left the
	// spec and keeps its connections for a while.
	endpointDrainingEvent = "EndpointDraining"
	// endpointEligibleEvent: an endpoint that was ineligible is healthy and gets traffic, as a
	// primary does that was promoted.
	endpointEligibleEvent = "EndpointEligible"
	// endpointIneligibleEvent: an endpoint works and is not the one to get the traffic.
	endpointIneligibleEvent = "EndpointIneligible"
	// endpointStateEndedEvent: the state Draining or Disabled of an endpoint has ended by itself.
	endpointStateEndedEvent = "EndpointStateEnded"
	// endpointDrainedEvent: it has left the slices.
	endpointDrainedEvent = "EndpointDrained"
	// availableEvent: the Service has a ready endpoint again.
	availableEvent = "Available"
	// unavailableEvent: the Service has no ready endpoint any more.
	unavailableEvent = "Unavailable"
	// failOpenEndedEvent: only healthy endpoints get traffic again. Its beginning has the reason
	// FailOpen.
	failOpenEndedEvent = "FailOpenEnded"
	// tooManyReadyEndedEvent: no more servers are healthy than maxReady. The beginning has the
	// reason TooManyReady.
	tooManyReadyEndedEvent = "TooManyReadyEnded"
	// failedBackEvent: an earlier tier is the last one in use again. The takeover by a later one
	// has the reason FailedOver.
	failedBackEvent = "FailedBack"
)

// PendingEvent is an Event to be written.
type PendingEvent struct {
	Warning      bool
	Reason, Note string
}

// maxIndividualEvents is how many endpoints may change at once and still have an Event each, and the
// most that one Event names.
const maxIndividualEvents = 10

// Events compares two statuses. It returns one Event for each endpoint whose health changed or
// that has left, or one for all if these are more than maxIndividualEvents, one for all endpoints
// whose first verdict is healthy, one if another tier is the last in use, and one for each change
// of a condition about all endpoints together.
func Events(before, after *farpointv1.ExternalServiceStatus) []PendingEvent {
	events := append(healthChanges(before, after), departures(before, after)...)
	events = append(events, tierChange(before, after)...)
	return append(events, conditionChanges(before.Conditions, after.Conditions)...)
}

func healthChanges(before, after *farpointv1.ExternalServiceStatus) []PendingEvent {
	flipped := flipsBetween(before, after)
	return slices.Concat(
		changes(flipped.demoted, maxIndividualEvents, false, endpointIneligibleEvent, "no longer eligible"),
		changes(flipped.ineligible, 1, false, endpointIneligibleEvent, "ineligible"),
		changes(flipped.promoted, maxIndividualEvents, false, endpointEligibleEvent, "eligible now"),
		changes(flipped.down, maxIndividualEvents, true, endpointUnhealthyEvent, "unhealthy"),
		changes(flipped.draining, maxIndividualEvents, false, endpointDrainingEvent, "draining"),
		changes(flipped.initiallyHealthy, 1, false, endpointHealthyEvent, "healthy"),
		changes(flipped.up, maxIndividualEvents, false, endpointHealthyEvent, "healthy"),
	)
}

// flips are the endpoints whose first verdict is healthy, those that are healthy again, those
// that report draining, and those that have become unhealthy. A healthy endpoint that is
// ineligible now is demoted, any other one that has become ineligible is not, and one that was
// ineligible and is healthy is promoted.
type flips struct {
	initiallyHealthy, up, draining, down, demoted, ineligible, promoted []farpointv1.EndpointStatus
}

func flipsBetween(before, after *farpointv1.ExternalServiceStatus) flips {
	known := previousStatus{list: before.Endpoints}
	var all flips
	for i, endpoint := range after.Endpoints {
		was := known.find(i, endpoint.Name)
		switch {
		case was != nil && was.Health == endpoint.Health:
		case endpoint.Health == farpointv1.EndpointUnhealthy:
			all.down = append(all.down, endpoint)
		case endpoint.Health == farpointv1.EndpointHealthDraining:
			all.draining = append(all.draining, endpoint)
		case endpoint.Health == farpointv1.EndpointIneligible && was != nil && was.Health == farpointv1.EndpointHealthy:
			all.demoted = append(all.demoted, endpoint)
		case endpoint.Health == farpointv1.EndpointIneligible:
			all.ineligible = append(all.ineligible, endpoint)
		case endpoint.Health != farpointv1.EndpointHealthy:
		case was == nil || was.Health == farpointv1.EndpointHealthUnknown:
			all.initiallyHealthy = append(all.initiallyHealthy, endpoint)
		case was.Health == farpointv1.EndpointIneligible:
			all.promoted = append(all.promoted, endpoint)
		default:
			all.up = append(all.up, endpoint)
		}
	}
	return all
}

// CountFlips counts the endpoints that have become healthy, draining, ineligible and unhealthy.
func CountFlips(before, after *farpointv1.ExternalServiceStatus) (up, draining, ineligible, down int) {
	all := flipsBetween(before, after)
	return len(all.initiallyHealthy) + len(all.up) + len(all.promoted), len(all.draining), len(all.demoted) + len(all.ineligible), len(all.down)
}

// departures reports endpoints that have left the spec, and then the slices.
func departures(before, after *farpointv1.ExternalServiceStatus) []PendingEvent {
	was, is := previousStatus{list: before.Endpoints}, previousStatus{list: after.Endpoints}
	var leaving, gone []farpointv1.EndpointStatus
	for i, endpoint := range after.Endpoints {
		if known := was.find(i, endpoint.Name); endpoint.DrainUntil != nil && (known == nil || known.DrainUntil == nil) {
			endpoint.Message = "it left the spec, and will be removed at " + endpoint.DrainUntil.UTC().Format(time.RFC3339)
			leaving = append(leaving, endpoint)
		}
	}
	for i, endpoint := range before.Endpoints {
		if endpoint.DrainUntil != nil && is.find(i, endpoint.Name) == nil {
			endpoint.Message = "it left the spec, and its drain period is over"
			gone = append(gone, endpoint)
		}
	}
	return append(changes(leaving, maxIndividualEvents, false, endpointDrainingEvent, "draining"), changes(gone, maxIndividualEvents, false, endpointDrainedEvent, "gone")...)
}

// tierChange reports a standby tier that has taken over, and its end.
func tierChange(before, after *farpointv1.ExternalServiceStatus) []PendingEvent {
	was := meta.IsStatusConditionTrue(before.Conditions, farpointv1.FailedOverCondition)
	is := meta.FindStatusCondition(after.Conditions, farpointv1.FailedOverCondition)
	switch {
	case is != nil && (!was || after.Tier > before.Tier):
		return []PendingEvent{{true, farpointv1.FailedOverCondition, is.Message}}
	case was && after.Tier < before.Tier:
		note := fmt.Sprintf("Tier %d is the last in use again", after.Tier)
		if available := meta.FindStatusCondition(after.Conditions, farpointv1.AvailableCondition); available != nil {
			note += ": " + available.Message
		}
		return []PendingEvent{{false, failedBackEvent, note}}
	}
	return nil
}

// changes reports each endpoint, or all together if they are more than most.
func changes(endpoints []farpointv1.EndpointStatus, most int, warning bool, reason, word string) []PendingEvent {
	if len(endpoints) > most {
		names := make([]string, min(maxIndividualEvents, len(endpoints)))
		for i := range names {
			names[i] = endpoints[i].Name
		}
		note := fmt.Sprintf("%d endpoints are %s: %s", len(endpoints), word, strings.Join(names, ", "))
		if len(endpoints) > len(names) {
			note += " and others"
		}
		return []PendingEvent{{warning, reason, note}}
	}
	events := make([]PendingEvent, len(endpoints))
	for i, endpoint := range endpoints {
		note := fmt.Sprintf("Endpoint %s is %s", endpoint.Name, word)
		if endpoint.Message != "" {
			note += ": " + endpoint.Message
		}
		events[i] = PendingEvent{warning, reason, note}
	}
	return events
}

func conditionChanges(before, after []metav1.Condition) []PendingEvent {
	var events []PendingEvent
	was, is := meta.FindStatusCondition(before, farpointv1.AvailableCondition), meta.FindStatusCondition(after, farpointv1.AvailableCondition)
	switch {
	case was == nil || is == nil || was.Status == is.Status:
	case is.Status == metav1.ConditionFalse:
		events = append(events, PendingEvent{true, unavailableEvent, is.Message})
	case was.Status == metav1.ConditionFalse && is.Status == metav1.ConditionTrue:
		events = append(events, PendingEvent{false, availableEvent, is.Message})
	}
	for _, kind := range []string{farpointv1.FailOpenCondition, farpointv1.TooManyReadyCondition, farpointv1.OperatorIsolatedCondition} { // present only while they are True
		was, is = meta.FindStatusCondition(before, kind), meta.FindStatusCondition(after, kind)
		switch {
		case is != nil && (was == nil || was.Reason != is.Reason):
			events = append(events, PendingEvent{true, kind, is.Message})
		case is == nil && was != nil && kind == farpointv1.TooManyReadyCondition:
			events = append(events, PendingEvent{false, tooManyReadyEndedEvent, "No more servers are healthy than maxReady"})
		case is == nil && was != nil && kind == farpointv1.FailOpenCondition:
			events = append(events, PendingEvent{false, failOpenEndedEvent, meta.FindStatusCondition(after, farpointv1.AvailableCondition).Message})
		}
	}
	events = append(events, nameChange(before, after)...)
	events = append(events, familyChange(before, after)...)
	events = append(events, staleChange(before, after)...)
	was, is = meta.FindStatusCondition(before, farpointv1.ReadyCondition), meta.FindStatusCondition(after, farpointv1.ReadyCondition)
	if is != nil && (was == nil || was.Reason != is.Reason) && (was != nil || is.Status != metav1.ConditionTrue) {
		events = append(events, PendingEvent{is.Status != metav1.ConditionTrue, is.Reason, is.Message})
	}
	return events
}

// staleChange reports verdicts that have become stale, and the end of that.
func staleChange(before, after []metav1.Condition) []PendingEvent {
	was, is := meta.FindStatusCondition(before, farpointv1.VerdictsCurrentCondition), meta.FindStatusCondition(after, farpointv1.VerdictsCurrentCondition)
	switch {
	case is != nil && was == nil:
		return []PendingEvent{{true, farpointv1.VerdictsStaleReason, is.Message}}
	case is == nil && was != nil:
		return []PendingEvent{{false, farpointv1.VerdictsCurrentCondition, "Probes yield results for all endpoints again"}}
	}
	return nil
}

// nameChange reports names that cannot be resolved, unless Ready does, and that they are resolved
// again.
func nameChange(before, after []metav1.Condition) []PendingEvent {
	was, is := meta.FindStatusCondition(before, farpointv1.AddressesResolvedCondition), meta.FindStatusCondition(after, farpointv1.AddressesResolvedCondition)
	ready := meta.FindStatusCondition(after, farpointv1.ReadyCondition)
	switch {
	case is == nil:
	case is.Status == metav1.ConditionFalse && (was == nil || was.Reason != is.Reason) && (ready == nil || ready.Reason != is.Reason):
		return []PendingEvent{{true, is.Reason, is.Message}}
	case is.Status == metav1.ConditionTrue && was != nil && was.Status == metav1.ConditionFalse:
		return []PendingEvent{{false, farpointv1.AddressesResolvedCondition, is.Message}}
	}
	return nil
}
