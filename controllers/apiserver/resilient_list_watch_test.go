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

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// stormy is an API server with ConfigMaps that answers requests with its faults, in turn, while
// there are any, and whose watches can be broken off.
type stormy struct {
	mu     sync.Mutex
	faults []error
	calls  int
	// history are the events so far; the resource version is their number. Those before the
	// first kept one are forgotten.
	history []watch.Event
	kept    int
	watches []*watch.FakeWatcher
}

// IsWatchListSemanticsUnSupported makes the Reflector list.
func (s *stormy) IsWatchListSemanticsUnSupported() bool { return true }

// fault is called with mu held.
func (s *stormy) fault() error {
	s.calls++
	if len(s.faults) == 0 {
		return nil
	}
	return s.faults[s.calls%len(s.faults)]
}

func (s *stormy) List(metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fault(); err != nil {
		return nil, err
	}
	there := map[string]*corev1.ConfigMap{}
	for _, event := range s.history {
		object := event.Object.(*corev1.ConfigMap)
		there[object.Name] = object
		if event.Type == watch.Deleted {
			delete(there, object.Name)
		}
	}
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(len(s.history))}}
	for _, object := range there {
		list.Items = append(list.Items, *object)
	}
	return list, nil
}

func (s *stormy) Watch(options metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fault(); err != nil {
		return nil, err
	}
	from, err := strconv.Atoi(options.ResourceVersion)
	if err != nil || from < s.kept {
		return nil, apierrors.NewResourceExpired("too old")
	}
	started := watch.NewFakeWithChanSize(1000, false)
	for _, event := range s.history[from:] {
		started.Action(event.Type, event.Object)
	}
	s.watches = append(s.watches, started)
	// The cache's watches are filtered as well.
	return watch.Filter(started, func(event watch.Event) (watch.Event, bool) { return event, true }), nil
}

// happen makes the object known to all watches.
func (s *stormy) happen(kind watch.EventType, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := strconv.Itoa(len(s.history) + 1)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: version, UID: types.UID("uid-" + version)}}
	s.history = append(s.history, watch.Event{Type: kind, Object: object})
	for _, watcher := range s.watches {
		if !watcher.IsStopped() {
			watcher.Action(kind, object)
		}
	}
}

// breakOff ends all watches, by an error if there is one.
func (s *stormy) breakOff(by *metav1.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, watcher := range s.watches {
		if by != nil && !watcher.IsStopped() {
			watcher.Error(by)
		}
		watcher.Stop()
	}
	s.watches = nil
}

// answer sets the faults.
func (s *stormy) answer(faults ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// forget makes the API server forget all earlier versions.
func (s *stormy) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = len(s.history)
}

// neverFresh makes watches expire as soon as they begin.
func (s *stormy) neverFresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = math.MaxInt
}

// requests returns how many requests there were so far.
func (s *stormy) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// followed runs a test in a bubble of fake time with an informer of a stormy API server.
// known reports whether the informer knows of a ConfigMap.
func followed(t *testing.T, test func(api *stormy, known func(name string) bool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		api := &stormy{}
		informer := NewInformer(api, &corev1.ConfigMap{}, 0, toolscache.Indexers{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			informer.RunWithContext(ctx)
		}()
		defer func() {
			cancel()
			<-ended
		}()
		test(api, func(name string) bool {
			synctest.Wait()
			_, exists, err := informer.GetStore().GetByKey("default/" + name)
			return err == nil && exists
		})
	})
}

// soon is how long it may take after a storm until the changes are known. The longest pause is
// lastRelist and half as much, and there may be a watch that must not seem too short.
const soon = lastRelist + lastRelist/2 + shortestWatch

