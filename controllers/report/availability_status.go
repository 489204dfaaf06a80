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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/probes/health"
)

// setFailOpen leaves the condition as it is while the slices are left as they are.
func setFailOpen(set conditionSetter, present *farpointv1.ExternalService, findings Findings) {
	served := findings.Availability.Served(findings.Service.Service)
	switch reason := served.FailOpenReason(); {
	case findings.Targets != nil && reason != "":
		set.set(farpointv1.FailOpenCondition, metav1.ConditionTrue, reason, served.FailOpenMessage(availability.RulesOf(&present.Spec.Availability)))
	case findings.Targets != nil || findings.Service.Service == nil:
		set.remove(farpointv1.FailOpenCondition)
	}
}

// setFailedOver leaves the condition as it is while the slices are left as they are.
func setFailedOver(set conditionSetter, present *farpointv1.ExternalService, findings Findings) {
	served := findings.Availability.Served(findings.Service.Service)
	switch {
	case findings.Targets != nil && served.FailedOver():
		set.set(farpointv1.FailedOverCondition, metav1.ConditionTrue, farpointv1.TooFewHealthyReason, served.FailedOverMessage(availability.RulesOf(&present.Spec.Availability)))
	case findings.Targets != nil || findings.Service.Service == nil:
		set.remove(farpointv1.FailedOverCondition)
	}
}

// setTooManyReady leaves the condition as it is while the slices are left as they are.
func setTooManyReady(set conditionSetter, findings Findings) {
	switch excess := findings.Excess; {
	case len(excess.Names) > 0:
		set.set(farpointv1.TooManyReadyCondition, metav1.ConditionTrue, farpointv1.MoreThanMaxReadyReason,
			fmt.Sprintf("%d servers are healthy, and maxReady is %d: %s get no traffic", excess.Healthy, excess.Max, phrase.List(excess.Names, ", ")))
	case findings.Targets != nil || findings.Service.Service == nil:
		set.remove(farpointv1.TooManyReadyCondition)
	}
}

// setFamiliesMatched leaves the condition as it is while nothing better is known.
func setFamiliesMatched(set conditionSetter, findings Findings) {
	switch {
	case findings.Targets != nil && findings.FamiliesReason != "":
		set.set(farpointv1.FamiliesMatchedCondition, metav1.ConditionFalse, findings.FamiliesReason, findings.FamiliesMessage)
	case findings.Targets != nil || findings.Service.Service == nil:
		set.remove(farpointv1.FamiliesMatchedCondition)
	}
}

// familyChange reports that the address families of the endpoints are not those of the Service.
func familyChange(before, after []metav1.Condition) []PendingEvent {
	was, is := meta.FindStatusCondition(before, farpointv1.FamiliesMatchedCondition), meta.FindStatusCondition(after, farpointv1.FamiliesMatchedCondition)
	if is == nil || was != nil && was.Reason == is.Reason {
		return nil
	}
	return []PendingEvent{{true, is.Reason, is.Message}}
}

