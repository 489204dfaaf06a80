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

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// setFailOpen leaves the condition as it is while the slices are left as they are.
func setFailOpen(set conditionSetter, present *farpointv1.ExternalService, found findings) {
	switch {
	case found.targets != nil && found.standing.failOpen != "":
		set.set(farpointv1.FailOpenCondition, metav1.ConditionTrue, found.standing.failOpen, found.standing.openMessage(rulesOf(&present.Spec.Availability)))
	case found.targets != nil || found.service.service == nil:
		set.remove(farpointv1.FailOpenCondition)
	}
}

// setFailedOver leaves the condition as it is while the slices are left as they are.
func setFailedOver(set conditionSetter, present *farpointv1.ExternalService, found findings) {
	switch {
	case found.targets != nil && found.standing.failedOver:
		set.set(farpointv1.FailedOverCondition, metav1.ConditionTrue, farpointv1.TooFewHealthyReason, found.standing.tierMessage(rulesOf(&present.Spec.Availability)))
	case found.targets != nil || found.service.service == nil:
		set.remove(farpointv1.FailedOverCondition)
	}
}

// setAvailable comes after setFailOpen.
func setAvailable(set conditionSetter, present *farpointv1.ExternalService) {
	status := set.status
	isOpen := meta.IsStatusConditionTrue(status.Conditions, farpointv1.FailOpenCondition)
	opened := 0
	for i := range status.Endpoints {
		if isOpen && status.Endpoints[i].Published == farpointv1.PublishedFailOpen {
			opened++
		}
	}
	minReady := rulesOf(&present.Spec.Availability).minReady
	ready := int(status.Ready) - opened
	message := readiness(status, opened, minReady)
	switch {
	case ready >= minReady && isOpen:
		set.set(farpointv1.AvailableCondition, metav1.ConditionTrue, farpointv1.FailingOpenReason, message)
	case ready >= minReady:
		set.set(farpointv1.AvailableCondition, metav1.ConditionTrue, farpointv1.EndpointsReadyReason, message)
	case isOpen:
		set.set(farpointv1.AvailableCondition, metav1.ConditionFalse, farpointv1.FailingOpenReason, message)
	case ready+int(status.Unknown) >= minReady:
		set.set(farpointv1.AvailableCondition, metav1.ConditionUnknown, farpointv1.AwaitingProbesReason, fmt.Sprintf("%s, %d have had no verdict", message, status.Unknown))
	case ready > 0:
		set.set(farpointv1.AvailableCondition, metav1.ConditionFalse, farpointv1.TooFewEndpointsReadyReason, message)
	default:
		set.set(farpointv1.AvailableCondition, metav1.ConditionFalse, farpointv1.NoEndpointsReadyReason, message)
	}
}

// readiness says in a sentence how many endpoints get traffic.
func readiness(status *farpointv1.ExternalServiceStatus, opened, minReady int) string {
	text := fmt.Sprintf("%d of %d endpoints are ready", status.Ready, status.Total)
	if opened > 0 {
		text = fmt.Sprintf("%d of %d endpoints get traffic, %d of them not healthy", status.Ready, status.Total, opened)
	}
	if int(status.Ready)-opened < minReady && minReady > 1 {
		text += fmt.Sprintf(", fewer than minReady (%d)", minReady)
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
	set.set(farpointv1.DegradedCondition, metav1.ConditionTrue, farpointv1.EndpointsUnhealthyReason, "unhealthy: "+shortened(unhealthy, ", "))
}

// outline is what kubectl get -o wide shows of an object that is as it should be.
func outline(status *farpointv1.ExternalServiceStatus) string {
	text := meta.FindStatusCondition(status.Conditions, farpointv1.AvailableCondition).Message
	for _, kind := range []string{farpointv1.FailedOverCondition, farpointv1.FailOpenCondition, farpointv1.DegradedCondition} {
		if found := meta.FindStatusCondition(status.Conditions, kind); found != nil && found.Status == metav1.ConditionTrue {
			text += "; " + found.Message
		}
	}
	return text
}
