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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/phrase"
)

// setVerdictsCurrent leaves the condition as it is while the endpoints are not evaluated.
func setVerdictsCurrent(set conditionSetter, findings Findings) {
	if findings.Targets == nil {
		return
	}
	var stale []string
	for i := range set.status.Endpoints {
		if endpoint := &set.status.Endpoints[i]; endpoint.Stale {
			stale = append(stale, fmt.Sprintf("%s (%s)", endpoint.Name, endpoint.Reason))
		}
	}
	if len(stale) == 0 {
		set.remove(farpointv1.VerdictsCurrentCondition)
		return
	}
	set.set(farpointv1.VerdictsCurrentCondition, metav1.ConditionFalse, farpointv1.VerdictsStaleReason,
		"probes yield no result, so the last verdict is kept and may be wrong: "+phrase.List(stale, ", "))
}
