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
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
)

// +kubebuilder:rbac:groups="",resources=endpoints,verbs=get;list;watch;create;update;delete

// endpointsKeeper keeps an Endpoints object in step with the slices of an ExternalService
// that asks for it. Nothing else writes Endpoints. One that somebody else has written is
// never taken over.
type endpointsKeeper struct {
	client client.Client
	// live reads past the cache, which holds no Endpoints of Pods.
	live  client.Reader
	clock clock.PassiveClock

	// mu guards what follows. No I/O happens while holding it.
	mu sync.Mutex
	// blocked is until when an object that the cache does not hold is assumed to be in the way.
	blocked map[types.NamespacedName]time.Time
}

func newEndpointsKeeper(writer client.Client, live client.Reader, clock clock.PassiveClock) *endpointsKeeper {
	return &endpointsKeeper{client: writer, live: live, clock: clock, blocked: map[types.NamespacedName]time.Time{}}
}

// keep makes the Endpoints object match the slices, and removes it if it is not requested. The
// Service is nil if there is none that may lead to the endpoints.
func (k *endpointsKeeper) keep(ctx context.Context, owner *farpointv1.ExternalService, service *corev1.Service, published []*discoveryv1.EndpointSlice) (report.EndpointsObject, error) {
	finding := evaluateEndpoints(owner, service)
	present, err := k.removeOthers(ctx, owner, finding.Published)
	if err != nil || !finding.Published {
		return finding, err
	}
	if present == nil && owner.DeletionTimestamp != nil {
		return report.EndpointsObject{Requested: true}, nil // it was deleted before its owner
	}
	content := sliceplan.NewEndpointsContent(service, published)
	desired := desiredEndpoints(owner, service, &content, present)
	switch {
	case present == nil:
		finding.Published, err = k.create(ctx, owner, desired)
	case !sameEndpoints(present, desired):
		err = wrapped(k.client.Update(ctx, desired), "update Endpoints %s", desired.Name)
	}
	key := client.ObjectKeyFromObject(service)
	switch {
	case err != nil:
		return report.EndpointsObject{}, err
	case !finding.Published:
		return report.EndpointsObject{
			Requested: true,
			Reason:    farpointv1.EndpointsNotOwnedReason,
			Message:   fmt.Sprintf("Endpoints %s exists and was not written for this object: delete it, or unset publishEndpoints; of several ExternalServices with one Service, only one may set it", key),
			Retry:     k.isBlocked(client.ObjectKeyFromObject(owner)),
		}, nil
	}
	finding.Reason, finding.Message = describeEndpoints(key, service, &content)
	return finding, nil
}

// evaluateEndpoints decides whether there is to be an Endpoints object.
func evaluateEndpoints(owner *farpointv1.ExternalService, service *corev1.Service) report.EndpointsObject {
	switch {
	case !owner.Spec.PublishEndpoints:
		return report.EndpointsObject{}
	case service == nil:
		return report.EndpointsObject{Requested: true, Reason: farpointv1.NotJudgedReason, Message: "there is no Service to publish Endpoints for; see TargetServiceResolved"}
	case len(service.Spec.Selector) > 0:
		return report.EndpointsObject{Requested: true, Reason: farpointv1.ServiceHasSelectorReason, Message: fmt.Sprintf("Kubernetes maintains the Endpoints of Service %s, because it has a selector: unset publishEndpoints", ownership.TargetService(owner))}
	}
	return report.EndpointsObject{Requested: true, Published: true}
}

func describeEndpoints(key types.NamespacedName, service *corev1.Service, content *sliceplan.EndpointsContent) (reason, message string) {
	reason, message = farpointv1.EndpointsInStepReason, fmt.Sprintf("Endpoints %s matches the EndpointSlices", key)
	if content.Truncated() {
		reason = farpointv1.EndpointsTruncatedReason
		message += fmt.Sprintf(", except that it has only the first %d of %d addresses", sliceplan.EndpointsCapacity, content.Total)
	}
	if content.OtherFamily > 0 {
		message += fmt.Sprintf(", except for %d endpoints that are not %s, the Service's first IP family, the only one of an Endpoints object", content.OtherFamily, service.Spec.IPFamilies[0])
	}
	return reason, message
}

