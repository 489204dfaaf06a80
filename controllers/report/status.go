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
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/targets"
)

// Findings are everything that a status is made from.
type Findings struct {
	Service TargetService
	// Fault is what keeps the spec's health check from being made; nil if nothing does. Endpoints
	// are then probed by the last sound one.
	Fault *targets.Fault
	// Targets are nil if the endpoints could not be evaluated because there is no Service.
	Targets  *targets.Targets
	Verdicts []endpoint.Verdict
	// Availability is what the roles of the endpoints amount to; nil without targets.
	Availability availability.Decisions
	// Excess is what exceeds spec.availability.maxReady.
	Excess availability.Excess
	// PortsReason and PortsMessage describe ports that do not match; "" if all do.
	PortsReason, PortsMessage string
	// FamiliesReason and FamiliesMessage describe address families that do not match; "" if all
	// do.
	FamiliesReason, FamiliesMessage string
	// Traffic is the decision about hints, which keep traffic near.
	Traffic sliceplan.HintDecision
	// Conflict says which other publisher for the Service is in the way; nil if none is. With
	// ConflictsUnknown, not all of them are known yet.
	Conflict         *conflicts.Conflict
	ConflictsUnknown bool
	// Held: an endpoint would have been taken out if the operator's own network were not down.
	Held bool
	// Published are the slices of this object that the API server holds.
	Published []*discoveryv1.EndpointSlice
	// Refused joins the errors of slices that the API server refused; nil if there was none. With
	// Altered, the API server holds something else than was written.
	Refused error
	Altered bool
	// Withheld: slices were not created, since what they depend on is being deleted.
	Withheld bool
	// Endpoints is the result of keeping an Endpoints object.
	Endpoints EndpointsObject
	// WriteFailed is the error of the last write; nil if there was none.
	WriteFailed error
}

func (f Findings) publishesNotReady() bool {
	return f.Service.Service != nil && f.Service.Service.Spec.PublishNotReadyAddresses
}

// Summarize makes the status that the findings amount to. What has not changed since the
// present status keeps its time. It changes neither argument.
func Summarize(present *farpointv1.ExternalService, findings Findings, now metav1.Time) farpointv1.ExternalServiceStatus {
	status := *present.Status.DeepCopy()
	status.TargetService = phrase.NameFrom(present.Namespace, ownership.TargetService(present))
	status.EndpointSlices = int32(len(findings.Published))
	status.Endpoints = endpointStatuses(present, findings, now)
	if findings.differs() {
		correctPublished(status.Endpoints, findings.Published)
	}
	total := len(present.Spec.Endpoints)
	if findings.Targets != nil {
		status.Tier = findings.Availability.LastTier(findings.Service.Service)
		total = len(status.Endpoints) - countLeft(status.Endpoints)
	}
	count(&status, total, findings.Service.Service != nil)
	set := conditionSetter{status: &status, generation: present.Generation, now: now}
	setTargetServiceResolved(set, findings)
	setPortsMatched(set, findings)
	setFamiliesMatched(set, findings)
	setEndpointsAccepted(set, findings)
	setProgrammed(set, findings.Refused, findings.Altered)
	setAddressesResolved(set, findings)
	setTrafficPolicyEffective(set, findings)
	setNoConflicts(set, findings)
	setEndpointsPublished(set, findings.Endpoints)
	setFailOpen(set, present, findings)
	setFailedOver(set, present, findings)
	setTooManyReady(set, findings)
	setAvailable(set, present, findings)
	setDegraded(set)
	setOperatorIsolated(set, findings)
	setVerdictsCurrent(set, findings)
	setReady(set, findings)
	if findings.WriteFailed == nil {
		status.ObservedGeneration = present.Generation
	}
	return status
}

// conditionSetter sets conditions of one status.
type conditionSetter struct {
	status     *farpointv1.ExternalServiceStatus
	generation int64
	now        metav1.Time
}

