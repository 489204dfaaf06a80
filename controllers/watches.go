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
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/policy"
)

// startFunc is called once, before the first object is reconciled. From then on it adds
// the objects that need another reconciliation.
type startFunc func(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request]) error

// namedSource is a source of events with a name for the log, which source.Func lacks.
type namedSource struct {
	name  string
	start startFunc
}

// Start calls the function.
func (s namedSource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	return s.start(ctx, queue)
}

// String is the name in the log.
func (s namedSource) String() string {
	return "func source: " + s.name
}

// watch makes the controller reconcile an object after every change that may matter to it.
func (r *Reconciler) watch(manager ctrl.Manager, sources []namedSource, options controller.Options) error {
	b := ctrl.NewControllerManagedBy(manager).
		Named("externalservice").
		For(&farpointv1.ExternalService{}, builder.WithPredicates(r.own.Observe(), predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.targeting)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(writerOf), builder.WithPredicates(r.own.Observe())).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(r.neighboursOf), builder.WithPredicates(membershipChanged())).
		Watches(&corev1.Endpoints{}, handler.EnqueueRequestsFromMapFunc(keeperOf)).
		Watches(&corev1.Endpoints{}, handler.EnqueueRequestsFromMapFunc(r.namedLike), builder.WithPredicates(mirroringChanged())).
		Watches(&farpointv1.ExternalService{}, handler.EnqueueRequestsFromMapFunc(r.sharingRoom), builder.WithPredicates(sizeChanged()))
	for _, named := range sources {
		b = b.WatchesRawSource(named)
	}
	return b.WithOptions(options).Complete(r)
}

// sharingRoom names the ExternalServices that share a maximum number of endpoints with another
// one.
func (r *Reconciler) sharingRoom(ctx context.Context, object client.Object) []reconcile.Request {
	if within, _ := r.policies.Of(object.GetNamespace()); !within.BoundsEndpoints() {
		return nil
	}
	return requestsBy(ctx, r.client, client.InNamespace(object.GetNamespace()))
}

// targeting names the ExternalServices that target a Service, and the one that it was
// created for.
func (r *Reconciler) targeting(ctx context.Context, service client.Object) []reconcile.Request {
	return append(ownerOf(ctx, service), r.withTarget(ctx, client.ObjectKeyFromObject(service))...)
}

// neighboursOf names the ExternalServices that publish for a slice's Service, except the one
// that the slice was written for.
func (r *Reconciler) neighboursOf(ctx context.Context, object client.Object) []reconcile.Request {
	slice := object.(*discoveryv1.EndpointSlice)
	owner, ours := ownership.OfSlice(slice)
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
	return requestsBy(ctx, r.client, client.MatchingFields{targetIndex: target.String()})
}

// writerOf names the ExternalService that a slice was written for.
func writerOf(_ context.Context, object client.Object) []reconcile.Request {
	owner, ours := ownership.OfSlice(object.(*discoveryv1.EndpointSlice))
	if !ours {
		return nil
	}
	return []reconcile.Request{{NamespacedName: owner}}
}

// keeperOf names the ExternalService that an Endpoints object was written for.
func keeperOf(_ context.Context, object client.Object) []reconcile.Request {
	owner, ours := endpointsOwner(object.(*corev1.Endpoints))
	if !ours {
		return nil
	}
	return []reconcile.Request{{NamespacedName: owner}}
}

// ownerOf names the ExternalService that a Service was created for.
func ownerOf(_ context.Context, object client.Object) []reconcile.Request {
	owner, ok := ownership.Labelled(object)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: owner}}
}

// membershipChanged passes changes that matter to others that publish for the same Service: those
// that may begin or end a conflict, and those of hints, but not flips.
func membershipChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*discoveryv1.EndpointSlice), e.ObjectNew.(*discoveryv1.EndpointSlice)
			return endpoint.PortsKeyOf(before.Ports) != endpoint.PortsKeyOf(after.Ports) ||
				before.Labels[discoveryv1.LabelServiceName] != after.Labels[discoveryv1.LabelServiceName] ||
				before.Labels[discoveryv1.LabelManagedBy] != after.Labels[discoveryv1.LabelManagedBy] ||
				!slices.EqualFunc(before.Endpoints, after.Endpoints, func(a, b discoveryv1.Endpoint) bool {
					return slices.Equal(a.Addresses, b.Addresses) && (a.Hints == nil) == (b.Hints == nil)
				})
		},
	}
}

// mirroringChanged passes changes that may begin or end the copying of an Endpoints object into
// slices.
func mirroringChanged() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return conflicts.IsMirrored(e.ObjectOld) != conflicts.IsMirrored(e.ObjectNew)
		},
	}
}

// sizeChanged passes changes of how many endpoints an ExternalService has.
func sizeChanged() predicate.Predicate {
	size := func(object client.Object) int {
		if object.GetDeletionTimestamp() != nil {
			return 0
		}
		return policy.CountEndpoints(object.(*farpointv1.ExternalService))
	}
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool { return size(e.ObjectOld) != size(e.ObjectNew) },
	}
}
