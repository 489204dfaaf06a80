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
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/tenancy"
)

// serviceResolver finds the target Service, and keeps it as the template says if there
// is one.
type serviceResolver struct {
	client client.Client
	grants *tenancy.Grants
}

// resolve returns an error only if a request to the API server failed. known is false until the
// grants are known, which requeue the object. If the target cannot lead to the endpoints, another
// Service that the slices belong to goes on doing so: a target is given up for another one, and
// not for none.
func (r serviceResolver) resolve(ctx context.Context, owner *farpointv1.ExternalService, published []*discoveryv1.EndpointSlice) (finding report.TargetService, known bool, err error) {
	finding, known, err = r.resolveTarget(ctx, owner)
	if err != nil || !known || finding.Service != nil {
		return finding, known, err
	}
	former, known, err := r.formerTarget(ctx, owner, published)
	if err != nil || former == nil {
		return finding, known, err
	}
	finding.Service = former
	finding.Message += fmt.Sprintf("; until then Service %s still leads to the endpoints", phrase.NameFrom(owner.Namespace, client.ObjectKeyFromObject(former)))
	return finding, true, nil
}

// formerTarget returns a Service besides the target that slices of the owner belong to, and that
// may still lead to the endpoints; nil if there is none. known is false until the grants are
// known.
func (r serviceResolver) formerTarget(ctx context.Context, owner *farpointv1.ExternalService, published []*discoveryv1.EndpointSlice) (former *corev1.Service, known bool, err error) {
	checked := map[types.NamespacedName]bool{ownership.TargetService(owner): true}
	for _, slice := range slices.SortedFunc(slices.Values(published), sliceplan.ByName) {
		key := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		if checked[key] {
			continue
		}
		checked[key] = true
		if key.Namespace != owner.Namespace {
			if refused, known := r.grants.Refusal(owner.Namespace, key); !known || refused != nil {
				return nil, known, nil
			}
		}
		service := &corev1.Service{}
		switch err := r.client.Get(ctx, key, service); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, false, fmt.Errorf("read Service %s: %w", key, err)
		case report.EvaluateService(owner, service).Service != nil:
			return service, true, nil
		}
	}
	return nil, true, nil
}

// resolveTarget finds the target Service.
func (r serviceResolver) resolveTarget(ctx context.Context, owner *farpointv1.ExternalService) (finding report.TargetService, known bool, err error) {
	key := ownership.TargetService(owner)
	if key.Namespace != owner.Namespace && owner.Spec.ServiceTemplate != nil {
		return report.TargetService{
			Reason:  farpointv1.ServiceInOtherNamespaceReason,
			Message: fmt.Sprintf("serviceTemplate cannot create Service %s in another namespace than this object's: remove targetService.namespace, or remove serviceTemplate and create the Service there", key),
		}, true, nil
	}
	// This comes before the Service is read: without a grant, whether it exists must not be
	// disclosed.
	refused, known := r.refusal(owner)
	switch {
	case !known:
		return report.TargetService{}, false, nil
	case refused != nil:
		return report.TargetService{Reason: refused.Reason, Message: refused.Message, Awaited: refused.Awaited}, true, nil
	}
	service := &corev1.Service{}
	err = r.client.Get(ctx, key, service)
	if client.IgnoreNotFound(err) != nil {
		return report.TargetService{}, false, fmt.Errorf("read Service %s: %w", key, err)
	}
	if apierrors.IsNotFound(err) {
		service = nil
	}
	if owner.Spec.ServiceTemplate == nil || owner.DeletionTimestamp != nil {
		return report.EvaluateService(owner, service), true, nil
	}
	finding, err = r.keep(ctx, owner, key, service)
	return finding, true, err
}

// refusal says why the owner may not refer to its Service; nil if it may. known is false until
// the grants are known.
func (r serviceResolver) refusal(owner *farpointv1.ExternalService) (refused *tenancy.Refusal, known bool) {
	key := ownership.TargetService(owner)
	if key.Namespace == owner.Namespace {
		return nil, true
	}
	return r.grants.Refusal(owner.Namespace, key)
}