func TestListWatch_FaultsEnd_CatchesUpAtOnce(t *testing.T) {
	resource := schema.GroupResource{Resource: "configmaps"}
	reset := &metav1.Status{Status: metav1.StatusFailure, Code: 500, Reason: metav1.StatusReasonInternalError, Message: "unable to decode an event from the watch stream: connection reset"}
	for _, storm := range []struct {
		name   string
		faults []error
		end    *metav1.Status
	}{
		{"refused", []error{errRefused}, nil},
		{"429", []error{apierrors.NewTooManyRequests("later", 1)}, nil},
		{"500, 503, 409 to half of all", []error{errInternal, nil, apierrors.NewServiceUnavailable("a load balancer"), nil, apierrors.NewConflict(resource, "", nil), nil}, reset},
		{"403, as long as the API server does not know its roles", []error{apierrors.NewForbidden(resource, "", errors.New("no role"))}, reset},
		{"404, as long as the kind is not there", []error{apierrors.NewNotFound(resource, "")}, nil},
	} {
		t.Run(storm.name, func(t *testing.T) {
			followed(t, func(api *stormy, known func(string) bool) {
				api.happen(watch.Added, "first")
				if !known("first") {
					t.Fatal("the informer does not work at all")
				}
				// Ten minutes of it, with a cut whenever a Reflector might have a watch again.
				api.answer(storm.faults...)
				for range 20 {
					api.breakOff(storm.end)
					time.Sleep(30 * time.Second)
				}
				api.answer()
				api.breakOff(storm.end)
				api.happen(watch.Added, "second")
				time.Sleep(soon)
				if !known("second") {
					t.Errorf("what is new is not known %s after the storm", soon)
				}
				api.happen(watch.Added, "third")
				if !known("third") {
					t.Error("there is no watch")
				}
			})
		})
	}
}

func TestListWatch_WatchEnds_IsRestarted(t *testing.T) {
	followed(t, func(api *stormy, known func(string) bool) {
		for i := range 50 {
			api.breakOff(nil)
			name := fmt.Sprint("map-", i)
			api.happen(watch.Added, name)
			time.Sleep(2 * shortestWatch)
			if !known(name) {
				t.Fatalf("after %d watches that ended, what is new is not known in time", i+1)
			}
		}
	})
}

// A watch may also end because the version that it continues from has expired. Then everything is
// listed again.
func TestListWatch_WatchExpired_ListsAgain(t *testing.T) {
	followed(t, func(api *stormy, known func(string) bool) {
		api.happen(watch.Added, "first")
		if !known("first") {
			t.Fatal("the informer does not work at all")
		}
		api.breakOff(nil)
		api.happen(watch.Deleted, "first")
		api.forget() // what went on from here would miss it
		time.Sleep(10 * time.Second)
		if known("first") {
			t.Error("nothing was listed again")
		}
	})
}

// An object that was deleted and created again meanwhile is another object, although it has the
// same name, and perhaps the same generation.
func TestListWatch_ObjectRecreated_IsNoUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &stormy{}
		informer := NewInformer(api, &corev1.ConfigMap{}, 0, toolscache.Indexers{})
		var seen []string
		note := func(what string) func(any) {
			return func(object any) { seen = append(seen, what+" "+string(object.(*corev1.ConfigMap).UID)) }
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: note("added"), UpdateFunc: func(_, after any) { note("updated")(after) }, DeleteFunc: note("deleted"),
		}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			informer.RunWithContext(ctx)
		}()
		api.happen(watch.Added, "map")
		synctest.Wait()
		api.breakOff(nil)
		api.happen(watch.Deleted, "map")
		api.happen(watch.Added, "map")
		api.forget()
		time.Sleep(10 * time.Second)
		cancel()
		<-ended
		if want := []string{"added uid-1", "deleted uid-1", "added uid-3"}; !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
	})
}

// The versions of lists may have expired already, too, as while API servers disagree.
func TestListWatch_WatchesExpire_NoBusyLoop(t *testing.T) {
	followed(t, func(api *stormy, _ func(string) bool) {
		api.breakOff(nil)
		api.neverFresh()
		before := api.requests()
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls := api.requests() - before; calls > 2*int(time.Minute/shortestWatch)+2 {
			t.Errorf("%d requests in a minute", calls)
		}
	})
}

func TestListWatch_Faults_NoBusyLoop(t *testing.T) {
	followed(t, func(api *stormy, _ func(string) bool) {
		api.answer(errInternal)
		api.breakOff(nil)
		time.Sleep(time.Minute)
		before := api.requests()
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls := api.requests() - before; calls < int(time.Minute/(2*lastRelist)) || calls > int(time.Minute/lastRelist) {
			t.Errorf("%d requests in a minute", calls)
		}
	})
}

// Stopping while the API server still has much to send leaves no goroutine behind, which the
// bubble would not forgive.
func TestListWatch_StoppedWhileEventsWait_Ends(t *testing.T) {
	for range 20 {
		followed(t, func(api *stormy, known func(string) bool) {
			api.happen(watch.Added, "first")
			if !known("first") {
				t.Fatal("the informer does not work at all")
			}
			for i := range 100 {
				api.happen(watch.Added, fmt.Sprint("map-", i))
			}
		})
	}
}