// setAvailable comes after setFailOpen. The least available of the groups that clients can
// reach decides.
func setAvailable(set conditionSetter, present *farpointv1.ExternalService, findings Findings) {
	if len(findings.Availability) == 0 {
		setAvailableByCounts(set, present, findings)
		return
	}
	status, served := set.status, findings.Availability.Served(findings.Service.Service)
	minAvailable := availability.RulesOf(&present.Spec.Availability).MinAvailable
	pending := int(status.Unknown) // DNS names may lead to endpoints of any group
	for i := range findings.Verdicts {
		if v := &findings.Verdicts[i]; v.IsActive() && v.Health.State == health.StateUnknown {
			pending--
		}
	}
	worst, lacking := availability.GroupReadiness{Ready: minAvailable, Open: served.FailOpenReason() != ""}, []string(nil)
	if len(served) == 0 {
		worst.Ready, lacking = 0, []string{"none has an address family and a port of the Service"}
	}
	for i := range served {
		group := served[i].Readiness(findings.publishesNotReady())
		group.Unknown += pending
		if group.Ready < minAvailable {
			lacking = append(lacking, fmt.Sprintf("%s has %d", served[i], group.Ready))
		}
		if availableStatusOf(group, minAvailable).rank < availableStatusOf(worst, minAvailable).rank {
			worst = group
		}
	}
	message := readiness(status, countOpened(status), minAvailable)
	if len(served) == 0 || len(served) > 1 && len(lacking) > 0 && !served.Alike() {
		message += "; " + phrase.List(lacking, ", ")
	}
	decided := availableStatusOf(worst, minAvailable)
	if findings.differs() { // what the API server holds may be worse than what was decided
		held := availability.GroupReadiness{Ready: int(status.Ready) - countOpened(status), Unknown: int(status.Unknown), Open: worst.Open}
		if now := availableStatusOf(held, minAvailable); now.rank < decided.rank {
			decided = now
		}
	}
	set.set(farpointv1.AvailableCondition, decided.value, decided.reason, message+decided.remark(status))
}

// remark is what there is to say of a status besides how many endpoints get traffic.
func (s availableStatus) remark(status *farpointv1.ExternalServiceStatus) string {
	switch {
	case s.value == metav1.ConditionUnknown:
		return fmt.Sprintf(", %d have no verdict yet", status.Unknown)
	case s.reason == farpointv1.NoEndpointsEligibleReason:
		return ": each one reports that the traffic is for another one"
	}
	return ""
}

// availableStatus is what the condition Available says of a group. The worse it is, the lower is
// the rank.
type availableStatus struct {
	rank   int
	value  metav1.ConditionStatus
	reason string
}

func availableStatusOf(r availability.GroupReadiness, minAvailable int) availableStatus {
	switch {
	case r.Ready >= minAvailable && r.Open:
		return availableStatus{4, metav1.ConditionTrue, farpointv1.FailingOpenReason}
	case r.Ready >= minAvailable:
		return availableStatus{5, metav1.ConditionTrue, farpointv1.EndpointsReadyReason}
	case r.Open:
		return availableStatus{1, metav1.ConditionFalse, farpointv1.FailingOpenReason}
	case r.Ready+r.Unknown >= minAvailable:
		return availableStatus{3, metav1.ConditionUnknown, farpointv1.AwaitingProbesReason}
	case r.Ready == 0 && r.NoneEligible:
		return availableStatus{0, metav1.ConditionFalse, farpointv1.NoEndpointsEligibleReason}
	case r.Ready > 0:
		return availableStatus{2, metav1.ConditionFalse, farpointv1.TooFewEndpointsReadyReason}
	}
	return availableStatus{0, metav1.ConditionFalse, farpointv1.NoEndpointsReadyReason}
}

// setAvailableByCounts uses the endpoints' statuses, because there is no decision: there is no
// Service or no endpoint, or the slices are left as they are. In the last case the condition
// cannot have become better.
func setAvailableByCounts(set conditionSetter, present *farpointv1.ExternalService, findings Findings) {
	status := set.status
	opened, minAvailable := countOpened(status), availability.RulesOf(&present.Spec.Availability).MinAvailable
	counted := availability.GroupReadiness{Ready: int(status.Ready) - opened, Unknown: int(status.Unknown), Open: meta.IsStatusConditionTrue(status.Conditions, farpointv1.FailOpenCondition)}
	counted.NoneEligible = noneEligible(status)
	decided, message := availableStatusOf(counted, minAvailable), readiness(status, opened, minAvailable)
	before := meta.FindStatusCondition(status.Conditions, farpointv1.AvailableCondition)
	if findings.Targets == nil && findings.Service.Service != nil && before != nil && before.Status != metav1.ConditionTrue && decided.value == metav1.ConditionTrue {
		return
	}
	set.set(farpointv1.AvailableCondition, decided.value, decided.reason, message+decided.remark(status))
}

