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
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/ownwrites"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/telemetry"
)

// slicesApplier writes EndpointSlices. Nothing else does.
type slicesApplier struct {
	client client.Client
	// live reads past the cache.
	live client.Reader
	// own remembers what was written until the cache shows it.
	own *ownwrites.Tracker
	// writes counts by operation, counters by object and operation.
	writes   *prometheus.CounterVec
	counters *telemetry.ObjectCounters
}

// applied is the result of applying a plan.
type applied struct {
	// slices are those that the API server holds now, as it returned them. They must not be
	// changed.
	slices []*discoveryv1.EndpointSlice
	// refused joins the errors of the writes that the API server refused, and undecided those of
	// the other failed writes: another writer was faster, or the API server did not answer.
	refused, undecided error
	// withheld reports whether slices were not created because the namespace is being deleted.
	withheld bool
}

// err joins all errors.
func (a *applied) err() error { return errors.Join(a.refused, a.undecided) }

// sliceWriter applies one plan.
type sliceWriter struct {
	slicesApplier
	owner *farpointv1.ExternalService // nil if it is gone
	done  telemetry.Counts
	held  map[types.NamespacedName]*discoveryv1.EndpointSlice
	// refused and undecided are the errors of writes; see applied.
	refused, undecided []error
	// withheld reports whether slices were not created because the namespace is being deleted.
	withheld bool
	// unwritten are the endpoints that could not be written, by their addresses.
	unwritten map[string][]unwrittenEndpoint
}

// unwrittenEndpoint is an endpoint that could not be written in a slice with these ports.
type unwrittenEndpoint struct {
	ports    endpoint.PortsKey
	endpoint *discoveryv1.Endpoint
}

// apply makes the writes of a plan for these slices, in its order. If a write fails, the others
// are made nevertheless, except that a slice stays, with all its endpoints, if it holds an
// endpoint that could not be written elsewhere.
func (a slicesApplier) apply(ctx context.Context, owner *farpointv1.ExternalService, existing []*discoveryv1.EndpointSlice, plan sliceplan.Plan) applied {
	w := &sliceWriter{slicesApplier: a, owner: owner, held: make(map[types.NamespacedName]*discoveryv1.EndpointSlice, len(existing)+len(plan.Create)), unwritten: map[string][]unwrittenEndpoint{}}
	for _, slice := range existing {
		w.held[client.ObjectKeyFromObject(slice)] = slice
	}
	for _, slice := range plan.Withheld {
		w.noteUnwritten(slice)
	}
	for _, slice := range plan.Create {
		created, err := w.create(ctx, slice)
		switch {
		case created:
			w.wrote(slice)
			w.done.Created++
		case err == nil:
			w.withheld = true
			w.noteUnwritten(slice)
		}
		w.note(slice, err)
	}
	firstShrink := len(plan.Update) - len(plan.ShrinkLast)
	for i, slice := range plan.Update {
		if i >= firstShrink && holdsAny(plan.ShrinkLast[i-firstShrink], w.unwritten) {
			if slice = heldBack(plan.ShrinkLast[i-firstShrink], slice, w.unwritten); slice == nil {
				continue
			}
		}
		w.note(slice, w.update(ctx, slice))
	}
	for _, slice := range plan.Delete {
		if !holdsAny(slice, w.unwritten) {
			w.fail(slice, w.delete(ctx, slice))
		} else if held := heldBack(slice, nil, w.unwritten); held != nil {
			w.fail(slice, w.update(ctx, held))
		}
	}
	a.count(owner, w.done)
	return applied{slices: slices.SortedFunc(maps.Values(w.held), sliceplan.ByName), refused: errors.Join(w.refused...), undecided: errors.Join(w.undecided...), withheld: w.withheld}
}

// note notes the error of a write, if there is one, and that the slice's endpoints could not be
// written.
func (w *sliceWriter) note(slice *discoveryv1.EndpointSlice, err error) {
	if err == nil {
		return
	}
	w.fail(slice, err)
	w.noteUnwritten(slice)
}

// noteUnwritten notes that a slice's endpoints could not be written.
func (w *sliceWriter) noteUnwritten(slice *discoveryv1.EndpointSlice) {
	ports := endpoint.PortsKeyOf(slice.Ports)
	for i := range slice.Endpoints {
		address := slice.Endpoints[i].Addresses[0]
		w.unwritten[address] = append(w.unwritten[address], unwrittenEndpoint{ports, &slice.Endpoints[i]})
	}
}

// fail notes the error of a write, if there is one. If somebody else has changed the slice since
// this process wrote it, the cache knows more than own does.
func (w *sliceWriter) fail(slice *discoveryv1.EndpointSlice, err error) {
	switch {
	case err == nil:
		return
	case undecided(err):
		w.undecided = append(w.undecided, err)
	default:
		w.refused = append(w.refused, err)
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		w.own.Drop(slice.UID)
	}
}

