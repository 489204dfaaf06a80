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

package controllers

import (
	"fmt"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

// findings are all that a status is made from.
type findings struct {
	service serviceFinding
	// within is what the object is confined to.
	within *confines
	// expelled: nothing is carried out, but endpoints went that may not be published.
	expelled bool
	// fault is what keeps the spec's health check from being carried out; nil if nothing
	// does.
	fault *fault
	// targets are nil if the endpoints could not be judged for want of a Service or of a
	// health check.
	targets  *targets
	verdicts []verdict
	// standing is what the roles of the endpoints amount to.
	standing standing
	// portsReason and portsMessage tell of ports that do not match; "" if all do.
	portsReason, portsMessage string
	// traffic is what came of the wish to keep traffic near.
	traffic trafficFinding
	// around is what else leads the Service's traffic somewhere.
	around neighbours
	// conflict tells what of it is in the way; nil if nothing is. With conflictsUnknown,
	// not all of it is known yet.
	conflict         *conflict
	conflictsUnknown bool
	// held: an endpoint would have been taken out, had the operator not lost its network.
	held bool
	// slices counts the slices of this object; published are they, if an Endpoints object
	// is to say the same.
	slices    int
	published []*discoveryv1.EndpointSlice
	// endpoints is what came of keeping an Endpoints object.
	endpoints endpointsFinding
	// writeFailed is the error of the last write; nil if there was none.
	writeFailed error
}

func (f findings) publishesNotReady() bool {
	return f.service.service != nil && f.service.service.Spec.PublishNotReadyAddresses
}

// fault is something about an object as a whole that keeps it from being carried out.
type fault struct {
	reason, message string
	// awaited means that it may mend itself without an edit of the ExternalService.
	awaited bool
}

// summarize makes the status that the findings amount to. What has not changed since the
// present status keeps its time. It changes neither argument.
func summarize(present *farpointv1.ExternalService, found findings, now metav1.Time) farpointv1.ExternalServiceStatus {
	status := *present.Status.DeepCopy()
	status.TargetService = nameFrom(present.Namespace, targetKey(present))
	status.EndpointSlices = int32(found.slices)
	status.Endpoints = endpointStatuses(present, found, now)
	if found.targets != nil {
		status.Tier = found.standing.tier
	}
	count(&status, present, found)
	set := conditionSetter{status: &status, generation: present.Generation, now: now}
	setTargetServiceResolved(set, found)
	setPortsMatched(set, found)
	setEndpointsAccepted(set, found)
	setAddressesResolved(set, found)
	setTrafficPolicyEffective(set, found)
	setNoConflicts(set, found)
	setEndpointsPublished(set, found.endpoints)
	setFailOpen(set, present, found)
	setFailedOver(set, present, found)
	setAvailable(set, present)
	setDegraded(set)
	setOperatorIsolated(set, found)
	setReady(set, found)
	if found.writeFailed == nil {
		status.ObservedGeneration = present.Generation
	}
	return status
}

// endpointStatuses are in the order of the spec; those that have left it follow. The
// present ones stay if the endpoints could not be judged.
func endpointStatuses(present *farpointv1.ExternalService, found findings, now metav1.Time) []farpointv1.EndpointStatus {
	if found.targets == nil {
		return slices.DeleteFunc(slices.Clone(present.Status.Endpoints), func(endpoint farpointv1.EndpointStatus) bool {
			return endpoint.DrainUntil != nil && found.service.service == nil // its slice has gone
		})
	}
	before := toldBefore{list: present.Status.Endpoints}
	names := found.targets.names
	statuses := make([]farpointv1.EndpointStatus, 0, names.len())
	verdicts := found.verdicts
	for i := range names.len() {
		refused, isRefused := found.targets.rejected[i]
		var status farpointv1.EndpointStatus
		switch {
		case len(verdicts) > 0 && verdicts[0].index == i:
			status = endpointStatus(&verdicts[0], found.publishesNotReady())
			verdicts = verdicts[1:]
			if isRefused { // it is held
				status.Reason, status.Message = refused.reason, refused.message
			}
		case isRefused:
			status = rejectedStatus(names.at(i).origin, names.spec, refused)
		}
		if last := len(statuses) - 1; status.Name == "" || last >= 0 && statuses[last].Name == status.Name {
			continue // another name led to it as well, or more than one address of the name is set aside
		}
		keepKnown(&status, before.find(len(statuses), status.Name), now)
		statuses = append(statuses, status)
	}
	for i := range verdicts { // they have left the spec
		status := endpointStatus(&verdicts[i], found.publishesNotReady())
		keepKnown(&status, before.find(len(statuses), status.Name), now)
		statuses = append(statuses, status)
	}
	return statuses
}

// rejectedStatus names the endpoint by its place in the spec, since what would make its
// name is what may be wrong with it.
func rejectedStatus(origin int, spec *farpointv1.ExternalServiceSpec, refused rejection) farpointv1.EndpointStatus {
	status := farpointv1.EndpointStatus{
		Name:    fmt.Sprintf("endpoints[%d]", origin),
		Address: spec.Endpoints[origin].Address,
		State:   stateOf(&spec.Endpoints[origin]),
		Health:  farpointv1.EndpointRejected,
		Reason:  refused.reason,
		Message: refused.message,
	}
	if refused.reason == farpointv1.ResolvingReason {
		status.Health = farpointv1.EndpointHealthUnknown
	}
	return status
}

func endpointStatus(known *verdict, publishNotReady bool) farpointv1.EndpointStatus {
	status := farpointv1.EndpointStatus{
		Name:               known.name,
		Address:            known.spec.Address,
		State:              stateOf(known.spec),
		Health:             healthOf(known.health.State),
		Reason:             known.health.Cause.Reason.String(),
		Message:            known.health.Cause.Message(),
		Published:          known.publication(publishNotReady),
		LastTransitionTime: metav1.Time{Time: known.health.Since()},
		DrainUntil:         timeOrNil(known.drainUntil),
	}
	if from := known.resolved; from != nil {
		status.ResolvedFrom, status.Target = from.address, from.target
		if from.target != "" {
			status.Priority = known.spec.Priority
		}
	}
	return status
}

// keepKnown carries over what the present status knows better: since when an endpoint is
// what it is, and why, if its verdict was not reached by probing since the operator
// started.
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

func count(status *farpointv1.ExternalServiceStatus, present *farpointv1.ExternalService, found findings) {
	status.Total = int32(len(present.Spec.Endpoints))
	if found.targets != nil {
		status.Total = int32(len(status.Endpoints) - countLeft(status.Endpoints))
	}
	status.Ready, status.Standby, status.Unhealthy, status.Unknown = 0, 0, 0, 0
	status.Draining, status.Disabled, status.Rejected = 0, 0, 0
	for i := range status.Endpoints {
		endpoint := &status.Endpoints[i]
		if counter := counterOf(status, endpoint); counter != nil {
			*counter++
		}
		if isReady(endpoint.Published) && found.service.service != nil { // else nothing is published
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

// isReady tells whether an endpoint that is published in this way gets traffic.
func isReady(published farpointv1.EndpointPublication) bool {
	return published == farpointv1.PublishedReady || published == farpointv1.PublishedFailOpen || published == farpointv1.PublishedAlways
}

// counterOf is the count that an endpoint belongs to; nil for one that is ready and
// healthy.
func counterOf(status *farpointv1.ExternalServiceStatus, endpoint *farpointv1.EndpointStatus) *int32 {
	switch {
	case endpoint.Health == farpointv1.EndpointRejected:
		return &status.Rejected
	case endpoint.State == farpointv1.EndpointDisabled:
		return &status.Disabled
	case endpoint.State == farpointv1.EndpointDraining, endpoint.Health == farpointv1.EndpointHealthDraining:
		return &status.Draining
	case endpoint.Health == farpointv1.EndpointUnhealthy:
		return &status.Unhealthy
	case endpoint.Health == farpointv1.EndpointHealthUnknown:
		return &status.Unknown
	case endpoint.Published == farpointv1.PublishedStandby:
		return &status.Standby
	}
	return nil
}

// conditionSetter sets conditions of one status.
type conditionSetter struct {
	status     *farpointv1.ExternalServiceStatus
	generation int64
	now        metav1.Time
}

func (s conditionSetter) set(kind string, value metav1.ConditionStatus, reason, message string) {
	// metav1.Condition holds at most 32 KiB of message (its CRD validation).
	const longest = 4096
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "") + "…"
	}
	meta.SetStatusCondition(&s.status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: message,
		ObservedGeneration: s.generation, LastTransitionTime: s.now,
	})
}

func (s conditionSetter) remove(kind string) {
	meta.RemoveStatusCondition(&s.status.Conditions, kind)
}

func setTargetServiceResolved(set conditionSetter, found findings) {
	value := metav1.ConditionFalse
	if found.service.resolved() {
		value = metav1.ConditionTrue
	}
	set.set(farpointv1.TargetServiceResolvedCondition, value, found.service.reason, found.service.message)
}

func setPortsMatched(set conditionSetter, found findings) {
	switch {
	case found.targets == nil:
		set.set(farpointv1.PortsMatchedCondition, metav1.ConditionUnknown, farpointv1.NotJudgedReason, "the endpoints have not been judged: see the condition Ready")
	case found.portsReason != "":
		set.set(farpointv1.PortsMatchedCondition, metav1.ConditionFalse, found.portsReason, found.portsMessage)
	default:
		set.set(farpointv1.PortsMatchedCondition, metav1.ConditionTrue, farpointv1.PortsMatchedReason, "ports match the Service's")
	}
}

func setEndpointsAccepted(set conditionSetter, found findings) {
	if found.targets == nil {
		set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionUnknown, farpointv1.NotJudgedReason, "the endpoints have not been judged: see the condition Ready")
		return
	}
	if reason, message := found.targets.rejections(); reason != "" {
		set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionFalse, reason, message)
		return
	}
	set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionTrue, farpointv1.EndpointsAcceptedReason, "all endpoints are probed and published")
}

