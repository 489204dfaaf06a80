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

package ownership

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// Kind is the kind of the owners.
const Kind = "ExternalService"

// Reference makes the garbage collector remove what we wrote once the
// ExternalService is gone, also when the operator was removed before it. It does not
// block the owner's deletion, which would need update rights on its finalizers.
func Reference(owner *farpointv1.ExternalService) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: farpointv1.GroupVersion.String(),
		Kind:       Kind,
		Name:       owner.Name,
		UID:        owner.UID,
		Controller: ptr.To(true),
	}
}

// IsOwnedBy reports whether the object was written for the ExternalService of this name,
// perhaps for one that was deleted since.
func IsOwnedBy(object metav1.Object, name string) bool {
	return IsOurs(object) && metav1.GetControllerOf(object).Name == name
}

// IsOurs reports whether the object was written for any ExternalService, whatever
// its labels say by now.
func IsOurs(object metav1.Object) bool {
	reference := metav1.GetControllerOf(object)
	if reference == nil || reference.Kind != Kind {
		return false
	}
	group, err := schema.ParseGroupVersion(reference.APIVersion)
	return err == nil && group.Group == farpointv1.GroupVersion.Group
}

// DependentReference makes the garbage collector remove what was written for a Service. What is
// not in its owner's namespace is removed with the Service: the garbage collector does not know
// owners in other namespaces. That reference is not a controller's, which distinguishes a slice
// from those of Kubernetes' own controller.
func DependentReference(owner *farpointv1.ExternalService, service *corev1.Service) metav1.OwnerReference {
	if owner.Namespace == service.Namespace {
		return Reference(owner)
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Service", Name: service.Name, UID: service.UID}
}

// IsWrittenFor reports whether a slice with a name that the owner gives was written for it.
// Somebody may have removed or changed its labels and, in another namespace, its reference.
func IsWrittenFor(slice *discoveryv1.EndpointSlice, owner types.NamespacedName) bool {
	if slice.Namespace == owner.Namespace {
		return IsOwnedBy(slice, owner.Name)
	}
	if labelled, ours := OfSlice(slice); ours && labelled == owner {
		return true
	}
	return len(slice.OwnerReferences) == 1 && slice.OwnerReferences[0].Kind == "Service" && slice.OwnerReferences[0].Controller == nil
}

// Label labels what is in the namespace as written for the owner.
func Label(labels map[string]string, owner *farpointv1.ExternalService, namespace string) {
	labels[farpointv1.OwnerLabel] = owner.Name
	delete(labels, farpointv1.OwnerNamespaceLabel)
	if owner.Namespace != namespace {
		labels[farpointv1.OwnerNamespaceLabel] = owner.Namespace
	}
}

// Labelled names the ExternalService that an object is labelled as written for.
func Labelled(object metav1.Object) (owner types.NamespacedName, ok bool) {
	labels := object.GetLabels()
	owner.Name, ok = labels[farpointv1.OwnerLabel]
	if owner.Namespace = labels[farpointv1.OwnerNamespaceLabel]; owner.Namespace == "" {
		owner.Namespace = object.GetNamespace()
	}
	return owner, ok
}

// OfSlice names the ExternalService that a slice was written for; false if it is
// somebody else's.
func OfSlice(slice *discoveryv1.EndpointSlice) (owner types.NamespacedName, ours bool) {
	if slice.Labels[discoveryv1.LabelManagedBy] != farpointv1.ManagedBy {
		return owner, false
	}
	return Labelled(slice)
}

// TargetService names the Service that the endpoints belong to.
func TargetService(owner *farpointv1.ExternalService) types.NamespacedName {
	key := types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}
	if target := owner.Spec.TargetService; target != nil {
		if target.Name != "" {
			key.Name = target.Name
		}
		if target.Namespace != "" {
			key.Namespace = target.Namespace
		}
	}
	return key
}
