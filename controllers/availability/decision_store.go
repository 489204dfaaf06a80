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

package availability

import (
	"sync"

	"farpoint.dev/farpoint/probes"
)

// DecisionStore keeps what this process has decided about the traffic of each object and written
// to its slices. After a restart the slices say the same; until then, edits and deletions of
// slices do not change the decisions.
type DecisionStore struct {
	// mu guards what follows. No I/O is done while holding it.
	mu      sync.Mutex
	byOwner map[probes.Owner]Decisions
}

// Of returns what was decided last; nil if nothing was.
func (d *DecisionStore) Of(owner probes.Owner) Decisions {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byOwner[owner]
}

// Set keeps a decision, which must not be changed any more.
func (d *DecisionStore) Set(owner probes.Owner, decided Decisions) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byOwner == nil {
		d.byOwner = map[probes.Owner]Decisions{}
	}
	d.byOwner[owner] = decided
}

// Forget is called for an object that is gone.
func (d *DecisionStore) Forget(owner probes.Owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byOwner, owner)
}
