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

package e2e

import (
	"context"
	"fmt"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// EndpointKey identifies an endpoint of a Service.
type EndpointKey struct{ Namespace, Service, Address string }

// Change is the start or the end of a Service's traffic to an endpoint.
type Change struct {
	EndpointKey
	Ready bool
	// At is when the watcher learned of it.
	At time.Time
}

// Watcher is a consumer of EndpointSlices beside kube-proxy, which knows nothing of the
// operator. It remembers every change of readiness.
type Watcher struct {
	client client.WithWatch

	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	slices  map[client.ObjectKey]*discoveryv1.EndpointSlice
	ready   map[EndpointKey]bool
	changes []Change
}

// StartWatcher watches until the context is done.
func (c *Cluster) StartWatcher(ctx context.Context) *Watcher {
	w := &Watcher{client: c.Client, slices: map[client.ObjectKey]*discoveryv1.EndpointSlice{}, ready: map[EndpointKey]bool{}}
	go func() {
		for ctx.Err() == nil {
			// Without an API server there are no events. What has happened meanwhile shows as soon as
			// it is back.
			_ = w.follow(ctx)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return w
}

// follow lists the slices and then watches them until the watch breaks.
func (w *Watcher) follow(ctx context.Context) error {
	list := &discoveryv1.EndpointSliceList{}
	if err := w.client.List(ctx, list); err != nil {
		return err
	}
	listed := map[client.ObjectKey]*discoveryv1.EndpointSlice{}
	for i := range list.Items {
		listed[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
	}
	w.mu.Lock()
	w.slices = listed
	w.compare(time.Now())
	w.mu.Unlock()
	events, err := w.client.Watch(ctx, &discoveryv1.EndpointSliceList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		return err
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		slice, ok := event.Object.(*discoveryv1.EndpointSlice)
		if !ok {
			return fmt.Errorf("the watch brings a %T", event.Object)
		}
		w.update(event.Type, slice, time.Now())
	}
	return nil
}

func (w *Watcher) update(kind watch.EventType, slice *discoveryv1.EndpointSlice, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind == watch.Deleted {
		delete(w.slices, client.ObjectKeyFromObject(slice))
	} else {
		w.slices[client.ObjectKeyFromObject(slice)] = slice
	}
	w.compare(at)
}

// compare notes what has changed. It is called with mu held.
func (w *Watcher) compare(at time.Time) {
	now := map[EndpointKey]bool{}
	for _, slice := range w.slices {
		for _, endpoint := range slice.Endpoints {
			key := EndpointKey{slice.Namespace, slice.Labels[discoveryv1.LabelServiceName], endpoint.Addresses[0]}
			now[key] = now[key] || endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
		}
	}
	for key, ready := range now {
		if ready != w.ready[key] {
			w.changes = append(w.changes, Change{key, ready, at})
		}
	}
	for key, ready := range w.ready {
		if _, still := now[key]; ready && !still {
			w.changes = append(w.changes, Change{key, false, at})
		}
	}
	w.ready = now
}

// Ready reports whether a Service sends traffic to an endpoint.
func (w *Watcher) Ready(key EndpointKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready[key]
}

// Changes are those in a namespace since a time, in their order.
func (w *Watcher) Changes(namespace string, since time.Time) []Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changes []Change
	for _, change := range w.changes {
		if change.Namespace == namespace && change.At.After(since) {
			changes = append(changes, change)
		}
	}
	return changes
}

// Published are the addresses in the slices of a namespace, ready or not.
func (w *Watcher) Published(namespace string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var addresses []string
	for key := range w.ready {
		if key.Namespace == namespace {
			addresses = append(addresses, key.Address)
		}
	}
	return addresses
}