// wrote notes the API server's answer to a creation or an update.
func (w *sliceWriter) wrote(slice *discoveryv1.EndpointSlice) {
	w.held[client.ObjectKeyFromObject(slice)] = slice
	if w.owner != nil {
		w.own.Wrote(client.ObjectKeyFromObject(w.owner), slice)
	}
}

func (w *sliceWriter) update(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	if err := w.client.Update(ctx, slice); err != nil {
		return fmt.Errorf("update EndpointSlice %s: %w", slice.Name, err)
	}
	w.wrote(slice)
	w.done.Updated++
	return nil
}

func (a slicesApplier) count(owner *farpointv1.ExternalService, done telemetry.Counts) {
	a.writes.WithLabelValues("create").Add(float64(done.Created))
	a.writes.WithLabelValues("update").Add(float64(done.Updated))
	a.writes.WithLabelValues("delete").Add(float64(done.Deleted))
	if owner != nil {
		a.counters.Add(client.ObjectKeyFromObject(owner), done)
	}
}

func holdsAny(slice *discoveryv1.EndpointSlice, unwritten map[string][]unwrittenEndpoint) bool {
	return slices.ContainsFunc(slice.Endpoints, func(endpoint discoveryv1.Endpoint) bool {
		return slices.ContainsFunc(endpoint.Addresses, func(address string) bool { return len(unwritten[address]) > 0 })
	})
}

// heldBack returns what can be written of an update while the slice has to keep all its
// endpoints: the changes of those that it would keep anyway, and the conditions of those that
// could not be written elsewhere with the same ports. The desired slice is nil if the present one
// was to be deleted. heldBack returns nil if nothing changes: a write without a change would
// requeue the object, which would retry at once.
func heldBack(present, desired *discoveryv1.EndpointSlice, unwritten map[string][]unwrittenEndpoint) *discoveryv1.EndpointSlice {
	ports := endpoint.PortsKeyOf(present.Ports)
	held := present.DeepCopy()
	for i := range held.Endpoints {
		addresses := held.Endpoints[i].Addresses
		same := func(endpoint discoveryv1.Endpoint) bool { return slices.Equal(endpoint.Addresses, addresses) }
		if desired != nil && ports == endpoint.PortsKeyOf(desired.Ports) {
			if at := slices.IndexFunc(desired.Endpoints, same); at >= 0 {
				held.Endpoints[i] = desired.Endpoints[at]
				continue
			}
		}
		for _, e := range unwritten[addresses[0]] {
			if e.ports == ports {
				e.endpoint.Conditions.DeepCopyInto(&held.Endpoints[i].Conditions)
			}
		}
	}
	if equality.Semantic.DeepEqual(held, present) {
		return nil
	}
	return held
}

// create takes over a slice that has the name already, if it was written for the owner: the cache
// does not show slices whose labels somebody has removed. It reports whether the API server holds
// the slice now.
func (w *sliceWriter) create(ctx context.Context, slice *discoveryv1.EndpointSlice) (bool, error) {
	err := w.client.Create(ctx, slice)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return false, nil // everything in it is about to be deleted
	}
	if !apierrors.IsAlreadyExists(err) {
		return err == nil, wrapped(err, "create EndpointSlice %s", slice.Name)
	}
	present := &discoveryv1.EndpointSlice{}
	if err := w.live.Get(ctx, client.ObjectKeyFromObject(slice), present); err != nil {
		return false, fmt.Errorf("read EndpointSlice %s, which exists already: %w", slice.Name, err)
	}
	if !ownership.IsWrittenFor(present, client.ObjectKeyFromObject(w.owner)) {
		return false, fmt.Errorf("EndpointSlice %s exists already and was written by somebody else: delete or rename it", slice.Name)
	}
	if present.AddressType != slice.AddressType { // immutable
		if err := w.delete(ctx, present); err != nil {
			return false, err
		}
		err = wrapped(w.client.Create(ctx, slice), "create EndpointSlice %s", slice.Name)
		return err == nil, err
	}
	slice.UID, slice.ResourceVersion = present.UID, present.ResourceVersion
	err = wrapped(w.client.Update(ctx, slice), "take over EndpointSlice %s", slice.Name)
	return err == nil, err
}

// delete removes exactly this slice, in the version that was read. It is no error if the slice is
// gone already.
func (w *sliceWriter) delete(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	err := w.client.Delete(ctx, slice, client.Preconditions{UID: &slice.UID, ResourceVersion: &slice.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete EndpointSlice %s: %w", slice.Name, err)
	}
	delete(w.held, client.ObjectKeyFromObject(slice))
	if w.owner != nil {
		w.own.Deleted(client.ObjectKeyFromObject(w.owner), slice)
	}
	w.done.Deleted++
	return nil
}

// wrapped adds to an error what was being done; nil stays nil.
func wrapped(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
