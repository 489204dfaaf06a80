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
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// sliceWatch is a consumer of the slices, like a kube-proxy.
type sliceWatch struct {
	watch watch.Interface

	// mu guards the rest. No I/O happens under it.
	mu    sync.Mutex
	ready map[string]bool
	// changed is when the consumer last received a change of an endpoint, by address.
	changed     map[string]time.Time
	generations map[string]int64
	readyCount  int
	ended       bool
}

func watchSlices(ctx context.Context, from client.WithWatch) (*sliceWatch, error) {
	return watchSlicesOf(ctx, from, farpointv1.ManagedBy)
}

// watchSlicesOf watches the slices of one manager.
func watchSlicesOf(ctx context.Context, from client.WithWatch, manager string) (*sliceWatch, error) {
	ours := client.MatchingLabels{discoveryv1.LabelManagedBy: manager}
	watch, err := from.Watch(ctx, &discoveryv1.EndpointSliceList{}, ours)
	if err != nil {
		return nil, fmt.Errorf("watch the slices: %w", err)
	}
	w := &sliceWatch{watch: watch, ready: map[string]bool{}, changed: map[string]time.Time{}, generations: map[string]int64{}}
	go w.run()
	return w, nil
}

func (w *sliceWatch) run() {
	for event := range w.watch.ResultChan() {
		received := time.Now()
		if slice, ok := event.Object.(*discoveryv1.EndpointSlice); ok {
			w.take(slice, received)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}

func (w *sliceWatch) take(slice *discoveryv1.EndpointSlice, received time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.generations[slice.Name] = slice.Generation
	for _, endpoint := range slice.Endpoints {
		address, ready := endpoint.Addresses[0], endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready
		if before, known := w.ready[address]; known && before == ready {
			continue
		} else if before {
			w.readyCount--
		} else if ready {
			w.readyCount++
		}
		w.ready[address], w.changed[address] = ready, received
	}
}

// readyEndpoints waits until that many endpoints are ready, as long as their number changes at
// least once in the time that is given.
func (w *sliceWatch) readyEndpoints(ctx context.Context, want int, longest time.Duration) error {
	before := -1
	for end := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		count, ended := w.readyCount, w.ended
		w.mu.Unlock()
		if count != before {
			before, end = count, time.Now().Add(longest)
		}
		switch {
		case count == want:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case ended:
			return errors.New("the watch of the slices has ended")
		case time.Now().After(end):
			return fmt.Errorf("%d endpoints are ready, and not %d", count, want)
		}
	}
}

func (w *sliceWatch) changedAt(address string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed[address]
}

// generationsNow returns a copy of the slices' generations, which count their writes.
func (w *sliceWatch) generationsNow() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	copied := make(map[string]int64, len(w.generations))
	for name, generation := range w.generations {
		copied[name] = generation
	}
	return copied
}
