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
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/probes"
)

// longestMessage bounds the message of an endpoint, in bytes. A thousand of them have to fit into
// an object (1.5 MiB, etcd's --max-request-bytes).
const longestMessage = 512

// endpointStatuses returns the statuses in the order of the spec, followed by those of endpoints
// that have left it. The present statuses stay if the endpoints could not be evaluated.
func endpointStatuses(present *farpointv1.ExternalService, findings Findings, now metav1.Time) []farpointv1.EndpointStatus {
	if findings.Targets == nil {
		return slices.DeleteFunc(slices.Clone(present.Status.Endpoints), func(endpoint farpointv1.EndpointStatus) bool {
			return endpoint.DrainUntil != nil && findings.Service.Service == nil // its slice has gone
		})
	}
	before := previousStatus{list: present.Status.Endpoints}
	names := findings.Targets.Names
	statuses := make([]farpointv1.EndpointStatus, 0, names.Len())
	verdicts := findings.Verdicts
	lastRejected := -1 // a name that is set aside with several addresses has one entry
	for i := range names.Len() {
		refused, isRefused := findings.Targets.Rejected[i]
		var status farpointv1.EndpointStatus
		switch {
		case len(verdicts) > 0 && verdicts[0].Index == i:
			status = endpointStatus(&verdicts[0], findings.publishesNotReady())
			verdicts = verdicts[1:]
			if isRefused { // it is held
				status.Reason, status.Message = refused.Reason, phrase.Cut(refused.Message, longestMessage)
			}
		case isRefused && names.At(i).Origin != lastRejected:
			lastRejected = names.At(i).Origin
			status = rejectedStatus(lastRejected, names.Spec, refused)
		default:
			continue // it is shared, see targets.Targets.SharedNames
		}
		keepKnown(&status, before.find(len(statuses), status.Name), now)
		statuses = append(statuses, status)
	}
	for i := range verdicts { // they have left the spec
		status := endpointStatus(&verdicts[i], findings.publishesNotReady())
		keepKnown(&status, before.find(len(statuses), status.Name), now)
		statuses = append(statuses, status)
	}
	return statuses
}

// withPublished returns the statuses, with Published empty for endpoints that are in none of the
// slices any more.
func withPublished(statuses []farpointv1.EndpointStatus, in []*discoveryv1.EndpointSlice) []farpointv1.EndpointStatus {
	there := map[string]bool{}
	for _, slice := range in {
		for i := range slice.Endpoints {
			for _, port := range slice.Ports {
				there[endpoint.HostOf(slice.Endpoints[i].Addresses[0]).Key(port).String()] = true
			}
		}
	}
	statuses = slices.Clone(statuses)
	for i := range statuses {
		if !there[statuses[i].Name] {
			statuses[i].Published = ""
		}
	}
	return statuses
}

// rejectedStatus names the endpoint by its index in the spec, since its address or port may be
// what is wrong with it.
func rejectedStatus(origin int, spec *farpointv1.ExternalServiceSpec, refused endpoint.Rejection) farpointv1.EndpointStatus {
	status := farpointv1.EndpointStatus{
		Name:    fmt.Sprintf("endpoints[%d]", origin),
		Address: spec.Endpoints[origin].Address,
		State:   endpoint.StateOf(&spec.Endpoints[origin]),
		Health:  farpointv1.EndpointRejected,
		Reason:  refused.Reason,
		Message: phrase.Cut(refused.Message, longestMessage),
	}
	if refused.Reason == farpointv1.ResolvingReason {
		status.Health = farpointv1.EndpointHealthUnknown
	}
	return status
}

