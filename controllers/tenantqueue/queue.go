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

package tenantqueue

import (
	"maps"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// slowAfter is how long a reconcile may take before it counts as slow: it waits for
// somebody, such as a tenant's admission webhook. For slowMemory after the last slow
// reconcile of a namespace, the next ones are expected to be slow as well.
const slowAfter, slowMemory = 250 * time.Millisecond, time.Minute

// Queue is a work queue that keeps a tenant whose writes are slow from holding up the
// others. A reconcile that has become slow gives its slot to another one. Slow reconciles have
// limits of their own, in all and for each namespace: what else is to be reconciled there waits
// until one of them has ended. Otherwise it is the same queue, with the same priorities.
type Queue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	clock  clock.WithDelayedExecution
	limits Limits
	// slots holds a token for each reconcile that may begin besides those that are slow.
	slots chan struct{}

	// mu guards what follows. No I/O happens while holding it.
	mu      sync.Mutex
	running map[reconcile.Request]*runningReconcile
	// runningIn counts the reconciles of each namespace.
	runningIn NamespaceCounts
	// slow counts the slow reconciles, by namespace and in all.
	slow    NamespaceCounts
	allSlow int
	// lastSlow is when each namespace was last found slow.
	lastSlow map[string]time.Time
	// released are the requests that no longer wait, until they begin, and releasedIn counts
	// them by namespace.
	released   map[reconcile.Request]bool
	releasedIn NamespaceCounts
	// waiting are the requests of each namespace that wait for a slow reconcile to end, and
	// their priorities, and order is their order.
	waiting map[string]map[reconcile.Request]int
	order   map[string][]reconcile.Request
}

// NamespaceCounts count something by namespace, without namespaces that have none.
type NamespaceCounts map[string]int

// Release takes one off the count of a namespace.
func (c NamespaceCounts) Release(namespace string) {
	if c[namespace]--; c[namespace] <= 0 {
		delete(c, namespace)
	}
}

// Limits bound how many reconciles there are at one time.
type Limits struct {
	// quick bounds those that are not slow, slow those that are, and slowPerNamespace those
	// of one namespace.
	quick, slow, slowPerNamespace int
}

// LimitsFor returns the limits for so many reconciles at one time. A namespace may have as
// many slow ones as there would be reconciles without any distinction.
func LimitsFor(concurrent int) Limits {
	const slowNamespaces, maxSlow, maxSlowPerNamespace = 16, 256, 64
	return Limits{
		quick:            concurrent,
		slow:             min(slowNamespaces*concurrent, maxSlow),
		slowPerNamespace: min(concurrent, maxSlowPerNamespace),
	}
}

// Workers is how many workers have to ask the queue for requests.
func (l Limits) Workers() int { return l.quick + l.slow }

// runningReconcile is a request that a worker has been given.
type runningReconcile struct {
	startedAt time.Time
	slow      bool
	// overdue: it is slow, but there is no room for it among those that are.
	overdue bool
	// timer calls when it has become slow; nil if it counted as slow from the start.
	timer clock.Timer
}

// New returns a queue for one controller, which wraps that of controller-runtime.
func New(queue priorityqueue.PriorityQueue[reconcile.Request], limits Limits) *Queue {
	q := &Queue{
		PriorityQueue: queue,
		clock:         clock.RealClock{},
		limits:        limits,
		slots:         make(chan struct{}, limits.quick),
		running:       map[reconcile.Request]*runningReconcile{},
		runningIn:     NamespaceCounts{},
		slow:          NamespaceCounts{},
		lastSlow:      map[string]time.Time{},
		released:      map[reconcile.Request]bool{},
		releasedIn:    NamespaceCounts{},
		waiting:       map[string]map[reconcile.Request]int{},
		order:         map[string][]reconcile.Request{},
	}
	for range limits.quick {
		q.slots <- struct{}{}
	}
	return q
}

// GetWithPriority waits for a slot and for a request whose namespace may have another reconcile.
func (q *Queue) GetWithPriority() (request reconcile.Request, priority int, shutdown bool) {
	<-q.slots
	for {
		request, priority, shutdown = q.PriorityQueue.GetWithPriority()
		if shutdown {
			q.slots <- struct{}{}
			return request, priority, shutdown
		}
		if q.begin(request, priority) {
			return request, priority, false
		}
		q.PriorityQueue.Done(request) // it is added again when it may begin
	}
}

// Get is GetWithPriority without the priority.
func (q *Queue) Get() (request reconcile.Request, shutdown bool) {
	request, _, shutdown = q.GetWithPriority()
	return request, shutdown
}

