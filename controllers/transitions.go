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

// transitions puts the owners of targets whose health changed into the work queue, ahead
// of everything else that waits there: the first change after a quiet time at once, and
// what follows within the batch window together at its end, so that a crowd of changes
// is two writes of a slice.
type transitions struct {
	clock clock.PassiveClock

	// mu guards what follows. Nothing waits while holding it.
	mu    sync.Mutex
	queue priorityqueue.PriorityQueue[reconcile.Request]
	// scheduled are when each owner's last turn was, or its next one will be.
	scheduled map[probes.Owner]time.Time
	// unpublished are when the first change was reported that the slices do not have yet.
	unpublished map[probes.Owner]time.Time
	// swept is when owners that have been quiet were last forgotten.
	swept time.Time
}

const (
	// transitionPriority is above that of edits (0) and resyncs (handler.LowPriority).
	transitionPriority = 100
	// batchWindow is the least time from one turn of an owner to the next. It is what the
	// last endpoint of several that die together may lose traffic for beyond the time that
	// its probes take.
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

// notify is what the scheduler calls. Without a queue the controller has not started,
// and will look at every object when it does.
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

// resolved is what the resolver calls: a name of the owner leads elsewhere. It has its turn
// at once. A name is asked for seconds later again, so that there is no crowd to wait for.
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

// wait returns the time until the owner's turn.
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
	case next.After(now): // there is one to come
		return next.Sub(now)
	}
	t.scheduled[owner] = next.Add(batchWindow)
	return t.scheduled[owner].Sub(now)
}

// claim is called by who is about to publish what is known. It returns when the first change change
// was reported that is news; zero if none is. The batch window starts again: a turn may have
// waited long in the queue.
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

// restore is called by who could not publish what was taken: it remains news since then.
func (t *transitions) restore(owner probes.Owner, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unpublished[owner] = since // which is before anything that was reported meanwhile
}

// sweep forgets who has been quiet, now and then.
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
