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
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"farpoint.dev/farpoint/probes"
)

// transitions puts the owners of targets whose health changed into the work queue, ahead of
// everything else that waits there: the first change after a quiet time at once, and what follows
// within the batch window together at its end, so that many changes at once are two writes of a
// slice.
type transitions struct {
	clock clock.PassiveClock

	// mu guards what follows. Nothing waits while holding it.
	mu    sync.Mutex
	queue priorityqueue.PriorityQueue[reconcile.Request]
	// scheduled is when each owner was last queued for, or will be next.
	scheduled map[probes.Owner]time.Time
	// unpublished is when the first change of each owner that the slices do not have yet was
	// reported.
	unpublished map[probes.Owner]time.Time
	// swept is when owners without recent changes were last forgotten.
	swept time.Time
}

const (
	// transitionPriority is above that of edits (0) and resyncs (handler.LowPriority).
	transitionPriority = 100
	// batchWindow is the minimum time from one reconcile of an owner to the next. For that long,
	// beyond the time that its probes take, the last of several endpoints that die together may
	// lose traffic.
	batchWindow = 150 * time.Millisecond
)

func newTransitions(clock clock.PassiveClock) *transitions {
	return &transitions{clock: clock, scheduled: map[probes.Owner]time.Time{}, unpublished: map[probes.Owner]time.Time{}}
}

// start is called once, when the controller starts.
func (t *transitions) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	prioritized, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok {
		return fmt.Errorf("the work queue is a %T, which has no priorities", queue)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = prioritized
	return nil
}

// notify is called by the scheduler. Without a queue the controller has not started, and will
// reconcile every object when it does.
func (t *transitions) notify(owner probes.Owner) {
	t.mu.Lock()
	queue, wait := t.queue, t.wait(owner)
	t.mu.Unlock()
	if queue == nil {
		return
	}
	priority := transitionPriority
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority, After: wait}, reconcile.Request{
		NamespacedName: types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name},
	})
}

// resolved is called by the resolver: a name of the owner leads elsewhere. The owner is
// reconciled at once. A name is looked up again only seconds later, so that there are no further
// changes to wait for.
func (t *transitions) resolved(owner probes.Owner) {
	t.mu.Lock()
	queue := t.queue
	t.mu.Unlock()
	if queue == nil {
		return
	}
	priority := transitionPriority
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, reconcile.Request{NamespacedName: types.NamespacedName(owner)})
}

// wait returns the time until the owner is to be reconciled.
func (t *transitions) wait(owner probes.Owner) time.Duration {
	now := t.clock.Now()
	t.sweep(now)
	if _, ok := t.unpublished[owner]; !ok {
		t.unpublished[owner] = now
	}
	next, known := t.scheduled[owner]
	switch {
	case !known || now.Sub(next) >= batchWindow:
		t.scheduled[owner] = now
		return 0
	case next.After(now): // it is queued for then
		return next.Sub(now)
	}
	t.scheduled[owner] = next.Add(batchWindow)
	return t.scheduled[owner].Sub(now)
}

// claim is called before what is known is published. It returns when the first unpublished change
// was reported; zero if there is none. The batch window starts again: the owner may have waited
// long in the queue.
func (t *transitions) claim(owner probes.Owner) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	since, ok := t.unpublished[owner]
	if ok {
		delete(t.unpublished, owner)
		t.scheduled[owner] = t.clock.Now()
	}
	return since
}

// restore is called if what was claimed could not be published: it remains unpublished since
// then.
func (t *transitions) restore(owner probes.Owner, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unpublished[owner] = since // which is before anything that was reported meanwhile
}

// sweep forgets owners without recent changes, now and then.
func (t *transitions) sweep(now time.Time) {
	if now.Sub(t.swept) < time.Minute {
		return
	}
	t.swept = now
	for owner, next := range t.scheduled {
		if now.Sub(next) >= batchWindow {
			delete(t.scheduled, owner)
		}
	}
}
