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
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// Indexes of the cache.
const (
	// ownerIndex finds slices and Services by the ExternalService they were written for.
	ownerIndex = "owner"
	// serviceIndex finds slices, also those of others, by the Service they belong to.
	serviceIndex = "service"
	// targetIndex finds ExternalServices by the Service they target, as namespace/name.
	targetIndex = "target"
)

func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	byLabel := func(label string) client.IndexerFunc {
		return func(object client.Object) []string {
			if value, ok := object.GetLabels()[label]; ok {
				return []string{value}
			}
			return nil
		}
	}
	byOwner := func(object client.Object) []string {
		if owner, ours := sliceOwner(object.(*discoveryv1.EndpointSlice)); ours {
			return []string{owner.Name}
		}
		return nil
	}
	byTarget := func(object client.Object) []string {
		return []string{targetKey(object.(*farpointv1.ExternalService)).String()}
	}
	indexes := []struct {
		object  client.Object
		name    string
		extract client.IndexerFunc
	}{
		{&discoveryv1.EndpointSlice{}, ownerIndex, byOwner},
		{&discoveryv1.EndpointSlice{}, serviceIndex, byLabel(discoveryv1.LabelServiceName)},
		{&corev1.Service{}, ownerIndex, byLabel(farpointv1.OwnerLabel)},
		{&farpointv1.ExternalService{}, targetIndex, byTarget},
	}
	for _, index := range indexes {
		if err := indexer.IndexField(ctx, index.object, index.name, index.extract); err != nil {
			return fmt.Errorf("index %T by %s: %w", index.object, index.name, err)
		}
	}
	return nil
}

// watch has the reconciler called for whatever may change what it would do.
func (r *Reconciler) watch(manager ctrl.Manager, transitions *transitions, ranges *clusterRanges, options controller.Options) error {
	return ctrl.NewControllerManagedBy(manager).
		Named("externalservice").
		For(&farpointv1.ExternalService{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.targeting)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(writerOf)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(r.neighboursOf), builder.WithPredicates(membershipChanged())).
		Watches(&corev1.Endpoints{}, handler.EnqueueRequestsFromMapFunc(r.namedLike), builder.WithPredicates(mirroringChanged())).
		WatchesRawSource(source.Func(transitions.start)).
		WatchesRawSource(source.Func(ranges.start)).
		WatchesRawSource(source.Func(r.pods.start)).
		WithOptions(options).
		Complete(r)
}

// targeting names the ExternalServices that target a Service, and the one that it was
// created for.
func (r *Reconciler) targeting(ctx context.Context, service client.Object) []reconcile.Request {
	return append(ownerOf(ctx, service), r.withTarget(ctx, client.ObjectKeyFromObject(service))...)
}

// neighboursOf names the ExternalServices that publish for a slice's Service, but for the
// one that the slice was written for.
func (r *Reconciler) neighboursOf(ctx context.Context, object client.Object) []reconcile.Request {
	slice := object.(*discoveryv1.EndpointSlice)
	owner, ours := sliceOwner(slice)
	target := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
	return slices.DeleteFunc(r.withTarget(ctx, target), func(request reconcile.Request) bool {
		return ours && request.NamespacedName == owner
	})
}

// namedLike names the ExternalServices that target the Service with an object's name.
func (r *Reconciler) namedLike(ctx context.Context, object client.Object) []reconcile.Request {
	return r.withTarget(ctx, client.ObjectKeyFromObject(object))
}

func (r *Reconciler) withTarget(ctx context.Context, target types.NamespacedName) []reconcile.Request {
	list := &farpointv1.ExternalServiceList{}
	// Reads of an event handler wait for no write, and the objects are not changed.
	err := r.client.List(ctx, list, client.MatchingFields{targetIndex: target.String()}, client.DisableReadYourWritesConsistency, client.UnsafeDisableDeepCopy)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Could not list the ExternalServices of a Service", "service", target)
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}

// writerOf names the ExternalService that a slice was written for.
func writerOf(_ context.Context, object client.Object) []reconcile.Request {
	owner, ours := sliceOwner(object.(*discoveryv1.EndpointSlice))
	if !ours {
		return nil
	}
	return []reconcile.Request{{NamespacedName: owner}}
}

// ownerOf names the ExternalService that a Service was created for.
func ownerOf(_ context.Context, object client.Object) []reconcile.Request {
	name, ok := object.GetLabels()[farpointv1.OwnerLabel]
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}

// membershipChanged lets pass what may begin or end a conflict, and not the flips.
func membershipChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*discoveryv1.EndpointSlice), e.ObjectNew.(*discoveryv1.EndpointSlice)
			return portsKeyOf(before.Ports) != portsKeyOf(after.Ports) ||
				before.Labels[discoveryv1.LabelServiceName] != after.Labels[discoveryv1.LabelServiceName] ||
				before.Labels[discoveryv1.LabelManagedBy] != after.Labels[discoveryv1.LabelManagedBy] ||
				!slices.EqualFunc(before.Endpoints, after.Endpoints, func(a, b discoveryv1.Endpoint) bool {
					return slices.Equal(a.Addresses, b.Addresses)
				})
		},
	}
}

// mirroringChanged lets pass what may begin or end that an Endpoints object is copied
// into slices.
func mirroringChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool { return isMirrored(e.ObjectOld) != isMirrored(e.ObjectNew) },
	}
}

// slicesOf lists the slices that were written for an ExternalService. They are the
// cache's own: not to be changed.
func (r *Reconciler) slicesOf(ctx context.Context, namespace, name string) ([]*discoveryv1.EndpointSlice, error) {
	return r.listSlices(ctx, namespace, client.MatchingFields{ownerIndex: name})
}

// neighbours finds what else leads the Service's traffic somewhere, as far as the cache
// knows: not the Pods. It is the cache's own: not to be changed.
func (r *Reconciler) neighbours(ctx context.Context, service *corev1.Service, owner types.NamespacedName) (neighbours, error) {
	found := neighbours{service: service}
	all, err := r.listSlices(ctx, service.Namespace, client.MatchingFields{serviceIndex: service.Name})
	if err != nil {
		return found, err
	}
	for _, slice := range all {
		found.sort(slice, owner)
	}
	endpoints := &corev1.Endpoints{}
	switch err := r.client.Get(ctx, client.ObjectKeyFromObject(service), endpoints, client.UnsafeDisableDeepCopy); {
	case err == nil:
		found.endpoints = endpoints
	case !apierrors.IsNotFound(err):
		return found, fmt.Errorf("read Endpoints %s: %w", service.Name, err)
	}
	return found, nil
}

func (r *Reconciler) listSlices(ctx context.Context, namespace string, by client.MatchingFields) ([]*discoveryv1.EndpointSlice, error) {
	list := &discoveryv1.EndpointSliceList{}
	if err := r.client.List(ctx, list, client.InNamespace(namespace), by, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list EndpointSlices: %w", err)
	}
	pointers := make([]*discoveryv1.EndpointSlice, len(list.Items))
	for i := range list.Items {
		pointers[i] = &list.Items[i]
	}
	return pointers, nil
}