func (s conditionSetter) set(kind string, value metav1.ConditionStatus, reason, message string) {
	const longest = 4096 // metav1.Condition holds at most 32 KiB of message (its CRD validation)
	meta.SetStatusCondition(&s.status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: phrase.Cut(message, longest),
		ObservedGeneration: s.generation, LastTransitionTime: s.now,
	})
}

func (s conditionSetter) remove(kind string) {
	meta.RemoveStatusCondition(&s.status.Conditions, kind)
}

func setTargetServiceResolved(set conditionSetter, findings Findings) {
	value := metav1.ConditionFalse
	if findings.Service.Resolved() {
		value = metav1.ConditionTrue
	}
	set.set(farpointv1.TargetServiceResolvedCondition, value, findings.Service.Reason, findings.Service.Message)
}

func setPortsMatched(set conditionSetter, findings Findings) {
	switch {
	case findings.Targets == nil:
		set.set(farpointv1.PortsMatchedCondition, metav1.ConditionUnknown, farpointv1.NotJudgedReason, "the endpoints were not checked: see the condition Ready")
	case findings.PortsReason != "":
		set.set(farpointv1.PortsMatchedCondition, metav1.ConditionFalse, findings.PortsReason, findings.PortsMessage)
	default:
		set.set(farpointv1.PortsMatchedCondition, metav1.ConditionTrue, farpointv1.PortsMatchedReason, "ports match the Service's")
	}
}

func setEndpointsAccepted(set conditionSetter, findings Findings) {
	if findings.Targets == nil {
		set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionUnknown, farpointv1.NotJudgedReason, "the endpoints were not checked: see the condition Ready")
		return
	}
	if reason, message := findings.Targets.Rejections(); reason != "" {
		set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionFalse, reason, message)
		return
	}
	if reason, message := withheldCredentials(findings.Verdicts); reason != "" {
		set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionFalse, reason, message)
		return
	}
	set.set(farpointv1.EndpointsAcceptedCondition, metav1.ConditionTrue, farpointv1.EndpointsAcceptedReason, "all endpoints are probed and published")
}

// setAddressesResolved leaves the condition as it is while nothing better is known.
func setAddressesResolved(set conditionSetter, findings Findings) {
	if findings.Targets == nil {
		return
	}
	if findings.Targets.Names.Names == 0 {
		set.remove(farpointv1.AddressesResolvedCondition)
		return
	}
	value, reason, message := findings.Targets.Names.Condition()
	if value == metav1.ConditionUnknown && meta.FindStatusCondition(set.status.Conditions, farpointv1.AddressesResolvedCondition) != nil {
		return
	}
	if shared := findings.Targets.SharedNames(); shared != "" {
		message += "; " + shared
	}
	set.set(farpointv1.AddressesResolvedCondition, value, reason, message)
}

func setNoConflicts(set conditionSetter, findings Findings) {
	if findings.ConflictsUnknown && meta.FindStatusCondition(set.status.Conditions, farpointv1.NoConflictsCondition) != nil {
		return // unchanged, so that it does not flip and flip back
	}
	if findings.Conflict != nil {
		set.set(farpointv1.NoConflictsCondition, metav1.ConditionFalse, findings.Conflict.Reason, findings.Conflict.Message)
		return
	}
	set.set(farpointv1.NoConflictsCondition, metav1.ConditionTrue, farpointv1.NoConflictsReason, "nobody else publishes conflicting endpoints")
}

func setOperatorIsolated(set conditionSetter, findings Findings) {
	if !findings.Held {
		set.remove(farpointv1.OperatorIsolatedCondition)
		return
	}
	set.set(farpointv1.OperatorIsolatedCondition, metav1.ConditionTrue, farpointv1.VerdictsHeldReason,
		"the operator's own network seems to be down, so failing endpoints are not taken out: check the operator's network, its sidecars and its clock")
}

