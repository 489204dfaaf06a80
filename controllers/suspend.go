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
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
)

// suspend carries out spec.suspend, and reports whether it holds. A suspended object whose
// ReferenceGrant was revoked is no longer suspended: its slices are removed.
func (r *Reconciler) suspend(ctx context.Context, object *farpointv1.ExternalService, limits *policy.Limits) (isSuspended bool, err error) {
	if !object.Spec.Suspend {
		return false, nil
	}
	r.forget(probeOwner(object))
	refused, known := r.services.refusal(object)
	if !known {
		return true, nil // requeued when the ReferenceGrants are known
	}
	if refused != nil {
		return false, nil
	}
	return true, r.withdrawSuspended(ctx, object, limits)
}

// withdrawSuspended leaves the slices as they are, except what may not be published any more,
// and those in a namespace that the object no longer targets, which could not revoke its grant.
func (r *Reconciler) withdrawSuspended(ctx context.Context, object *farpointv1.ExternalService, limits *policy.Limits) error {
	existing, elsewhere, _, err := r.slicesOf(ctx, client.ObjectKeyFromObject(object), ownership.TargetService(object).Namespace)
	if err != nil {
		return err
	}
	plan := sliceplan.Withdraw(existing, r.targets.Within(limits, 0).Refuses)
	published := plan.Result(existing)
	plan.Delete = append(plan.Delete, elsewhere...)
	if !plan.IsEmpty() {
		done := r.slices.apply(ctx, object, existing, plan)
		if err := done.err(); err != nil {
			if done.refused == nil {
				return err
			}
			return errors.Join(err, r.report(ctx, object, report.NotProgrammed(object, done.refused, r.now())))
		}
		if err := r.keepSuspended(ctx, object, published); err != nil {
			return err
		}
	}
	return r.report(ctx, object, report.Suspended(object, existing, published, r.now()))
}

// keepSuspended makes the Endpoints object of a suspended object follow the slices.
func (r *Reconciler) keepSuspended(ctx context.Context, object *farpointv1.ExternalService, published []*discoveryv1.EndpointSlice) error {
	service := &corev1.Service{}
	err := r.client.Get(ctx, ownership.TargetService(object), service)
	if apierrors.IsNotFound(err) {
		return nil // so nobody reads its Endpoints either
	}
	if err == nil {
		_, err = r.endpoints.keep(ctx, object, service, published)
	}
	return wrapped(err, "keep Endpoints")
}
