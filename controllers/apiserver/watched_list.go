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
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// relistDelay is the pause after the API server has refused a request, or lacks the kind.
	relistDelay = 5 * time.Second
	// rewatchDelay is the pause after a watch broke off.
	rewatchDelay = time.Second
)

// WatchedList holds objects that a watch of its own keeps up to date. It is for what is too large
// for the manager's cache, and for kinds that may not exist.
type WatchedList struct {
	// reduce copies the fields of an object that matter.
	reduce func(object any) client.Object
	// changed is called after these fields have changed in a namespace, and with "" if the list
	// as a whole has changed: it is known now, or its kind was installed or removed.
	changed func(namespace string)

	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	objects map[types.NamespacedName]client.Object
	state   WatchState
}

// WatchState is what is known of a list as a whole.
type WatchState int

const (
	// Unknown means that the API server has not answered yet.
	Unknown WatchState = iota
	// Absent means that the API server has no such kind.
	Absent
	// Present means that the objects are known.
	Present
)

// NewWatchedList returns a list that keeps what reduce returns of objects, and calls changed
// after that has changed in a namespace.
func NewWatchedList(reduce func(any) client.Object, changed func(string)) *WatchedList {
	return &WatchedList{reduce: reduce, changed: changed, objects: map[types.NamespacedName]client.Object{}}
}

// Kind is a kind and version that a WatchedList may be made of.
type Kind struct {
	Object client.Object
	List   client.ObjectList
}

// Follow keeps the list up to date until the context ends. The kinds are versions of one kind;
// the first that the API server has is used.
func (l *WatchedList) Follow(ctx context.Context, from client.WithWatch, clock clock.Clock, kinds []Kind, options ...client.ListOption) {
	reflectors := make([]*toolscache.Reflector, len(kinds))
	for i, kind := range kinds {
		persistent := &resilientListWatch{
			from:  toolscache.ToListerWatcherWithContext(listWatch(from, kind.List, options)),
			kind:  kind.Object,
			final: func(err error) bool { return isAbsent(err) || isUnsupported(err) },
			clock: clock,
			log:   ctrl.LoggerFrom(ctx).WithValues("type", fmt.Sprintf("%T", kind.Object)),
		}
		reflectors[i] = toolscache.NewReflectorWithOptions(persistent.listWatch(from), kind.Object, l, toolscache.ReflectorOptions{})
	}
	for ctx.Err() == nil {
		var err error
		for _, reflector := range reflectors {
			if err = reflector.ListAndWatchWithContext(ctx); !isAbsent(err) {
				break
			}
		}
		delay := relistDelay
		switch {
		case ctx.Err() != nil:
			return
		case isAbsent(err):
			l.replace(nil, Absent)
		case err != nil:
			ctrl.LoggerFrom(ctx).Error(err, "Could not list or watch; keeping what is known", "kind", fmt.Sprintf("%T", kinds[0].Object))
		default:
			delay = rewatchDelay
		}
		select {
		case <-clock.After(delay):
		case <-ctx.Done():
		}
	}
}

func listWatch(from client.WithWatch, list client.ObjectList, options []client.ListOption) *toolscache.ListWatch {
	with := func(raw metav1.ListOptions) []client.ListOption {
		return append([]client.ListOption{&client.ListOptions{Raw: &raw}}, options...)
	}
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
			objects := list.DeepCopyObject().(client.ObjectList)
			return objects, from.List(ctx, objects, with(raw)...)
		},
		WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
			return from.Watch(ctx, list.DeepCopyObject().(client.ObjectList), with(raw)...)
		},
	}
}

// isAbsent reports whether the API server lacks the kind.
func isAbsent(err error) bool { return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) }

// All returns the objects of a namespace, which must not be changed.
func (l *WatchedList) All(namespace string) ([]client.Object, WatchState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var objects []client.Object
	for key, object := range l.objects {
		if key.Namespace == namespace {
			objects = append(objects, object)
		}
	}
	return objects, l.state
}

// Add, Update, Delete, Replace and Resync are what a Reflector calls.

// Add is also called for objects that are in the list already.
func (l *WatchedList) Add(object any) error {
	reduced := l.reduce(object)
	key := client.ObjectKeyFromObject(reduced)
	l.mu.Lock()
	same := equality.Semantic.DeepEqual(l.objects[key], reduced)
	l.objects[key] = reduced
	l.mu.Unlock()
	if !same {
		l.changed(key.Namespace)
	}
	return nil
}

// Update is Add.
func (l *WatchedList) Update(object any) error { return l.Add(object) }

// Delete is called with the last state of an object.
func (l *WatchedList) Delete(object any) error {
	key := client.ObjectKeyFromObject(l.reduce(object))
	l.mu.Lock()
	delete(l.objects, key)
	l.mu.Unlock()
	l.changed(key.Namespace)
	return nil
}

// Replace is called with all objects.
func (l *WatchedList) Replace(objects []any, _ string) error {
	l.replace(objects, Present)
	return nil
}

// Resync is never called: no resync is configured.
func (l *WatchedList) Resync() error { return nil }

func (l *WatchedList) replace(objects []any, state WatchState) {
	next := make(map[types.NamespacedName]client.Object, len(objects))
	for _, object := range objects {
		reduced := l.reduce(object)
		next[client.ObjectKeyFromObject(reduced)] = reduced
	}
	touched := map[string]bool{}
	l.mu.Lock()
	for key, object := range l.objects {
		if !equality.Semantic.DeepEqual(object, next[key]) {
			touched[key.Namespace] = true
		}
	}
	for key := range next {
		if _, ok := l.objects[key]; !ok {
			touched[key.Namespace] = true
		}
	}
	if l.state != state {
		touched[""] = true
	}
	l.objects, l.state = next, state
	l.mu.Unlock()
	for namespace := range touched {
		l.changed(namespace)
	}
}