// setReady draws Ready, Reconciling and Stalled from the conditions before them. The first thing
// that is wrong wins, in the order in which a user would have to fix them.
func setReady(set conditionSetter, findings Findings) {
	obstacle := findings.obstacle(set.status)
	if obstacle == nil {
		set.remove(farpointv1.ReconcilingCondition)
		set.remove(farpointv1.StalledCondition)
		set.set(farpointv1.ReadyCondition, metav1.ConditionTrue, farpointv1.PublishedReason, outline(set.status))
		return
	}
	set.set(farpointv1.ReadyCondition, metav1.ConditionFalse, obstacle.Reason, obstacle.Message)
	kind, other := farpointv1.StalledCondition, farpointv1.ReconcilingCondition
	if obstacle.Awaited {
		kind, other = other, kind
	}
	set.remove(other)
	set.set(kind, metav1.ConditionTrue, obstacle.Reason, obstacle.Message)
}

// obstacle returns what keeps the object from being ready; nil if nothing does.
func (f Findings) obstacle(status *farpointv1.ExternalServiceStatus) *targets.Fault {
	if !f.Service.Resolved() {
		return &targets.Fault{Reason: f.Service.Reason, Message: f.Service.Message, Awaited: f.Service.Awaited}
	}
	if f.Fault != nil {
		return f.Fault
	}
	if condition := meta.FindStatusCondition(status.Conditions, farpointv1.EndpointsAcceptedCondition); condition.Status == metav1.ConditionFalse {
		// A Secret may come; an endpoint of the spec never fixes itself.
		return &targets.Fault{Reason: condition.Reason, Message: condition.Message, Awaited: condition.Reason == farpointv1.CredentialsUnavailableReason || condition.Reason == farpointv1.CertificatesUnavailableReason}
	}
	if unresolved := f.Targets.Unresolved(); unresolved != nil {
		return &targets.Fault{Reason: unresolved.Reason, Message: unresolved.Message, Awaited: true}
	}
	if f.PortsReason == farpointv1.PortNotInServiceReason {
		return &targets.Fault{Reason: f.PortsReason, Message: f.PortsMessage}
	}
	if f.WriteFailed != nil {
		return &targets.Fault{Reason: farpointv1.WriteFailedReason, Message: f.WriteFailed.Error(), Awaited: true}
	}
	if f.Altered {
		condition := meta.FindStatusCondition(status.Conditions, farpointv1.ProgrammedCondition)
		return &targets.Fault{Reason: condition.Reason, Message: condition.Message, Awaited: true}
	}
	if kept := f.Endpoints; kept.Requested && !kept.Published && kept.Reason != "" {
		return &targets.Fault{Reason: kept.Reason, Message: kept.Message}
	}
	return nil
}

// NotProgrammed returns the present status, with the condition that the API server refuses a
// write.
func NotProgrammed(present *farpointv1.ExternalService, refused error, now metav1.Time) farpointv1.ExternalServiceStatus {
	status := *present.Status.DeepCopy()
	setProgrammed(conditionSetter{status: &status, generation: present.Generation, now: now}, refused, false)
	return status
}

// Suspended returns the status of an object whose slices are left as they are, except for
// endpoints that may no longer be published: existing are the slices before that, and published
// those after.
func Suspended(present *farpointv1.ExternalService, existing, published []*discoveryv1.EndpointSlice, now metav1.Time) farpointv1.ExternalServiceStatus {
	status := *present.Status.DeepCopy()
	status.TargetService = phrase.NameFrom(present.Namespace, ownership.TargetService(present))
	status.ObservedGeneration = present.Generation
	set := conditionSetter{status: &status, generation: present.Generation, now: now}
	set.remove(farpointv1.ReconcilingCondition)
	set.remove(farpointv1.StalledCondition)
	set.set(farpointv1.ReadyCondition, metav1.ConditionTrue, farpointv1.SuspendedReason, "suspended: nothing is probed, and the EndpointSlices stay as they are")
	if len(existing) > 0 {
		status.Endpoints = withPublished(status.Endpoints, published)
		count(&status, int(status.Total), status.Ready > 0)
	}
	status.EndpointSlices = int32(len(published))
	return status
}
