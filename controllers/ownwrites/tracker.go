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

package ownwrites

import (
	"maps"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// Tracker remembers what this process has written for each ExternalService until the cache
// shows it. A reconcile sees its own last writes however far the cache is behind, and waits
// neither for the cache nor for a write that is under way.
//
// k8s.io/endpointslice's EndpointSliceTracker solves the same problem by not reconciling
// until the cache has caught up. A dead endpoint would then stay published for as long as
// the watch lags.
type Tracker struct {
	clock clock.PassiveClock

	// mu guards what follows. No I/O happens while holding it.
	mu     sync.Mutex
	owners map[types.NamespacedName]map[types.UID]ownWrite
	// ownerOf finds the owner of what has been written, whatever its labels say by now.
	ownerOf map[types.UID]types.NamespacedName
	// expected are the objects with an update under way, and the newest state of each that
	// the watch has brought meanwhile; nil for none.
	expected map[types.UID]client.Object
}

// ownWrite is one object as the API server answered the write.
type ownWrite struct {
	object  client.Object
	deleted bool
	at      time.Time
}

// Lifetime is how long a write that the cache does not show is trusted. A watch that
// breaks off may never report an object that was created and deleted in between; the cache is
// eventually right about it.
const Lifetime = 30 * time.Second

// New returns a tracker that knows of no writes.
func New(clock clock.PassiveClock) *Tracker {
	return &Tracker{clock: clock, owners: map[types.NamespacedName]map[types.UID]ownWrite{}, ownerOf: map[types.UID]types.NamespacedName{}, expected: map[types.UID]client.Object{}}
}

// Expect is called before an update after which the watch does not requeue the owner: the watch
// may be faster than the answer, and nothing would ever remove the write. Either Wrote or Drop
// must follow.
func (w *Tracker) Expect(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected[uid] = nil
}

// Wrote notes the API server's answer to a creation or an update for the owner. The object
// must not be changed afterwards.
func (w *Tracker) Wrote(owner types.NamespacedName, object client.Object) {
	object.SetManagedFields(nil)
	w.note(owner, ownWrite{object: object})
}

// Deleted notes that an object was deleted which was written for the owner.
func (w *Tracker) Deleted(owner types.NamespacedName, object client.Object) {
	w.note(owner, ownWrite{object: object, deleted: true})
}

func (w *Tracker) note(owner types.NamespacedName, write ownWrite) {
	write.at = w.clock.Now()
	uid := write.object.GetUID()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.expected[uid]
	delete(w.expected, uid)
	if seen != nil && isAsNew(seen, write.object) {
		w.remove(uid)
		return
	}
	if w.owners[owner] == nil {
		w.owners[owner] = map[types.UID]ownWrite{}
	}
	w.owners[owner][uid] = write
	w.ownerOf[uid] = owner
}

// Drop forgets the write of an object: the cache shows it, or somebody else has changed
// the object since.
func (w *Tracker) Drop(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.expected, uid)
	w.remove(uid)
}

// Forget is called when an owner is gone.
func (w *Tracker) Forget(owner types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for uid := range w.owners[owner] {
		w.remove(uid)
	}
}

// remove is called with mu held.
func (w *Tracker) remove(uid types.UID) {
	owner, known := w.ownerOf[uid]
	if !known {
		return
	}
	delete(w.ownerOf, uid)
	delete(w.owners[owner], uid)
	if len(w.owners[owner]) == 0 {
		delete(w.owners, owner)
	}
}

// seen is called with each object that the watch brings.
func (w *Tracker) seen(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	uid := object.GetUID()
	if _, ok := w.expected[uid]; ok {
		w.expected[uid] = object
	}
	if write, known := w.owners[w.ownerOf[uid]][uid]; known && !write.deleted && isAsNew(object, write.object) {
		w.remove(uid)
	}
}

// isAsNew reports whether an object is no older than another state of it. A version that cannot
// be compared counts as no older.
func isAsNew(object, than metav1.Object) bool {
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), than.GetResourceVersion())
	return err != nil || order >= 0
}

// Observe returns a predicate that lets everything pass and notes what the watch brings.
// As a predicate it is called before the owner is put into the work queue.
func (w *Tracker) Observe() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { w.seen(e.Object); return true },
		UpdateFunc: func(e event.UpdateEvent) bool { w.seen(e.ObjectNew); return true },
		DeleteFunc: func(e event.DeleteEvent) bool { w.Drop(e.Object.GetUID()); return true },
	}
}

// Slices returns the owner's slices as they are after all own writes, given those of the cache.
// With unconfirmed, the cache has not shown all of these writes yet. The slices must not be
// changed.
func (w *Tracker) Slices(owner types.NamespacedName, cached []*discoveryv1.EndpointSlice) (current []*discoveryv1.EndpointSlice, unconfirmed bool) {
	pending := w.pendingOf(owner)
	if len(pending) == 0 {
		return cached, false
	}
	current = make([]*discoveryv1.EndpointSlice, 0, len(cached)+len(pending))
	for _, slice := range cached {
		write, known := pending[slice.UID]
		delete(pending, slice.UID)
		switch {
		case !known:
			current = append(current, slice)
		case write.deleted:
			unconfirmed = true
		case isAsNew(slice, write.object):
			w.Drop(slice.UID)
			current = append(current, slice)
		default:
			current = append(current, write.object.(*discoveryv1.EndpointSlice))
			unconfirmed = true
		}
	}
	for _, write := range pending {
		if slice, ok := write.object.(*discoveryv1.EndpointSlice); ok && !write.deleted {
			current = append(current, slice)
			unconfirmed = true
		}
	}
	return current, unconfirmed
}

// ExternalService returns the object as it is after the last write of its status, given
// that of the cache. It may be changed if the cached one may be.
func (w *Tracker) ExternalService(cached *farpointv1.ExternalService) *farpointv1.ExternalService {
	write, known := w.pendingOf(client.ObjectKeyFromObject(cached))[cached.UID]
	if !known || isAsNew(cached, write.object) {
		return cached
	}
	return write.object.DeepCopyObject().(*farpointv1.ExternalService)
}

// pendingOf returns a copy of the owner's writes that are still trusted.
func (w *Tracker) pendingOf(owner types.NamespacedName) map[types.UID]ownWrite {
	now := w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for uid, write := range w.owners[owner] {
		if now.Sub(write.at) > Lifetime {
			w.remove(uid)
		}
	}
	return maps.Clone(w.owners[owner])
}