// removeCreated deletes the Services that were created for the owner, except the one with this
// key.
func (r serviceResolver) removeCreated(ctx context.Context, owner, except types.NamespacedName) error {
	created := &corev1.ServiceList{}
	if err := r.client.List(ctx, created, client.InNamespace(owner.Namespace), client.MatchingFields{ownerIndex: owner.Name}); err != nil {
		return fmt.Errorf("list Services created for the object: %w", err)
	}
	for i := range created.Items {
		service := &created.Items[i]
		if client.ObjectKeyFromObject(service) == except || service.DeletionTimestamp != nil || !ownership.IsOwnedBy(service, owner.Name) {
			continue
		}
		if err := r.client.Delete(ctx, service, client.Preconditions{UID: &service.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete Service %s, which was created for the object: %w", service.Name, err)
		}
	}
	return nil
}

// keep makes the Service match the template. A Service that was not created from the template
// is left alone, and one that was orphaned is adopted.
func (r serviceResolver) keep(ctx context.Context, owner *farpointv1.ExternalService, key types.NamespacedName, present *corev1.Service) (report.TargetService, error) {
	if present != nil && !ownership.IsOwnedBy(present, owner.Name) && !orphanedBy(present, owner) {
		finding := report.EvaluateService(owner, present)
		if finding.Resolved() {
			finding.Reason = farpointv1.ServiceNotOwnedReason
			finding.Message = fmt.Sprintf("Service %s exists and was not created from serviceTemplate, which is not applied to it: remove serviceTemplate, or delete the Service so that the operator creates it", key)
		}
		return finding, nil
	}
	if present != nil && present.DeletionTimestamp != nil {
		return report.EvaluateService(owner, present), nil
	}
	desired := desiredService(owner, key, present)
	var err error
	switch {
	case present == nil:
		err = r.client.Create(ctx, desired)
	case (present.Spec.ClusterIP == corev1.ClusterIPNone) != (owner.Spec.ServiceTemplate.Spec.ClusterIP == corev1.ClusterIPNone):
		return invalidService(owner, present, "clusterIP cannot be changed: delete the Service so that the operator creates it again"), nil
	case !equality.Semantic.DeepEqual(present, desired):
		err = r.client.Update(ctx, desired)
	}
	switch {
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		finding := invalidService(owner, present, err.Error())
		finding.Awaited = apierrors.IsForbidden(err) // by a quota, perhaps
		return finding, nil
	case err != nil:
		return report.TargetService{}, fmt.Errorf("write Service %s: %w", key, err)
	}
	return report.EvaluateService(owner, desired), nil
}

// orphanedBy reports whether the Service was created from the template of an ExternalService of
// this name that left it behind: kubectl delete --cascade=orphan removes the reference and leaves
// the label, and so does a restore from a backup. A Service with a selector was never created
// from a template, whatever its label says.
func orphanedBy(service *corev1.Service, owner *farpointv1.ExternalService) bool {
	return service.Labels[farpointv1.OwnerLabel] == owner.Name && metav1.GetControllerOf(service) == nil && len(service.Spec.Selector) == 0
}

func invalidService(owner *farpointv1.ExternalService, present *corev1.Service, why string) report.TargetService {
	finding := report.TargetService{Reason: farpointv1.ServiceInvalidReason, Message: fmt.Sprintf("serviceTemplate cannot be applied to Service %s: %s", ownership.TargetService(owner), why)}
	if present != nil && report.EvaluateService(owner, present).Resolved() {
		finding.Service = present
	}
	return finding
}

// desiredService returns the present Service, or a new one if that is nil, with all fields that
// the template sets. The rest is left to the API server's defaults and to others.
func desiredService(owner *farpointv1.ExternalService, key types.NamespacedName, present *corev1.Service) *corev1.Service {
	desired := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace}}
	if present != nil {
		desired = present.DeepCopy()
	}
	template := owner.Spec.ServiceTemplate
	desired.OwnerReferences = []metav1.OwnerReference{ownership.Reference(owner)}
	desired.Labels = merged(desired.Labels, template.Metadata.Labels)
	desired.Labels[farpointv1.OwnerLabel] = owner.Name
	if len(template.Metadata.Annotations) > 0 {
		desired.Annotations = merged(desired.Annotations, template.Metadata.Annotations)
	}
	spec := &desired.Spec
	spec.Selector = nil
	spec.Ports = servicePorts(template.Spec.Ports, spec.Ports)
	if present == nil {
		spec.ClusterIP = template.Spec.ClusterIP
	}
	setFamilies(spec, template.Spec)
	setAffinity(spec, template.Spec)
	spec.TrafficDistribution = template.Spec.TrafficDistribution
	spec.PublishNotReadyAddresses = template.Spec.PublishNotReadyAddresses
	return desired
}

// setFamilies keeps a second family that the API server has added because of the policy: it
// cannot be removed as long as the policy is not SingleStack.
func setFamilies(spec *corev1.ServiceSpec, template farpointv1.ServiceTemplateSpec) {
	if template.IPFamilyPolicy != nil {
		spec.IPFamilyPolicy = template.IPFamilyPolicy
	}
	added := ptr.Deref(spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack) != corev1.IPFamilyPolicySingleStack &&
		len(template.IPFamilies) == 1 && len(spec.IPFamilies) == 2 && spec.IPFamilies[0] == template.IPFamilies[0]
	if len(template.IPFamilies) > 0 && !added {
		spec.IPFamilies = template.IPFamilies
	}
}

func setAffinity(spec *corev1.ServiceSpec, template farpointv1.ServiceTemplateSpec) {
	spec.SessionAffinity = template.SessionAffinity
	if spec.SessionAffinity == "" {
		spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	switch {
	case spec.SessionAffinity == corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case template.SessionAffinityConfig != nil:
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{
			ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &template.SessionAffinityConfig.ClientIP.TimeoutSeconds},
		}
	}
}

// servicePorts keeps the node ports that the present ports have been given.
func servicePorts(template []farpointv1.ServiceTemplatePort, present []corev1.ServicePort) []corev1.ServicePort {
	nodePorts := map[string]int32{}
	for _, port := range present {
		nodePorts[port.Name] = port.NodePort
	}
	var ports []corev1.ServicePort
	for _, port := range template {
		protocol := port.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		ports = append(ports, corev1.ServicePort{
			Name:        port.Name,
			Protocol:    protocol,
			AppProtocol: port.AppProtocol,
			Port:        port.Port,
			TargetPort:  intstr.FromInt32(ptr.Deref(port.TargetPort, port.Port)),
			NodePort:    nodePorts[port.Name],
		})
	}
	return ports
}

// merged returns the present map with the template's entries in it.
func merged[V ~string](present map[string]string, template map[string]V) map[string]string {
	all := maps.Clone(present)
	if all == nil {
		all = make(map[string]string, len(template)+1)
	}
	for key, value := range template {
		all[key] = string(value)
	}
	return all
}
