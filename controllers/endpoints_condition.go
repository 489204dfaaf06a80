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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// endpointsFinding is what came of keeping an Endpoints object.
type endpointsFinding struct {
	// wanted: it was asked for. Nothing else is set otherwise.
	wanted, published bool
	// reason and message are those of the condition EndpointsPublished.
	reason, message string
	// retry: no watch reports when the object that is in the way is gone.
	retry bool
}

func setEndpointsPublished(set conditionSetter, kept endpointsFinding) {
	value := metav1.ConditionFalse
	switch {
	case !kept.wanted:
		set.remove(farpointv1.EndpointsPublishedCondition)
		return
	case kept.reason == "":
		return // nothing was done about it
	case kept.published:
		value = metav1.ConditionTrue
	case kept.reason == farpointv1.NotJudgedReason:
		value = metav1.ConditionUnknown
	}
	set.set(farpointv1.EndpointsPublishedCondition, value, kept.reason, kept.message)
}
