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

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/ownership"
)

// Indexes of the cache.
const (
	// ownerIndex finds slices and Endpoints by the ExternalService they were written for,
	// as namespace/name, and Services of its namespace by its name.
	ownerIndex = "owner"
	// serviceIndex finds slices, also those of others, by the Service they belong to.
	serviceIndex = "service"
	// targetIndex finds ExternalServices by the Service they target, as namespace/name.
	targetIndex = "target"
	// crossNamespaceIndex finds ExternalServices with a Service in another namespace, by that and
	// by anyNamespace.
	crossNamespaceIndex = "crossing"
	anyNamespace        = "*"
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
		if owner, ours := ownership.OfSlice(object.(*discoveryv1.EndpointSlice)); ours {
			return []string{owner.String()}
		}
		return nil
	}
	byEndpointsOwner := func(object client.Object) []string {
		if owner, ours := endpointsOwner(object.(*corev1.Endpoints)); ours {
			return []string{owner.String()}
		}
		return nil
	}
	byTarget := func(object client.Object) []string {
		return []string{ownership.TargetService(object.(*farpointv1.ExternalService)).String()}
	}
	byTargetNamespace := func(object client.Object) []string {
		if target := ownership.TargetService(object.(*farpointv1.ExternalService)); target.Namespace != object.GetNamespace() {
			return []string{target.Namespace, anyNamespace}
		}
		return nil
	}
	indexes := []struct {
		object  client.Object
		name    string
		extract client.IndexerFunc
	}{
		{&discoveryv1.EndpointSlice{}, ownerIndex, byOwner},
		{&discoveryv1.EndpointSlice{}, serviceIndex, byLabel(discoveryv1.LabelServiceName)},
		{&corev1.Endpoints{}, ownerIndex, byEndpointsOwner},
		{&corev1.Service{}, ownerIndex, byLabel(farpointv1.OwnerLabel)},
		{&farpointv1.ExternalService{}, targetIndex, byTarget},
		{&farpointv1.ExternalService{}, crossNamespaceIndex, byTargetNamespace},
	}
	for _, index := range indexes {
		if err := indexer.IndexField(ctx, index.object, index.name, index.extract); err != nil {
			return fmt.Errorf("index %T by %s: %w", index.object, index.name, err)
		}
	}
	return nil
}

// requestsBy names the ExternalServices of an index' entry or of a namespace.
func requestsBy(ctx context.Context, reader client.Reader, by client.ListOption) []reconcile.Request {
	list := &farpointv1.ExternalServiceList{}
	// The objects are not changed.
	if err := reader.List(ctx, list, by, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Could not list ExternalServices", "by", by)
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}

// inNamespace returns a function that names the ExternalServices of a namespace.
func inNamespace(reader client.Reader) func(context.Context, string) []reconcile.Request {
	return func(ctx context.Context, namespace string) []reconcile.Request {
		return requestsBy(ctx, reader, client.InNamespace(namespace))
	}
}

// withServiceIn returns a function that names the ExternalServices whose Service is in a
// namespace other than theirs: in this one, or in any if it is empty.
func withServiceIn(reader client.Reader) func(context.Context, string) []reconcile.Request {
	return func(ctx context.Context, namespace string) []reconcile.Request {
		if namespace == "" {
			namespace = anyNamespace
		}
		return requestsBy(ctx, reader, client.MatchingFields{crossNamespaceIndex: namespace})
	}
}

// slicesOf lists the slices that were written for an ExternalService: those in the namespace, and
// those that are left in others, as they are after all writes of this process. They belong to the
// cache and must not be changed. With unconfirmed, the cache has not shown all of these writes
// yet.
func (r *Reconciler) slicesOf(ctx context.Context, owner types.NamespacedName, namespace string) (here, elsewhere []*discoveryv1.EndpointSlice, unconfirmed bool, err error) {
	all, unconfirmed, err := r.allSlicesOf(ctx, owner)
	here, elsewhere = slicesIn(namespace, all)
	return here, elsewhere, unconfirmed, err
}

// allSlicesOf is slicesOf for all namespaces.
func (r *Reconciler) allSlicesOf(ctx context.Context, owner types.NamespacedName) (all []*discoveryv1.EndpointSlice, unconfirmed bool, err error) {
	cached, err := r.listSlices(ctx, client.MatchingFields{ownerIndex: owner.String()})
	all, unconfirmed = r.own.Slices(owner, cached)
	return all, unconfirmed, err
}

// slicesIn splits slices into those in the namespace and those elsewhere.
func slicesIn(namespace string, all []*discoveryv1.EndpointSlice) (here, elsewhere []*discoveryv1.EndpointSlice) {
	for _, slice := range all {
		if slice.Namespace == namespace {
			here = append(here, slice)
		} else {
			elsewhere = append(elsewhere, slice)
		}
	}
	return here, elsewhere
}

// neighbours finds the other sources of the Service's endpoints that the cache knows: not the
// Pods. They belong to the cache and must not be changed.
func (r *Reconciler) neighbours(ctx context.Context, service *corev1.Service, owner types.NamespacedName) (conflicts.Neighbours, error) {
	neighbours := conflicts.Neighbours{Service: service}
	all, err := r.listSlices(ctx, client.InNamespace(service.Namespace), client.MatchingFields{serviceIndex: service.Name})
	if err != nil {
		return neighbours, err
	}
	for _, slice := range all {
		neighbours.Add(slice, owner)
	}
	endpoints := &corev1.Endpoints{}
	switch err := r.client.Get(ctx, client.ObjectKeyFromObject(service), endpoints, client.UnsafeDisableDeepCopy); {
	case err == nil:
		neighbours.Endpoints = endpoints
	case !apierrors.IsNotFound(err):
		return neighbours, fmt.Errorf("read Endpoints %s: %w", service.Name, err)
	}
	return neighbours, nil
}

func (r *Reconciler) listSlices(ctx context.Context, options ...client.ListOption) ([]*discoveryv1.EndpointSlice, error) {
	list := &discoveryv1.EndpointSliceList{}
	if err := r.client.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil, fmt.Errorf("list EndpointSlices: %w", err)
	}
	pointers := make([]*discoveryv1.EndpointSlice, len(list.Items))
	for i := range list.Items {
		pointers[i] = &list.Items[i]
	}
	return pointers, nil
}