// setAddressesResolved leaves the condition as it is while nothing better is known.
func setAddressesResolved(set conditionSetter, found findings) {
	if found.targets == nil {
		return
	}
	if found.targets.names.names == 0 {
		set.remove(farpointv1.AddressesResolvedCondition)
		return
	}
	value, reason, message := found.targets.names.judge()
	if value == metav1.ConditionUnknown && meta.FindStatusCondition(set.status.Conditions, farpointv1.AddressesResolvedCondition) != nil {
		return
	}
	set.set(farpointv1.AddressesResolvedCondition, value, reason, message)
}

func setNoConflicts(set conditionSetter, found findings) {
	if found.conflictsUnknown && meta.FindStatusCondition(set.status.Conditions, farpointv1.NoConflictsCondition) != nil {
		return // as it was, rather than there and back
	}
	if found.conflict != nil {
		set.set(farpointv1.NoConflictsCondition, metav1.ConditionFalse, found.conflict.reason, found.conflict.message)
		return
	}
	set.set(farpointv1.NoConflictsCondition, metav1.ConditionTrue, farpointv1.NoConflictsReason, "nobody else publishes endpoints that these could be taken for")
}

func setOperatorIsolated(set conditionSetter, found findings) {
	if !found.held {
		set.remove(farpointv1.OperatorIsolatedCondition)
		return
	}
	set.set(farpointv1.OperatorIsolatedCondition, metav1.ConditionTrue, farpointv1.VerdictsHeldReason,
		"nearly everything that the operator probes fails in the network, so that failing endpoints stay as they are: see to the operator's own network")
}