// noneEligible reports whether all active endpoints but those that drain are ineligible.
func noneEligible(status *farpointv1.ExternalServiceStatus) bool {
	some := false
	for i := range status.Endpoints {
		switch endpoint := &status.Endpoints[i]; {
		case endpoint.State != farpointv1.EndpointActive, endpoint.Health == farpointv1.EndpointHealthDraining, endpoint.Health == farpointv1.EndpointRejected:
		case endpoint.Health == farpointv1.EndpointIneligible:
			some = true
		default:
			return false
		}
	}
	return some
}

// countOpened counts the endpoints that get traffic by failing open, and those that get it
// although they are not healthy since the API server refuses to take them out.
func countOpened(status *farpointv1.ExternalServiceStatus) int {
	opened := 0
	isOpen := meta.IsStatusConditionTrue(status.Conditions, farpointv1.FailOpenCondition)
	for i := range status.Endpoints {
		endpoint := &status.Endpoints[i]
		stillReady := endpoint.Published == farpointv1.PublishedReady && endpoint.Health != farpointv1.EndpointHealthy
		if isOpen && endpoint.Published == farpointv1.PublishedFailOpen || stillReady {
			opened++
		}
	}
	return opened
}

// readiness says in a sentence how many endpoints get traffic.
func readiness(status *farpointv1.ExternalServiceStatus, opened, minAvailable int) string {
	text := fmt.Sprintf("%d of %d endpoints are ready", status.Ready, status.Total)
	if opened > 0 {
		text = fmt.Sprintf("%d of %d endpoints get traffic, %d of them unhealthy", status.Ready, status.Total, opened)
	}
	if int(status.Ready)-opened < minAvailable && minAvailable > 1 {
		text += fmt.Sprintf(", fewer than minAvailable (%d)", minAvailable)
	}
	if status.Standby > 0 {
		text += fmt.Sprintf(", %d on standby", status.Standby)
	}
	if status.Draining > 0 {
		text += fmt.Sprintf(", %d draining", status.Draining)
	}
	return text
}

func setDegraded(set conditionSetter) {
	var unhealthy []string
	for i := range set.status.Endpoints {
		endpoint := &set.status.Endpoints[i]
		if counterOf(set.status, endpoint) == &set.status.Unhealthy {
			unhealthy = append(unhealthy, fmt.Sprintf("%s (%s)", endpoint.Name, endpoint.Reason))
		}
	}
	if len(unhealthy) == 0 {
		set.set(farpointv1.DegradedCondition, metav1.ConditionFalse, farpointv1.NoEndpointsUnhealthyReason, "no active endpoint is unhealthy")
		return
	}
	set.set(farpointv1.DegradedCondition, metav1.ConditionTrue, farpointv1.EndpointsUnhealthyReason, "unhealthy: "+phrase.List(unhealthy, ", "))
}

// outline returns what kubectl get -o wide shows of an object that is Ready.
func outline(status *farpointv1.ExternalServiceStatus) string {
	text := meta.FindStatusCondition(status.Conditions, farpointv1.AvailableCondition).Message
	for _, kind := range []string{farpointv1.FailedOverCondition, farpointv1.FailOpenCondition, farpointv1.TooManyReadyCondition, farpointv1.DegradedCondition} {
		if condition := meta.FindStatusCondition(status.Conditions, kind); condition != nil && condition.Status == metav1.ConditionTrue {
			text += "; " + condition.Message
		}
	}
	return text
}

func setTrafficPolicyEffective(set conditionSetter, findings Findings) {
	if findings.Traffic.Reason == "" {
		set.remove(farpointv1.TrafficPolicyEffectiveCondition)
		return
	}
	value := metav1.ConditionFalse
	if findings.Traffic.Effective {
		value = metav1.ConditionTrue
	}
	set.set(farpointv1.TrafficPolicyEffectiveCondition, value, findings.Traffic.Reason, findings.Traffic.Message)
}
