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
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// activity counts what was done about each ExternalService since this process began to.
// What is counted for an object is forgotten with it.
type activity struct {
	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	objects map[types.NamespacedName]*counts
}

// counts are those of one object.
type counts struct {
	// up, draining and down count endpoints that have become healthy, draining and
	// unhealthy.
	up, draining, down int
	// created, updated and deleted count writes of EndpointSlices.
	created, updated, deleted int
}

func newActivity() *activity {
	return &activity{objects: map[types.NamespacedName]*counts{}}
}

// add adds to the counts of an object.
func (a *activity) add(object types.NamespacedName, more counts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.objects[object]
	if known == nil {
		known = &counts{}
		a.objects[object] = known
	}
	known.up += more.up
	known.draining += more.draining
	known.down += more.down
	known.created += more.created
	known.updated += more.updated
	known.deleted += more.deleted
}

// of returns the counts of an object.
func (a *activity) of(object types.NamespacedName) counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.objects[object]; known != nil {
		return *known
	}
	return counts{}
}

// forget ends the counts of an object that is gone.
func (a *activity) forget(object types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, object)
}
