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
	"errors"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
)

// differs reports whether the API server may hold other slices than those that the verdicts on
// the endpoints require.
func (f *Findings) differs() bool { return f.Refused != nil || f.Altered || f.Withheld }

// setProgrammed says whether the API server holds what is to be published.
func setProgrammed(set conditionSetter, refused error, altered bool) {
	switch {
	case refused != nil:
		set.set(farpointv1.ProgrammedCondition, metav1.ConditionFalse, refusalReason(refused), "the EndpointSlices are not up to date, because the API server refuses a write: "+refused.Error())
	case altered:
		set.set(farpointv1.ProgrammedCondition, metav1.ConditionFalse, farpointv1.AlteredReason, "an admission webhook or policy modifies the EndpointSlices: exempt those with the label endpointslice.kubernetes.io/managed-by="+farpointv1.ManagedBy)
	default:
		set.set(farpointv1.ProgrammedCondition, metav1.ConditionTrue, farpointv1.ProgrammedReason, "the EndpointSlices are up to date")
	}
}

// refusalReason returns the reason that the API server gave.
func refusalReason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Reason != "" {
		return string(status.Status().Reason)
	}
	return farpointv1.WriteFailedReason
}

// correctPublished makes the statuses match these slices, whatever is to be published.
func correctPublished(statuses []farpointv1.EndpointStatus, in []*discoveryv1.EndpointSlice) {
	present := map[string]endpoint.Conditions{}
	for _, slice := range in {
		for i := range slice.Endpoints {
			published := &slice.Endpoints[i]
			for _, port := range slice.Ports {
				present[endpoint.HostOf(published.Addresses[0]).Key(port).String()] = endpoint.Conditions{
					Ready:       ptr.Deref(published.Conditions.Ready, true),
					Serving:     ptr.Deref(published.Conditions.Serving, true),
					Terminating: ptr.Deref(published.Conditions.Terminating, false),
				}
			}
		}
	}
	for i := range statuses {
		says, ok := present[statuses[i].Name]
		switch {
		case statuses[i].Published == "": // it is set aside
		case !ok:
			statuses[i].Published = ""
		case !endpoint.IsPublishedAs(&statuses[i], says):
			statuses[i].Published = endpoint.PublicationOf(says)
		}
	}
}
