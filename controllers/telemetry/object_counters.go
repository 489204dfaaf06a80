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

package telemetry

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// ObjectCounters counts what this process has done for each ExternalService. The counts of an
// object are removed with it.
type ObjectCounters struct {
	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	objects map[types.NamespacedName]*Counts
}

// Counts are the counts of one object.
type Counts struct {
	// Up, Draining, Ineligible and Down count endpoints that have become healthy, draining,
	// ineligible and unhealthy.
	Up, Draining, Ineligible, Down int
	// Created, Updated and Deleted count writes of EndpointSlices.
	Created, Updated, Deleted int
}

// NewObjectCounters returns counters that are zero.
func NewObjectCounters() *ObjectCounters {
	return &ObjectCounters{objects: map[types.NamespacedName]*Counts{}}
}

// Add adds to the counts of an object.
func (a *ObjectCounters) Add(object types.NamespacedName, more Counts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.objects[object]
	if known == nil {
		known = &Counts{}
		a.objects[object] = known
	}
	known.Up += more.Up
	known.Draining += more.Draining
	known.Ineligible += more.Ineligible
	known.Down += more.Down
	known.Created += more.Created
	known.Updated += more.Updated
	known.Deleted += more.Deleted
}

// Of returns the counts of an object.
func (a *ObjectCounters) Of(object types.NamespacedName) Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.objects[object]; known != nil {
		return *known
	}
	return Counts{}
}

// Forget ends the counts of an object that is gone.
func (a *ObjectCounters) Forget(object types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, object)
}
