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
	"strconv"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var writesOwner = types.NamespacedName{Namespace: "ns", Name: "db"}

func sliceAt(uid types.UID, version int) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db-" + string(uid), UID: uid, ResourceVersion: strconv.Itoa(version)}}
}

func TestOwnWrites_CacheBehind_ShowOwnWrites(t *testing.T) {
	cached := []*discoveryv1.EndpointSlice{sliceAt("a", 10), sliceAt("b", 11), sliceAt("c", 12)}
	tests := map[string]struct {
		write       func(*Tracker)
		want        map[types.UID]string
		unconfirmed bool
	}{
		"nothing written": {func(*Tracker) {}, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"an update":       {func(w *Tracker) { w.Wrote(writesOwner, sliceAt("b", 20)) }, map[types.UID]string{"a": "10", "b": "20", "c": "12"}, true},
		"a creation":      {func(w *Tracker) { w.Wrote(writesOwner, sliceAt("d", 20)) }, map[types.UID]string{"a": "10", "b": "11", "c": "12", "d": "20"}, true},
		"a deletion":      {func(w *Tracker) { w.Deleted(writesOwner, sliceAt("a", 10)) }, map[types.UID]string{"b": "11", "c": "12"}, true},
		"more digits":     {func(w *Tracker) { w.Wrote(writesOwner, sliceAt("a", 9)) }, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"a write that the cache shows in a newer state": {func(w *Tracker) {
			w.Wrote(writesOwner, sliceAt("c", 12))
		}, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"another owner's": {func(w *Tracker) {
			w.Wrote(types.NamespacedName{Namespace: "ns", Name: "web"}, sliceAt("d", 20))
		}, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"a write that somebody else overwrote": {func(w *Tracker) {
			w.Wrote(writesOwner, sliceAt("b", 20))
			w.Drop("b")
		}, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"a creation that the watch reported as deleted": {func(w *Tracker) {
			w.Wrote(writesOwner, sliceAt("d", 20))
			w.Observe().Delete(event.DeleteEvent{Object: sliceAt("d", 21)})
		}, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"an update that the watch reported as overwritten": {func(w *Tracker) {
			w.Wrote(writesOwner, sliceAt("b", 20))
			w.Observe().Update(event.UpdateEvent{ObjectNew: sliceAt("b", 21)})
		}, map[types.UID]string{"a": "10", "b": "11", "c": "12"}, false},
		"an update of which the watch reported the state before": {func(w *Tracker) {
			w.Wrote(writesOwner, sliceAt("b", 20))
			w.Observe().Update(event.UpdateEvent{ObjectNew: sliceAt("b", 11)})
		}, map[types.UID]string{"a": "10", "b": "20", "c": "12"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			writes := New(testingclock.NewFakePassiveClock(time.Unix(0, 0)))
			test.write(writes)
			current, unconfirmed := writes.Slices(writesOwner, cached)
			got := map[types.UID]string{}
			for _, slice := range current {
				got[slice.UID] = slice.ResourceVersion
			}
			if len(got) != len(current) || len(got) != len(test.want) || unconfirmed != test.unconfirmed {
				t.Fatalf("got %v, unconfirmed %v; want %v, %v", got, unconfirmed, test.want, test.unconfirmed)
			}
			for uid, version := range test.want {
				if got[uid] != version {
					t.Errorf("got %s in version %q, want %s", uid, got[uid], version)
				}
			}
		})
	}
}

// A watch that breaks off reports neither the creation nor the deletion of what was created
// and deleted in between.
func TestOwnWrites_NeverShownByTheCache_AreForgotten(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Unix(0, 0))
	writes := New(clock)
	writes.Wrote(writesOwner, sliceAt("a", 10))
	if current, _ := writes.Slices(writesOwner, nil); len(current) != 1 {
		t.Fatalf("got %v at first, want the slice", current)
	}
	clock.SetTime(clock.Now().Add(Lifetime + time.Second))
	if current, unconfirmed := writes.Slices(writesOwner, nil); len(current) != 0 || unconfirmed {
		t.Errorf("got %v, unconfirmed %v, after %v; want nothing", current, unconfirmed, Lifetime)
	}
	if len(writes.ownerOf) != 0 {
		t.Errorf("still holds %v", writes.ownerOf)
	}
}

func TestOwnWrites_OfAStatus_AreHeldUntilTheWatchBringsThem(t *testing.T) {
	object := func(version int, ready string) *farpointv1.ExternalService {
		es := &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db", UID: "o", ResourceVersion: strconv.Itoa(version)}}
		es.Status.ReadyEndpoints = ready
		return es
	}
	writes := New(testingclock.NewFakePassiveClock(time.Unix(0, 0)))
	brought := func(object client.Object) { writes.Observe().Update(event.UpdateEvent{ObjectNew: object}) }

	writes.Expect("o")
	writes.Wrote(writesOwner, object(10, "1/1"))
	if got := writes.ExternalService(object(9, "0/1")).Status.ReadyEndpoints; got != "1/1" {
		t.Errorf("the last status is %s, want what was written", got)
	}
	if got := writes.ExternalService(object(11, "2/2")).Status.ReadyEndpoints; got != "2/2" {
		t.Errorf("the last status is %s, want what the cache shows", got)
	}
	if current, unconfirmed := writes.Slices(writesOwner, nil); len(current) != 0 || unconfirmed {
		t.Errorf("a status counts as slices: %v", current)
	}
	brought(object(10, "1/1"))
	if len(writes.owners) != 0 {
		t.Errorf("%v is held although the watch has brought it", writes.owners)
	}

	writes.Expect("o")
	brought(object(12, "2/2"))
	writes.Wrote(writesOwner, object(12, "2/2"))
	if len(writes.owners)+len(writes.expected) != 0 {
		t.Errorf("%v is held although the watch was faster than the answer", writes.owners)
	}

	writes.Expect("o")
	writes.Drop("o")
	writes.Wrote(writesOwner, sliceAt("a", 10))
	writes.Forget(writesOwner)
	if len(writes.owners)+len(writes.ownerOf)+len(writes.expected) != 0 {
		t.Errorf("%+v is held of an owner that is gone", writes)
	}
}