// setReady draws Ready, Reconciling and Stalled from the conditions before them. The
// first thing that is wrong wins, in the order in which a user would have to mend them.
func setReady(set conditionSetter, found findings) {
	obstacle := found.obstacle(set.status)
	if obstacle == nil {
		set.remove(farpointv1.ReconcilingCondition)
		set.remove(farpointv1.StalledCondition)
		set.set(farpointv1.ReadyCondition, metav1.ConditionTrue, farpointv1.PublishedReason, outline(set.status))
		return
	}
	set.set(farpointv1.ReadyCondition, metav1.ConditionFalse, obstacle.reason, obstacle.message)
	kind, other := farpointv1.StalledCondition, farpointv1.ReconcilingCondition
	if obstacle.awaited {
		kind, other = other, kind
	}
	set.remove(other)
	set.set(kind, metav1.ConditionTrue, obstacle.reason, obstacle.message)
}

// obstacle is what keeps the object from being ready; nil if nothing does.
func (f findings) obstacle(status *farpointv1.ExternalServiceStatus) *fault {
	if !f.service.resolved() {
		return &fault{f.service.reason, f.service.message, f.service.awaited}
	}
	if f.fault != nil {
		return f.fault
	}
	if condition := meta.FindStatusCondition(status.Conditions, farpointv1.EndpointsAcceptedCondition); condition.Status == metav1.ConditionFalse {
		// A Secret may come; an endpoint of the spec mends itself never.
		return &fault{condition.Reason, condition.Message, condition.Reason == farpointv1.CredentialsUnavailableReason}
	}
	if unresolved := f.targets.unresolved(); unresolved != nil {
		return &fault{unresolved.reason, unresolved.message, true}
	}
	if f.portsReason == farpointv1.PortNotInServiceReason {
		return &fault{reason: f.portsReason, message: f.portsMessage}
	}
	if f.writeFailed != nil {
		return &fault{farpointv1.WriteFailedReason, f.writeFailed.Error(), true}
	}
	if kept := f.endpoints; kept.wanted && !kept.published && kept.reason != "" {
		return &fault{reason: kept.reason, message: kept.message}
	}
	return nil
}

// suspended is the status of an object whose slices are left as they are.
func suspended(present *farpointv1.ExternalService, now metav1.Time) farpointv1.ExternalServiceStatus {
	status := *present.Status.DeepCopy()
	status.TargetService = nameFrom(present.Namespace, targetKey(present))
	status.ObservedGeneration = present.Generation
	set := conditionSetter{status: &status, generation: present.Generation, now: now}
	set.remove(farpointv1.ReconcilingCondition)
	set.remove(farpointv1.StalledCondition)
	set.set(farpointv1.ReadyCondition, metav1.ConditionTrue, farpointv1.SuspendedReason, "suspended: nothing is probed, and the EndpointSlices stay as they are")
	return status
}

func stateOf(spec *farpointv1.Endpoint) farpointv1.EndpointState {
	if spec.State == "" {
		return farpointv1.EndpointActive
	}
	return spec.State
}

func healthOf(state probes.State) farpointv1.EndpointHealth {
	switch state {
	case probes.StateHealthy:
		return farpointv1.EndpointHealthy
	case probes.StateUnhealthy:
		return farpointv1.EndpointUnhealthy
	case probes.StateDraining:
		return farpointv1.EndpointHealthDraining
	default:
		return farpointv1.EndpointHealthUnknown
	}
}