// begin reports whether a request may be reconciled now. If not, it waits.
func (q *Queue) begin(request reconcile.Request, priority int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.released[request] {
		delete(q.released, request)
		q.releasedIn.Release(request.Namespace)
	}
	started := &runningReconcile{startedAt: q.clock.Now()}
	last, wasSlow := q.lastSlow[request.Namespace]
	isSlow := q.slow[request.Namespace] > 0 || wasSlow && started.startedAt.Sub(last) < slowMemory
	if isSlow && (q.runningIn[request.Namespace] >= q.limits.slowPerNamespace || q.allSlow >= q.limits.slow) {
		q.wait(request, priority)
		return false
	}
	q.running[request] = started
	q.runningIn[request.Namespace]++
	if isSlow {
		q.becomeSlow(request.Namespace, started)
		return true
	}
	started.timer = q.clock.AfterFunc(slowAfter, func() { q.overdue(request, started) })
	return true
}

// overdue is called when a reconcile has taken slowAfter.
func (q *Queue) overdue(request reconcile.Request, started *runningReconcile) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running[request] != started { // it has just ended
		return
	}
	if q.allSlow < q.limits.slow {
		q.becomeSlow(request.Namespace, started)
	} else {
		started.overdue = true
	}
	now := q.clock.Now()
	maps.DeleteFunc(q.lastSlow, func(_ string, last time.Time) bool { return now.Sub(last) >= slowMemory })
	q.lastSlow[request.Namespace] = now
}

// becomeSlow gives the slot of a reconcile to another one. It is called with mu held, and does
// not block: slots has room for each reconcile that is not slow.
func (q *Queue) becomeSlow(namespace string, started *runningReconcile) {
	started.slow, started.overdue = true, false
	q.slow[namespace]++
	q.allSlow++
	q.slots <- struct{}{}
}

// wait is called with mu held.
func (q *Queue) wait(request reconcile.Request, priority int) {
	namespace := request.Namespace
	if q.waiting[namespace] == nil {
		q.waiting[namespace] = map[reconcile.Request]int{}
	}
	before, known := q.waiting[namespace][request]
	if !known {
		q.order[namespace] = append(q.order[namespace], request)
		before = priority
	}
	q.waiting[namespace][request] = max(before, priority)
}

// Done ends a reconcile, and adds the requests that have waited for that.
func (q *Queue) Done(request reconcile.Request) {
	next := q.end(request) // before another worker may be given the same request
	q.PriorityQueue.Done(request)
	for next, priority := range next {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, next)
	}
}

// end returns the requests that may begin after one has ended, with their priorities. There may
// be some after a quick one, too: they have waited for slow ones, which may all have ended.
func (q *Queue) end(request reconcile.Request) map[reconcile.Request]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	ended := q.running[request]
	delete(q.running, request)
	q.runningIn.Release(request.Namespace)
	if ended.timer != nil {
		ended.timer.Stop()
	}
	if ended.slow {
		q.endSlow(request.Namespace, q.clock.Since(ended.startedAt) >= slowAfter)
	} else {
		q.slots <- struct{}{}
	}
	var next map[reconcile.Request]int
	for namespace := range q.waiting { // in random order, which is fair
		for len(q.waiting[namespace]) > 0 && q.runningIn[namespace]+q.releasedIn[namespace] < q.limits.slowPerNamespace && q.allSlow+len(q.released) < q.limits.slow {
			if next == nil {
				next = map[reconcile.Request]int{}
			}
			request, priority := q.nextOf(namespace)
			q.released[request] = true
			q.releasedIn[namespace]++
			next[request] = priority
		}
	}
	return next
}

// endSlow gives the room of a slow reconcile to one that is overdue. It is called with mu
// held.
func (q *Queue) endSlow(namespace string, wasSlow bool) {
	q.allSlow--
	q.slow.Release(namespace)
	if wasSlow {
		q.lastSlow[namespace] = q.clock.Now()
	} else {
		delete(q.lastSlow, namespace) // it has recovered
	}
	for request, running := range q.running {
		if running.overdue {
			q.becomeSlow(request.Namespace, running)
			return
		}
	}
}

// nextOf takes the request of the namespace that has the highest priority and has waited
// for longest. It is called with mu held, for a namespace where one waits.
func (q *Queue) nextOf(namespace string) (next reconcile.Request, priority int) {
	waiting, order := q.waiting[namespace], q.order[namespace]
	at := 0
	for i, request := range order {
		if waiting[request] > waiting[order[at]] {
			at = i
		}
	}
	next = order[at]
	priority = waiting[next]
	delete(waiting, next)
	q.order[namespace] = append(order[:at], order[at+1:]...)
	if len(waiting) == 0 {
		delete(q.waiting, namespace)
		delete(q.order, namespace)
	}
	return next, priority
}
