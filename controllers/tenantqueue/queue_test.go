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
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func requestFor(namespace string, number int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(number)}}
}

// queueRun is a tenantQueue with workers, as a controller has them.
type queueRun struct {
	*Queue
	startedAt time.Time
	// takes is how long a reconcile takes.
	takes func(reconcile.Request) time.Duration

	mu sync.Mutex
	// ended is when each request was reconciled last, since the beginning, and history their
	// order.
	ended   map[reconcile.Request]time.Duration
	history []reconcile.Request

	workers sync.WaitGroup
}

func runQueue(concurrent int, takes func(reconcile.Request) time.Duration) *queueRun {
	limits := LimitsFor(concurrent)
	run := &queueRun{Queue: New(priorityqueue.New[reconcile.Request]("test"), limits), startedAt: time.Now(), takes: takes, ended: map[reconcile.Request]time.Duration{}}
	for range limits.Workers() {
		run.workers.Go(func() {
			for {
				request, _, shutdown := run.GetWithPriority()
				if shutdown {
					return
				}
				time.Sleep(run.takes(request))
				run.mu.Lock()
				run.ended[request] = time.Since(run.startedAt)
				run.history = append(run.history, request)
				run.mu.Unlock()
				run.Done(request)
			}
		})
	}
	return run
}

// endOf returns when a request was reconciled last, since the beginning.
func (r *queueRun) endOf(request reconcile.Request) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.ended[request]
	return at, ok
}

// count returns how many requests were reconciled.
func (r *queueRun) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ended)
}

// inOrder returns the requests that were reconciled, the first one first.
func (r *queueRun) inOrder() []reconcile.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.history)
}

// stop fails the test if anything is left that should have been given back.
func (r *queueRun) stop(t *testing.T) {
	t.Helper()
	r.ShutDown()
	r.workers.Wait()
	if len(r.slots) != r.limits.quick || len(r.running)+len(r.runningIn)+len(r.slow)+r.allSlow+len(r.waiting)+len(r.order)+len(r.released)+len(r.releasedIn) != 0 {
		t.Errorf("%d places, running %v, slow %v, waiting %v are left", len(r.slots), r.running, r.slow, r.waiting)
	}
}

func TestTenantQueue_SlowTenants_DoNotHoldUpOthers(t *testing.T) {
	const concurrent, slowWrite, quickWrite = 4, 10 * time.Second, 5 * time.Millisecond
	for _, tenants := range []int{1, 3, 16, 40} {
		t.Run(fmt.Sprint(tenants), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run := runQueue(concurrent, func(request reconcile.Request) time.Duration {
					if request.Namespace == "quick" {
						return quickWrite
					}
					return slowWrite
				})
				for tenant := range tenants {
					for i := range 100 {
						run.Add(requestFor(fmt.Sprint("slow-", tenant), i))
					}
				}
				warmUp := time.Duration(tenants+1) * slowAfter // until the slow ones are known as such
				if tenants > 16 {
					warmUp = 3 * slowWrite // more than there is room for
				}
				time.Sleep(warmUp)
				for i := range 50 {
					added := time.Since(run.startedAt)
					run.Add(requestFor("quick", i))
					time.Sleep(time.Second)
					ended, ok := run.endOf(requestFor("quick", i))
					if took := ended - added; !ok || took > 2*slowAfter {
						t.Errorf("request %d was reconciled after %v (%v), want at once", i, took, ok)
					}
				}
				// A slow tenant gets what it would get alone.
				time.Sleep(time.Duration(1+tenants/16) * 100 / concurrent * slowWrite)
				for tenant := range tenants {
					for i := range 100 {
						if _, ok := run.endOf(requestFor(fmt.Sprint("slow-", tenant), i)); !ok {
							t.Errorf("request %d of tenant %d was never reconciled", i, tenant)
						}
					}
				}
				run.stop(t)
			})
		})
	}
}

