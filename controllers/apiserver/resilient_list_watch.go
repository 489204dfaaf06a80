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
	"math/rand/v2"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Pauses before a list or a watch is retried. They double from the first to the last, and up to
// half as much is added at random. While the API server does not answer at all, requests wait
// instead, see Lease; the pauses are for refusals, such as those of all requests in the first
// second after its start, before it knows its roles.
const firstRelist, lastRelist = 250 * time.Millisecond, time.Second

// shortestWatch is the minimum time from one start of a watch to the next.
const shortestWatch = 1100 * time.Millisecond

// watchTimeout is the minimum time after which a watch times out; the maximum is twice that, as
// in a Reflector.
const watchTimeout = 5 * time.Minute

// resilientListWatch keeps a list and watch going through whatever happens to the API server.
//
// A Reflector would do so by itself, but after pauses that double up to a minute. It counts every
// watch that breaks off and every request that is refused, and resets the count only after two
// minutes without faults (client-go/tools/cache/reflector.go, defaultBackoffMax and
// defaultBackoffReset). After a few faults it would notice nothing for a minute or two, although
// the API server is well. An informer has no setting for that. So its Reflector never sees an
// error: it has one watch that never ends.
//
// It is for one Reflector, which does one thing at a time.
type resilientListWatch struct {
	from toolscache.ListerWatcherWithContext
	// kind is an empty object of the kind that is listed.
	kind runtime.Object
	// final reports whether a retry would not help: the Reflector, or its caller, has to handle
	// the error.
	final func(error) bool
	clock clock.Clock
	log   logr.Logger

	// known are the objects that the Reflector knows, by their keys.
	known map[toolscache.ObjectName]knownObject
	// version is the resource version of what the Reflector knows.
	version string
}

// knownObject is an object that the Reflector knows, and its version. The object itself belongs
// to the Reflector, and is read only when it is gone.
type knownObject struct {
	uid     types.UID
	version string
	object  runtime.Object
}

// NewInformer is a cache.Options.NewInformer.
func NewInformer(from toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	persistent := &resilientListWatch{
		from:  toolscache.ToListerWatcherWithContext(from),
		kind:  object,
		final: isUnsupported,
		clock: clock.RealClock{},
		log:   ctrl.Log.WithName("cache").WithValues("type", fmt.Sprintf("%T", object)),
	}
	return toolscache.NewSharedIndexInformer(persistent.listWatch(from), object, resync, indexers)
}

// isUnsupported reports whether the API server does not support this kind of request. The
// Reflector then tries another.
func isUnsupported(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err)
}

// isExpired reports whether the API server no longer has a resource version, or does not have
// it yet.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// listWatch is what the Reflector lists and watches with. The client makes the requests, and may
// be one that cannot list by a watch.
func (p *resilientListWatch) listWatch(client any) toolscache.ListerWatcher {
	return toolscache.ToListWatcherWithWatchListSemantics(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := p.list(ctx, options)
			if err == nil {
				err = p.learn(list, options.Continue != "")
			}
			return list, err
		},
		WatchFuncWithContext: p.watch,
	}, client)
}

// list lists until there is an answer. The Reflector handles a resource version that has expired.
func (p *resilientListWatch) list(ctx context.Context, options metav1.ListOptions) (list runtime.Object, err error) {
	err = p.retry(ctx, func() error {
		list, err = p.from.ListWithContext(ctx, options)
		return err
	})
	return list, err
}

// learn remembers what the Reflector learns from a list, or from the next page of one.
func (p *resilientListWatch) learn(list runtime.Object, more bool) error {
	if !more {
		p.known = map[toolscache.ObjectName]knownObject{}
	}
	return meta.EachListItem(list, func(object runtime.Object) error {
		of, err := meta.Accessor(object)
		if err == nil {
			p.known[nameOf(of)] = knownObject{of.GetUID(), of.GetResourceVersion(), object}
		}
		return err
	})
}

