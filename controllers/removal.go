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

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
)

// removeFormerServices deletes the Services that were created for the object and are no longer
// its target. It is called once the slices of the present target are written.
func (r *Reconciler) removeFormerServices(ctx context.Context, object *farpointv1.ExternalService, target report.TargetService) error {
	key := ownership.TargetService(object)
	if target.Service == nil || client.ObjectKeyFromObject(target.Service) != key || object.DeletionTimestamp != nil {
		return nil
	}
	return r.services.removeCreated(ctx, client.ObjectKeyFromObject(object), key)
}

// removeAll removes what was written for an ExternalService that is gone. The garbage collector
// would as well, but later, and not while it is down.
func (r *Reconciler) removeAll(ctx context.Context, request ctrl.Request) error {
	here, elsewhere, _, err := r.slicesOf(ctx, request.NamespacedName, request.Namespace)
	if err != nil {
		return err
	}
	plan := sliceplan.Plan{Delete: elsewhere}
	for _, slice := range here {
		// A slice without the reference was orphaned on purpose: kubectl delete --cascade=orphan.
		// This does not apply to slices elsewhere, which could not stay anyway: their namespace
		// could not revoke its grant any more.
		if ownership.IsOwnedBy(slice, request.Name) {
			plan.Delete = append(plan.Delete, slice)
		}
	}
	done := r.slices.apply(ctx, nil, nil, plan)
	if err := done.err(); err != nil {
		return err
	}
	r.own.Forget(request.NamespacedName)
	if err := r.endpoints.removeAll(ctx, request.NamespacedName); err != nil {
		return err
	}
	return r.services.removeCreated(ctx, request.NamespacedName, types.NamespacedName{})
}