// Until a tenant is known to be slow, it has all slots, for a moment.
func TestTenantQueue_TenantBecomesSlow_GivesWayWithinAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := runQueue(4, func(request reconcile.Request) time.Duration {
			if request.Namespace == "slow" {
				return 10 * time.Second
			}
			return 0
		})
		for i := range 100 {
			run.Add(requestFor("slow", i))
		}
		synctest.Wait()
		run.Add(requestFor("quick", 0))
		time.Sleep(2 * slowAfter)
		if _, ok := run.endOf(requestFor("quick", 0)); !ok {
			t.Error("the other tenant's request still waits")
		}
		time.Sleep(5 * time.Minute)
		run.stop(t)
	})
}

// Whatever waited for slow reconciles is reconciled also if none is slow any more.
func TestTenantQueue_TenantRecovers_ReconcilesWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recovered := time.Now().Add(30 * time.Second)
		run := runQueue(2, func(reconcile.Request) time.Duration {
			if time.Now().Before(recovered) {
				return 10 * time.Second
			}
			return time.Millisecond
		})
		for i := range 1000 {
			run.Add(requestFor("slow", i))
		}
		time.Sleep(50 * time.Second)
		if got := run.count(); got != 1000 {
			t.Errorf("%d of 1000 were reconciled 20 s after the tenant recovered", got)
		}
		run.stop(t)
	})
}

func TestTenantQueue_RequestsWait_KeepTheirPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := runQueue(1, func(reconcile.Request) time.Duration { return 10 * time.Second })
		run.Add(requestFor("slow", 0))
		time.Sleep(time.Second)
		low, high := -100, 100
		run.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, requestFor("slow", 1))
		time.Sleep(time.Second)
		run.Add(requestFor("slow", 2))
		time.Sleep(time.Second)
		run.AddWithOpts(priorityqueue.AddOpts{Priority: &high}, requestFor("slow", 3))
		time.Sleep(time.Second)
		run.AddWithOpts(priorityqueue.AddOpts{Priority: &high}, requestFor("slow", 1)) // it has become urgent
		time.Sleep(time.Minute)
		var got []string
		for _, request := range run.inOrder() {
			got = append(got, request.Name)
		}
		if want := "[0 1 3 2]"; fmt.Sprint(got) != want {
			t.Errorf("reconciled in the order %v, want %v", got, want)
		}
		run.stop(t)
	})
}

// A request that is added while it is reconciled is given to another worker as soon as the
// queue knows that the first one is done with it.
func TestTenantQueue_RequestAddedWhileReconciled_IsReconciledAgain(t *testing.T) {
	queue := New(priorityqueue.New[reconcile.Request]("test"), LimitsFor(8))
	var workers sync.WaitGroup
	for range queue.limits.Workers() {
		workers.Go(func() {
			for {
				request, _, shutdown := queue.GetWithPriority()
				if shutdown {
					return
				}
				queue.Add(request)
				queue.Done(request)
			}
		})
	}
	for i := range 2 {
		queue.Add(requestFor("busy", i))
	}
	time.Sleep(time.Second)
	queue.ShutDown()
	workers.Wait()
	if len(queue.running) != 0 || len(queue.slots) != queue.limits.quick {
		t.Errorf("running %v and %d places are left, want all given back", queue.running, len(queue.slots))
	}
}

// No more than the limit run at one time as long as none is slow.
func TestTenantQueue_QuickReconciles_KeepToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const concurrent = 3
		var mu sync.Mutex
		running, most := 0, 0
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			running += by
			most = max(most, running)
		}
		run := runQueue(concurrent, func(reconcile.Request) time.Duration {
			count(1)
			time.AfterFunc(slowAfter/2-1, func() { count(-1) })
			return slowAfter / 2
		})
		for i := range 100 {
			run.Add(requestFor(fmt.Sprint(i%5), i))
		}
		time.Sleep(time.Minute)
		mu.Lock()
		highest := most
		mu.Unlock()
		if got := run.count(); got != 100 || highest > concurrent {
			t.Errorf("%d of 100 were reconciled, at most %d at one time; want at most %d", got, highest, concurrent)
		}
		run.stop(t)
	})
}