// retry tries until there is no error, or one that the caller has to handle.
func (p *resilientListWatch) retry(ctx context.Context, try func() error) error {
	pauses := wait.Backoff{Duration: firstRelist, Factor: 2, Jitter: 0.5, Steps: 10, Cap: lastRelist}
	for {
		err := try()
		if err == nil || ctx.Err() != nil || p.final(err) || isExpired(err) {
			return err
		}
		pause := pauses.Step()
		p.log.Info("Could not list or watch; keeping what is known", "error", err.Error(), "retryAfter", pause.String())
		select {
		case <-p.clock.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch starts a watch that does not end by itself.
func (p *resilientListWatch) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	at := p.clock.Now()
	from, err := p.begin(ctx, options)
	if err != nil {
		return nil, err
	}
	p.version = options.ResourceVersion
	if options.SendInitialEvents != nil {
		p.known, p.version = map[toolscache.ObjectName]knownObject{}, ""
	}
	ctx, cancel := context.WithCancel(ctx)
	endless := endlessWatch{events: make(chan watch.Event), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(endless.ended)
		defer close(endless.events)
		p.follow(ctx, from, at, endless.events)
	}()
	return endless, nil
}

// endlessWatch ends when it is stopped.
type endlessWatch struct {
	events chan watch.Event
	cancel context.CancelFunc
	// ended is closed once follow has returned.
	ended chan struct{}
}

// Stop implements watch.Interface.
func (w endlessWatch) Stop() {
	w.cancel()
	<-w.ended
}

// ResultChan implements watch.Interface.
func (w endlessWatch) ResultChan() <-chan watch.Event { return w.events }

// begin starts a watch. If the resource version has expired, it returns a watch that has ended
// with that error, except for a watch that would send the initial state.
func (p *resilientListWatch) begin(ctx context.Context, options metav1.ListOptions) (started watch.Interface, err error) {
	err = p.retry(ctx, func() error {
		started, err = p.from.WatchWithContext(ctx, options)
		return err
	})
	if isExpired(err) && options.SendInitialEvents == nil {
		return endedBy(err), nil
	}
	return started, err
}

// endedBy returns a watch that has ended with this error of the API server.
func endedBy(err error) watch.Interface {
	ended := watch.NewFakeWithChanSize(1, false)
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		ended.Error(ptr.To(status.Status()))
	}
	ended.Stop()
	return ended
}

// follow passes on the events of a watch that started at this time, and of the watches that
// continue it, until the context is done. It returns earlier only if the Reflector must start
// again: the initial list is not complete yet, or the API server refuses to continue.
func (p *resilientListWatch) follow(ctx context.Context, from watch.Interface, at time.Time, to chan<- watch.Event) {
	for {
		err := p.forward(ctx, from, to)
		end(from)
		if err != nil && ctx.Err() == nil {
			p.log.Info("A watch ended; restarting it", "error", err.Error())
		}
		select {
		case <-p.clock.After(shortestWatch - p.clock.Since(at)):
		case <-ctx.Done():
			return
		}
		if p.version == "" {
			return
		}
		at = p.clock.Now()
		if isExpired(err) && p.relist(ctx, to) != nil {
			return
		}
		if from, err = p.begin(ctx, p.next()); err != nil {
			return
		}
	}
}

// end stops a watch, and reads its remaining events. Some watches block for ever until these are
// read, such as those of watch.Filter, which the cache uses.
func end(of watch.Interface) {
	of.Stop()
	for range of.ResultChan() {
	}
}

// next returns the options of a watch that continues from what is known.
func (p *resilientListWatch) next() metav1.ListOptions {
	return metav1.ListOptions{ResourceVersion: p.version, AllowWatchBookmarks: true, TimeoutSeconds: ptr.To(int64(watchTimeout.Seconds() * (1 + rand.Float64())))}
}

// forward passes events on until the watch or the context has ended. It returns the error with
// which the API server has ended the watch.
func (p *resilientListWatch) forward(ctx context.Context, from watch.Interface, to chan<- watch.Event) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-from.ResultChan():
			switch {
			case !ok:
				return nil
			case event.Type == watch.Error:
				return apierrors.FromObject(event.Object)
			}
			p.note(event)
			if !send(ctx, to, event) {
				return nil
			}
		}
	}
}

func send(ctx context.Context, to chan<- watch.Event, event watch.Event) (sent bool) {
	select {
	case to <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

// note remembers what the Reflector learns from an event. The initial events, up to the bookmark
// that ends them, are in no order.
func (p *resilientListWatch) note(event watch.Event) {
	object, err := meta.Accessor(event.Object)
	if err != nil {
		return // nor does the Reflector understand it
	}
	switch event.Type {
	case watch.Added, watch.Modified:
		p.known[nameOf(object)] = knownObject{object.GetUID(), object.GetResourceVersion(), event.Object}
	case watch.Deleted:
		delete(p.known, nameOf(object))
	}
	if p.version != "" || object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		p.version = object.GetResourceVersion()
	}
}

// relist lists, and sends events for what differs from what is known.
func (p *resilientListWatch) relist(ctx context.Context, to chan<- watch.Event) error {
	list, err := p.list(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	of, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	before := p.known
	if err := p.learn(list, false); err != nil {
		return err
	}
	for key, past := range before {
		if present, ok := p.known[key]; ok && present.uid == past.uid {
			continue
		}
		delete(before, key) // also if another object has its name now
		if !send(ctx, to, watch.Event{Type: watch.Deleted, Object: past.object.DeepCopyObject()}) {
			return ctx.Err()
		}
	}
	for key, present := range p.known {
		event := watch.Event{Type: watch.Modified, Object: present.object}
		if past, ok := before[key]; !ok {
			event.Type = watch.Added
		} else if past.version == present.version {
			continue
		}
		if !send(ctx, to, event) {
			return ctx.Err()
		}
	}
	// No object has the version of the list.
	p.version = of.GetResourceVersion()
	bookmark := p.kind.DeepCopyObject()
	if object, err := meta.Accessor(bookmark); err == nil {
		object.SetResourceVersion(p.version)
		send(ctx, to, watch.Event{Type: watch.Bookmark, Object: bookmark})
	}
	return ctx.Err()
}

func nameOf(object metav1.Object) toolscache.ObjectName {
	return toolscache.ObjectName{Namespace: object.GetNamespace(), Name: object.GetName()}
}
