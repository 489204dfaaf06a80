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
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// slicesApplier writes EndpointSlices. Nothing else does.
type slicesApplier struct {
	client client.Client
	// live reads past the cache.
	live client.Reader
	// writes counts by operation, activity by object and operation.
	writes   *prometheus.CounterVec
	activity *activity
}

// apply carries out a plan in its order. A write that fails does not keep the others
// from being tried, save that no slice is deleted, nor any endpoint taken out of one, that
// holds an endpoint which could not be written elsewhere.
func (a slicesApplier) apply(ctx context.Context, owner *farpointv1.ExternalService, plan slicePlan) error {
	var failed []error
	var done counts
	missing := map[string]bool{}
	note := func(slice *discoveryv1.EndpointSlice, counter *int, err error) {
		if err == nil {
			*counter++
			return
		}
		failed = append(failed, err)
		for i := range slice.Endpoints {
			missing[slice.Endpoints[i].Addresses[0]] = true
		}
	}
	for _, slice := range plan.Create {
		note(slice, &done.created, a.create(ctx, owner, slice))
	}
	firstShed := len(plan.Update) - len(plan.Shed)
	for i, slice := range plan.Update {
		if i >= firstShed && holdsAny(plan.Shed[i-firstShed], missing) {
			if slice = heldBack(plan.Shed[i-firstShed], slice); slice == nil {
				continue
			}
		}
		note(slice, &done.updated, wrapped(a.client.Update(ctx, slice), "update EndpointSlice %s", slice.Name))
	}
	for _, slice := range plan.Delete {
		if holdsAny(slice, missing) {
			continue
		}
		if err := a.delete(ctx, slice); err != nil {
			failed = append(failed, err)
		} else {
			done.deleted++
		}
	}
	a.count(owner, done)
	return errors.Join(failed...)
}

func (a slicesApplier) count(owner *farpointv1.ExternalService, done counts) {
	a.writes.WithLabelValues("create").Add(float64(done.created))
	a.writes.WithLabelValues("update").Add(float64(done.updated))
	a.writes.WithLabelValues("delete").Add(float64(done.deleted))
	if owner != nil {
		a.activity.add(client.ObjectKeyFromObject(owner), done)
	}
}

func holdsAny(slice *discoveryv1.EndpointSlice, addresses map[string]bool) bool {
	return slices.ContainsFunc(slice.Endpoints, func(endpoint discoveryv1.Endpoint) bool {
		return slices.ContainsFunc(endpoint.Addresses, func(address string) bool { return addresses[address] })
	})
}

// heldBack is what an update comes down to while the slice has to keep all its endpoints:
// what is news of those that it would keep anyway. It is nil if there is none; a write for
// nothing would call the reconciler, which would try again at once.
func heldBack(present, wanted *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	if portsKeyOf(present.Ports) != portsKeyOf(wanted.Ports) {
		return nil // it is to hold others
	}
	held := present.DeepCopy()
	for i := range held.Endpoints {
		same := func(endpoint discoveryv1.Endpoint) bool {
			return slices.Equal(endpoint.Addresses, held.Endpoints[i].Addresses)
		}
		if at := slices.IndexFunc(wanted.Endpoints, same); at >= 0 {
			held.Endpoints[i] = wanted.Endpoints[at]
		}
	}
	if equality.Semantic.DeepEqual(held, present) {
		return nil
	}
	return held
}

// create takes a slice over that has the name already, if it is one of the owner's: the
// cache does not show one whose labels somebody has taken off.
func (a slicesApplier) create(ctx context.Context, owner *farpointv1.ExternalService, slice *discoveryv1.EndpointSlice) error {
	err := a.client.Create(ctx, slice)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // all of it is about to go
	}
	if !apierrors.IsAlreadyExists(err) {
		return wrapped(err, "create EndpointSlice %s", slice.Name)
	}
	present := &discoveryv1.EndpointSlice{}
	if err := a.live.Get(ctx, client.ObjectKeyFromObject(slice), present); err != nil {
		return fmt.Errorf("read EndpointSlice %s, which exists already: %w", slice.Name, err)
	}
	if !writtenFor(present, client.ObjectKeyFromObject(owner)) {
		return fmt.Errorf("EndpointSlice %s exists already and was written by somebody else: delete or rename it", slice.Name)
	}
	if present.AddressType != slice.AddressType { // immutable
		if err := a.delete(ctx, present); err != nil {
			return err
		}
		return wrapped(a.client.Create(ctx, slice), "create EndpointSlice %s", slice.Name)
	}
	slice.ResourceVersion = present.ResourceVersion
	return wrapped(a.client.Update(ctx, slice), "take over EndpointSlice %s", slice.Name)
}

// delete removes this very slice, in the version that was seen, and is content if it is
// gone already.
func (a slicesApplier) delete(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	err := a.client.Delete(ctx, slice, client.Preconditions{UID: &slice.UID, ResourceVersion: &slice.ResourceVersion})
	return wrapped(client.IgnoreNotFound(err), "delete EndpointSlice %s", slice.Name)
}

// wrapped says what was being done when the error occurred; nil stays nil.
func wrapped(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