func endpointStatus(known *endpoint.Verdict, publishNotReady bool) farpointv1.EndpointStatus {
	status := farpointv1.EndpointStatus{
		Name:               known.Name,
		Address:            known.Spec.Address,
		State:              endpoint.StateOf(known.Spec),
		Health:             endpoint.HealthOf(known.Health.State),
		Reason:             known.Health.Cause.Reason.String(),
		Message:            known.Health.Cause.Message(),
		Published:          known.Publication(publishNotReady),
		LastTransitionTime: metav1.Time{Time: known.Health.Since()},
		StateUntil:         timeOrNil(known.StateUntil),
		DrainUntil:         timeOrNil(known.DrainUntil),
	}
	if reason := endpoint.StaleReason(known); reason != probes.ReasonNone {
		status.Stale, status.Reason, status.Message = true, reason.String(), probes.Result{Reason: reason}.Message()
	}
	if from := known.Resolved; from != nil {
		status.ResolvedFrom, status.Target = from.Address, from.Target
		if from.Target != "" {
			status.Priority = known.Spec.Priority
		}
	}
	return status
}

// keepKnown carries over what the present status knows better: since when an endpoint has its
// health, and why, if its verdict was not reached by probing since the operator started.
func keepKnown(status, before *farpointv1.EndpointStatus, now metav1.Time) {
	// The API keeps whole seconds; so must what is compared with it.
	status.LastTransitionTime = status.LastTransitionTime.Rfc3339Copy()
	switch {
	case before != nil && before.Health == status.Health:
		status.LastTransitionTime = before.LastTransitionTime
		if status.Health != farpointv1.EndpointHealthy && status.State != farpointv1.EndpointDisabled && status.Reason == "" {
			status.Reason, status.Message = before.Reason, before.Message
		}
	case status.LastTransitionTime.IsZero():
		status.LastTransitionTime = now.Rfc3339Copy()
	}
}

// count counts endpoints by their statuses. Without a Service nothing is published, whatever
// these say.
func count(status *farpointv1.ExternalServiceStatus, total int, served bool) {
	status.Total = int32(total)
	status.Ready, status.Standby, status.Unhealthy, status.Unknown = 0, 0, 0, 0
	status.Draining, status.Disabled, status.Rejected, status.Stale = 0, 0, 0, 0
	for i := range status.Endpoints {
		ep := &status.Endpoints[i]
		if ep.Stale {
			status.Stale++
		}
		if counter := counterOf(status, ep); counter != nil {
			*counter++
		}
		if served && endpoint.GetsTraffic(ep.Published) {
			status.Ready++
		}
	}
	status.ReadyEndpoints = fmt.Sprintf("%d/%d", status.Ready, status.Total)
}

// countLeft counts the endpoints that have left the spec.
func countLeft(endpoints []farpointv1.EndpointStatus) int {
	left := 0
	for i := range endpoints {
		if endpoints[i].DrainUntil != nil {
			left++
		}
	}
	return left
}

// counterOf returns the count that an endpoint belongs to; nil for one that is ready and healthy.
func counterOf(status *farpointv1.ExternalServiceStatus, endpoint *farpointv1.EndpointStatus) *int32 {
	switch {
	case endpoint.Health == farpointv1.EndpointRejected:
		return &status.Rejected
	case endpoint.State == farpointv1.EndpointDisabled:
		return &status.Disabled
	case endpoint.State == farpointv1.EndpointDraining, endpoint.Health == farpointv1.EndpointHealthDraining:
		return &status.Draining
	case endpoint.Health == farpointv1.EndpointIneligible:
		return &status.Standby
	case endpoint.Health == farpointv1.EndpointUnhealthy:
		return &status.Unhealthy
	case endpoint.Health == farpointv1.EndpointHealthUnknown:
		return &status.Unknown
	case endpoint.Published == farpointv1.PublishedStandby:
		return &status.Standby
	}
	return nil
}

// previousStatus finds an endpoint in a status.
type previousStatus struct {
	list   []farpointv1.EndpointStatus
	byName map[string]*farpointv1.EndpointStatus
}

// find looks first where the endpoint was if no other was added or removed before it; nil if the
// status does not have it.
func (t *previousStatus) find(index int, name string) *farpointv1.EndpointStatus {
	if index < len(t.list) && t.list[index].Name == name {
		return &t.list[index]
	}
	if t.byName == nil {
		t.byName = make(map[string]*farpointv1.EndpointStatus, len(t.list))
		for i := range t.list {
			t.byName[t.list[i].Name] = &t.list[i]
		}
	}
	return t.byName[name]
}

func timeOrNil(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}
