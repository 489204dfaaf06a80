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

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/ownership"
)

// TargetService is the result of looking for the target Service.
type TargetService struct {
	// Service is nil if there is none that may lead to the endpoints.
	Service *corev1.Service
	// Reason and message are those of the condition TargetServiceResolved.
	Reason, Message string
	// Awaited means that what is missing may come without an edit of the
	// ExternalService.
	Awaited bool
}

// Resolved reports whether the target itself leads to the endpoints.
func (f TargetService) Resolved() bool { return f.Reason == farpointv1.ServiceResolvedReason }

// Namespace returns the namespace that the slices belong to.
func (f TargetService) Namespace(owner *farpointv1.ExternalService) string {
	if f.Service != nil {
		return f.Service.Namespace
	}
	return ownership.TargetService(owner).Namespace
}

func allowsSelector(owner *farpointv1.ExternalService) bool {
	return owner.Spec.TargetService != nil && owner.Spec.TargetService.AllowSelector
}

// EvaluateService decides whether the owner's endpoints may be published for a Service; nil
// stands for one that does not exist.
func EvaluateService(owner *farpointv1.ExternalService, service *corev1.Service) TargetService {
	key := ownership.TargetService(owner)
	switch {
	case service == nil:
		return TargetService{
			Reason:  farpointv1.ServiceNotFoundReason,
			Message: fmt.Sprintf("Service %s does not exist: create it without a selector, or set serviceTemplate", key),
			Awaited: true,
		}
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return TargetService{
			Reason:  farpointv1.ServiceIsExternalNameReason,
			Message: fmt.Sprintf("Service %s is of type ExternalName, a DNS alias without endpoints: use type ClusterIP", key),
		}
	case len(service.Spec.Selector) > 0 && !allowsSelector(owner):
		return TargetService{
			Reason:  farpointv1.ServiceHasSelectorReason,
			Message: fmt.Sprintf("Service %s has a selector, so its endpoints are Pods: remove its spec.selector, target another Service, or set targetService.allowSelector to have it lead to Pods and to these endpoints", key),
		}
	}
	finding := TargetService{Service: service, Reason: farpointv1.ServiceResolvedReason, Message: fmt.Sprintf("Service %s leads to the endpoints", key)}
	if service.DeletionTimestamp != nil {
		// A finalizer holds it, perhaps a load balancer's, and clients are served meanwhile.
		finding.Message += " until its deletion is over"
	}
	return finding
}
