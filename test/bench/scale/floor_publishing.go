//go:build linux

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

package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/bench/statistics"
	"farpoint.dev/farpoint/test/bench/targets"
)

// floorManager is the managed-by label of the floor's slices, which the operator leaves alone.
const floorManager = "bench-floor"

// floorObjects is how many objects a bare client publishes, and floorWriters how many writes it
// has under way at one time, as many as the operator has workers.
const (
	floorObjects = 200
	floorWriters = 4
)

// publishingFloor is what a bare client needs, before the operator starts, to write the same
// slices and statuses to the same API server.
type publishingFloor struct {
	// publish is the time for one object: its slice is created and its status written.
	publish time.Duration
	// p50 and p99 are the times from before the write of a slice with an endpoint that has
	// fallen to its arrival at a watcher.
	p50, p99 time.Duration
}

// measurePublishing measures the floor and removes all that it has written.
func (s *scene) measurePublishing(ctx context.Context) (floor publishingFloor, err error) {
	watch, err := watchSlicesOf(ctx, s.cluster.client, floorManager)
	if err != nil {
		return floor, err
	}
	defer watch.watch.Stop()
	count := min(floorObjects, s.objects)
	var created []*farpointv1.ExternalService
	for number := range count {
		object := &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("floor-%d", number)}}
		object.Spec.Endpoints = []farpointv1.Endpoint{{Address: published(0), HealthCheckURL: farpointv1.HealthCheckURL(s.places.URL(s.scheme, 0))}}
		if err := s.cluster.client.Create(ctx, object); err != nil {
			return floor, err
		}
		created = append(created, object)
	}
	slices := make([]*discoveryv1.EndpointSlice, count)
	start := time.Now()
	err = inParallel(count, floorWriters, func(number int) error {
		slices[number] = floorSlice(number)
		if err := s.cluster.client.Create(ctx, slices[number]); err != nil {
			return err
		}
		return s.writeFloorStatus(ctx, created[number], targets.PerOwner)
	})
	if err != nil {
		return floor, err
	}
	floor.publish = time.Since(start) / time.Duration(count)
	if err := watch.readyEndpoints(ctx, count*targets.PerOwner, time.Minute); err != nil {
		return floor, err
	}
	var took []time.Duration
	for number, slice := range slices {
		updatedAt := time.Now()
		address := slice.Endpoints[0].Addresses[0]
		slice.Endpoints[0].Conditions.Ready = new(false)
		if err := s.cluster.client.Update(ctx, slice); err != nil {
			return floor, err
		}
		if err := s.writeFloorStatus(ctx, created[number], targets.PerOwner-1); err != nil {
			return floor, err
		}
		seen, err := watch.changeAfter(ctx, address, updatedAt, 20*time.Second)
		if err != nil {
			return floor, err
		}
		took = append(took, seen.Sub(updatedAt))
	}
	floor.p50, floor.p99 = statistics.Percentile(took, 50), statistics.Percentile(took, 99)
	return floor, inParallel(count, floorWriters, func(number int) error {
		return errors.Join(s.cluster.client.Delete(ctx, slices[number]), s.cluster.client.Delete(ctx, created[number]))
	})
}

// floorSlice has the shape of a slice of the operator's.
func floorSlice(number int) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("floor-%d", number), Labels: map[string]string{
			discoveryv1.LabelManagedBy: floorManager, discoveryv1.LabelServiceName: fmt.Sprintf("floor-%d", number),
		}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("main"), Port: new(int32(8080)), Protocol: new(corev1.ProtocolTCP)}},
	}
	for index := range targets.PerOwner {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{published(number*targets.PerOwner + index)},
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		})
	}
	return slice
}

func (s *scene) writeFloorStatus(ctx context.Context, object *farpointv1.ExternalService, ready int) error {
	before := object.DeepCopy()
	object.Status.Total, object.Status.Ready = targets.PerOwner, int32(ready)
	object.Status.Conditions = []metav1.Condition{{
		Type: "Available", Status: metav1.ConditionTrue, Reason: "Floor", LastTransitionTime: metav1.Now(),
		Message: fmt.Sprintf("%d of %d endpoints are ready", ready, targets.PerOwner),
	}}
	return s.cluster.client.Status().Patch(ctx, object, client.MergeFrom(before))
}