// desiredEndpoints returns the present object, or a new one if that is nil, with all that the
// operator writes as it should be. Annotations of others stay.
func desiredEndpoints(owner *farpointv1.ExternalService, service *corev1.Service, content *sliceplan.EndpointsContent, present *corev1.Endpoints) *corev1.Endpoints {
	desired := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: service.Name, Namespace: service.Namespace}}
	if present != nil {
		present.ObjectMeta.DeepCopyInto(&desired.ObjectMeta)
	}
	desired.Labels = maps.Clone(service.Labels)
	if desired.Labels == nil {
		desired.Labels = map[string]string{}
	}
	delete(desired.Labels, corev1.IsHeadlessService)
	if service.Spec.ClusterIP == corev1.ClusterIPNone {
		desired.Labels[corev1.IsHeadlessService] = ""
	}
	desired.Labels[discoveryv1.LabelSkipMirror] = "true"
	desired.Labels[conflicts.EndpointsManagedBy] = farpointv1.ManagedBy
	ownership.Label(desired.Labels, owner, service.Namespace)
	delete(desired.Annotations, corev1.EndpointsOverCapacity)
	if content.Truncated() {
		if desired.Annotations == nil {
			desired.Annotations = map[string]string{}
		}
		desired.Annotations[corev1.EndpointsOverCapacity] = sliceplan.EndpointsTruncated
	}
	if owner.DeletionTimestamp == nil { // or the garbage collector may be orphaning it
		desired.OwnerReferences = []metav1.OwnerReference{ownership.DependentReference(owner, service)}
	}
	desired.Subsets = content.Subsets
	return desired
}

// sameEndpoints compares what desiredEndpoints sets.
func sameEndpoints(a, b *corev1.Endpoints) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) && equality.Semantic.DeepEqual(a.Subsets, b.Subsets)
}

// create returns false if somebody else has written the object.
func (k *endpointsKeeper) create(ctx context.Context, owner *farpointv1.ExternalService, desired *corev1.Endpoints) (bool, error) {
	present := &corev1.Endpoints{}
	err := k.client.Get(ctx, client.ObjectKeyFromObject(desired), present, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		if k.isBlocked(client.ObjectKeyFromObject(owner)) {
			return false, nil
		}
		err = k.client.Create(ctx, desired)
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return true, nil // everything in it is about to be deleted
		}
		if !apierrors.IsAlreadyExists(err) {
			return true, wrapped(err, "create Endpoints %s", desired.Name)
		}
		if err = k.live.Get(ctx, client.ObjectKeyFromObject(desired), present); err == nil && !ownership.IsOwnedBy(present, owner.Name) {
			k.block(client.ObjectKeyFromObject(owner))
		}
	}
	if err != nil {
		return false, fmt.Errorf("read Endpoints %s: %w", desired.Name, err)
	}
	if !ownership.IsOwnedBy(present, owner.Name) || present.Namespace != owner.Namespace {
		return false, nil
	}
	desired.ResourceVersion = present.ResourceVersion // ours, without its labels
	return true, wrapped(k.client.Update(ctx, desired), "take over Endpoints %s", desired.Name)
}

// removeOthers removes all Endpoints objects that were written for the owner, except that of its
// Service if it is kept, which is returned. It belongs to the cache and must not be changed.
func (k *endpointsKeeper) removeOthers(ctx context.Context, owner *farpointv1.ExternalService, keep bool) (kept *corev1.Endpoints, err error) {
	all, err := k.writtenFor(ctx, client.ObjectKeyFromObject(owner))
	if err != nil {
		return nil, err
	}
	for i := range all {
		if keep && client.ObjectKeyFromObject(&all[i]) == ownership.TargetService(owner) {
			kept = &all[i]
		} else if err := k.delete(ctx, &all[i]); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// removeAll removes what was written for an ExternalService that is gone, except what was
// orphaned on purpose; see Reconciler.removeAll.
func (k *endpointsKeeper) removeAll(ctx context.Context, owner types.NamespacedName) error {
	all, err := k.writtenFor(ctx, owner)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Namespace != owner.Namespace || ownership.IsOwnedBy(&all[i], owner.Name) {
			if err := k.delete(ctx, &all[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *endpointsKeeper) writtenFor(ctx context.Context, owner types.NamespacedName) ([]corev1.Endpoints, error) {
	list := &corev1.EndpointsList{}
	if err := k.client.List(ctx, list, client.MatchingFields{ownerIndex: owner.String()}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Endpoints: %w", err)
	}
	return list.Items, nil
}

// delete removes exactly this object, in the version that was read: Kubernetes may have taken it
// over for a Service that has a selector now.
func (k *endpointsKeeper) delete(ctx context.Context, endpoints *corev1.Endpoints) error {
	err := k.client.Delete(ctx, endpoints, client.Preconditions{UID: &endpoints.UID, ResourceVersion: &endpoints.ResourceVersion})
	return wrapped(client.IgnoreNotFound(err), "delete Endpoints %s", endpoints.Name)
}

// forget is called when the owner is gone.
func (k *endpointsKeeper) forget(owner types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.blocked, owner)
}

func (k *endpointsKeeper) block(owner types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocked[owner] = k.clock.Now().Add(refusedInterval)
}

func (k *endpointsKeeper) isBlocked(owner types.NamespacedName) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clock.Now().Before(k.blocked[owner])
}

// endpointsOwner names the ExternalService that an Endpoints object was written for;
// false if it is somebody else's.
func endpointsOwner(endpoints *corev1.Endpoints) (owner types.NamespacedName, ours bool) {
	if endpoints.Labels[conflicts.EndpointsManagedBy] != farpointv1.ManagedBy {
		return owner, false
	}
	return ownership.Labelled(endpoints)
}
