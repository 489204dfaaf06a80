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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// EndpointsObject is the result of keeping an Endpoints object.
type EndpointsObject struct {
	// Requested: the spec requests it. Otherwise nothing else is set.
	Requested, Published bool
	// Reason and message are those of the condition EndpointsPublished.
	Reason, Message string
	// Retry: no watch reports when the object that is in the way is gone.
	Retry bool
}

func setEndpointsPublished(set conditionSetter, kept EndpointsObject) {
	value := metav1.ConditionFalse
	switch {
	case !kept.Requested:
		set.remove(farpointv1.EndpointsPublishedCondition)
		return
	case kept.Reason == "":
		return // nothing was done about it
	case kept.Published:
		value = metav1.ConditionTrue
	case kept.Reason == farpointv1.NotJudgedReason:
		value = metav1.ConditionUnknown
	}
	set.set(farpointv1.EndpointsPublishedCondition, value, kept.Reason, kept.Message)
}
