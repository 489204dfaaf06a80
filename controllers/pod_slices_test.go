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
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"farpoint.dev/farpoint/controllers/conflicts"
	"farpoint.dev/farpoint/test/fixtures"
)

// listingClient can list and watch, but not by one request for both, as the fake API server.
type listingClient struct{ client.WithWatch }

func (listingClient) IsWatchListSemanticsUnSupported() bool { return true }

// followedPods are podSlices of a fake API server, for a Service that has no selector to
// begin with.
type followedPods struct {
	*podSlices
	t       *testing.T
	server  client.WithWatch
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	service *corev1.Service
	// lists counts the requests for whether there are slices.
	lists int
	// watching takes a token for each watch.
	watching chan struct{}
}

func newFollowedPods(t *testing.T, slices ...client.Object) *followedPods {
	f := &followedPods{t: t, service: fixtures.Service(), watching: make(chan struct{}, 10)}
	f.service.UID, f.service.ResourceVersion = "1", "1"
	f.server = fake.NewClientBuilder().WithObjects(slices...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, server client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, typed := list.(*discoveryv1.EndpointSliceList); !typed {
				f.lists++
			}
			return server.List(ctx, list, options...)
		},
		Watch: func(ctx context.Context, server client.WithWatch, list client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			watcher, err := server.Watch(ctx, list, options...)
			f.watching <- struct{}{}
			return watcher, err
		},
	}).Build()
	f.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	t.Cleanup(f.queue.ShutDown)
	f.podSlices = newPodSlices(listingClient{f.server}, clock.RealClock{})
	if err := f.start(t.Context(), f.queue); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask returns the names of the slices, and whether they are known.
func (f *followedPods) ask(asker string) (names []string, known bool) {
	f.t.Helper()
	list, known, err := f.of(f.t.Context(), types.NamespacedName{Name: asker}, f.service)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, slice := range list {
		names = append(names, slice.Name)
	}
	slices.Sort(names)
	return names, known
}

// expectRequeued waits until the asker is requeued.
func (f *followedPods) expectRequeued(asker string) {
	f.t.Helper()
	requeued := make(chan reconcile.Request)
	go func() {
		request, _ := f.queue.Get()
		f.queue.Done(request)
		requeued <- request
	}()
	select {
	case request := <-requeued:
		if request.Name != asker {
			f.t.Fatalf("%s is requeued, want %s", request.Name, asker)
		}
	case <-time.After(30 * time.Second):
		f.t.Fatalf("%s is not requeued", asker)
	}
}

// expect asks, and again after each requeue, until the slices are as wanted.
func (f *followedPods) expect(asker string, lists int, following bool, want ...string) {
	f.t.Helper()
	for got, known := f.ask(asker); !known || !slices.Equal(got, want); got, known = f.ask(asker) {
		f.expectRequeued(asker)
	}
	if f.lists != lists {
		f.t.Errorf("%d lists, want %d", f.lists, lists)
	}
	if _, is := f.followed[client.ObjectKeyFromObject(f.service)]; is != following {
		f.t.Errorf("followed: %v, want %v", is, following)
	}
}

func TestPodSlices_ServiceWithoutSelector_ListsOncePerVersion(t *testing.T) {
	f := newFollowedPods(t)
	for range 3 {
		f.expect("a", 1, false)
	}
	f.service.ResourceVersion = "2"
	for range 3 {
		f.expect("a", 2, false)
	}
	f.service.UID = "2" // replaced
	f.expect("a", 3, false)
}

func TestPodSlices_LeftBehind_AreWatchedUntilGone(t *testing.T) {
	left, other := fixtures.Slice(conflicts.PodSliceManager, "left"), fixtures.Slice("mesh.example.com", "other")
	f := newFollowedPods(t, left, other)
	f.expect("a", 1, true, "left")
	<-f.watching // the fake API server sends no earlier events
	if err := f.server.Delete(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	f.expect("a", 1, false)
	f.expect("a", 1, false)
}

func TestPodSlices_Selector_WatchedWhileNeeded(t *testing.T) {
	f := newFollowedPods(t, fixtures.Slice(conflicts.PodSliceManager, "pods"))
	f.service.Spec.Selector = map[string]string{"app": "db"}
	f.expect("a", 0, true, "pods")
	f.expect("b", 0, true, "pods")
	f.forget(types.NamespacedName{Name: "a"})
	f.expect("b", 0, true, "pods")

	// b turns to another Service.
	first := f.service
	f.service = fixtures.Service()
	f.service.Name = "another"
	f.expect("b", 1, false)
	if _, is := f.followed[client.ObjectKeyFromObject(first)]; is {
		t.Error("the Service is followed, although nobody asks about it")
	}
	f.forget(types.NamespacedName{Name: "b"})
	if len(f.questions) > 0 {
		t.Errorf("%d are remembered", len(f.questions))
	}
}

// That there was nothing for an older version of the Service does not count.
func TestPodSlices_OneOfTwoAskersLeaves_WatchGoesOn(t *testing.T) {
	f := newFollowedPods(t)
	f.expect("a", 1, false)
	f.expect("b", 2, false)
	f.service.ResourceVersion = "2"
	f.service.Spec.Selector = map[string]string{"app": "db"}
	f.ask("a")
	f.ask("b")
	f.forget(types.NamespacedName{Name: "a"})
	if _, is := f.followed[client.ObjectKeyFromObject(f.service)]; !is {
		t.Error("the Service is not watched any more, although b has asked about it")
	}
}
