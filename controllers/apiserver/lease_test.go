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
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	clocktesting "k8s.io/utils/clock/testing"
)

// fakeLock is an API server that gives the next answer to any request.
type fakeLock struct {
	resourcelock.Interface
	answer error
	holder string
}

func (f *fakeLock) Identity() string { return "us" }

func (f *fakeLock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if f.answer != nil {
		return nil, nil, f.answer
	}
	return &resourcelock.LeaderElectionRecord{HolderIdentity: f.holder}, []byte(f.holder), nil
}

func (f *fakeLock) Create(context.Context, resourcelock.LeaderElectionRecord) error { return f.answer }
func (f *fakeLock) Update(context.Context, resourcelock.LeaderElectionRecord) error { return f.answer }

var (
	errRefused  = &url.Error{Op: "Put", URL: "https://10.96.0.1", Err: errors.New("connection refused")}
	errInternal = apierrors.NewInternalError(errors.New("etcd"))
	errConflict = apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, LeaseName, nil)
	ours        = resourcelock.LeaderElectionRecord{HolderIdentity: "us"}
)

// heldLease returns a lease that was read and renewed just now.
func heldLease(t *testing.T) (*Lease, *fakeLock, *clocktesting.FakePassiveClock) {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	held, lock := NewLease(clock), &fakeLock{holder: "us"}
	held.Interface = lock
	if _, _, err := held.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := held.Update(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	return held, lock, clock
}

// waits reports whether requests would have to wait now.
func waits(held *Lease, write bool) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return held.ready(ctx, write) != nil
}

func TestLease_APIServerAway_IsKept(t *testing.T) {
	for name, answer := range map[string]error{
		"no connection": errRefused,
		"500":           errInternal,
		"429":           apierrors.NewTooManyRequests("later", 1),
		"503":           apierrors.NewServiceUnavailable("a load balancer"),
	} {
		t.Run(name, func(t *testing.T) {
			held, lock, _ := heldLease(t)
			lock.answer = answer
			if err := held.Update(t.Context(), ours); err != nil {
				t.Errorf("the renewal failed: %v", err)
			}
			record, _, err := held.Get(t.Context())
			if err != nil || record.HolderIdentity != "us" {
				t.Errorf("read %v, %v", record, err)
			}
		})
	}
}

func TestLease_TakenByAnother_IsLost(t *testing.T) {
	held, lock, _ := heldLease(t)
	lock.answer = errConflict
	if err := held.Update(t.Context(), ours); !apierrors.IsConflict(err) {
		t.Errorf("the renewal ended with %v", err)
	}
	lock.answer, lock.holder = nil, "them"
	if record, _, err := held.Get(t.Context()); err != nil || record.HolderIdentity != "them" {
		t.Errorf("read %v, %v", record, err)
	}
	if !waits(held, true) {
		t.Error("writes do not wait although somebody else leads")
	}
	lock.answer = errRefused
	if held.Update(t.Context(), ours) == nil {
		t.Error("a lease that is not ours was renewed by nobody's leave")
	}
}

func TestLease_HeldByAnother_IsNotClaimed(t *testing.T) {
	waiting, lock := NewLease(clocktesting.NewFakePassiveClock(time.Now())), &fakeLock{answer: errRefused}
	waiting.Interface = lock
	if waiting.Update(t.Context(), ours) == nil || waiting.Create(t.Context(), ours) == nil {
		t.Error("the lease was acquired by nobody's leave")
	}
	if _, _, err := waiting.Get(t.Context()); err == nil {
		t.Error("read a lease that nobody showed")
	}
}

// After an outage of the API server every replica would find the lease expired.
func TestLease_APIServerBack_IsLeftToItsHolder(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	waiting, lock := NewLease(clock), &fakeLock{holder: "them"}
	waiting.Interface = lock
	reads := func() bool {
		t.Helper()
		_, _, err := waiting.Get(t.Context())
		if err != nil && !errors.Is(err, errHolderFirst) {
			t.Fatal(err)
		}
		return err == nil
	}
	pass := func(by time.Duration) { clock.SetTime(clock.Now().Add(by)) }

	if !reads() {
		t.Error("the lease cannot be read although nobody was away")
	}
	for range 20 {
		if pass(2 * RetryPeriod); !reads() {
			t.Fatal("the lease of a holder that has died cannot be read")
		}
	}
	for _, answer := range []error{errRefused, errInternal, apierrors.NewForbidden(schema.GroupResource{Resource: "leases"}, LeaseName, nil)} {
		lock.answer = answer
		for range LeaseDuration / RetryPeriod {
			pass(RetryPeriod)
			if _, _, err := waiting.Get(t.Context()); err == nil {
				t.Fatal("read a lease that nobody showed")
			}
		}
		lock.answer = nil
		for range (holderGrace - 1) / RetryPeriod {
			if reads() {
				t.Fatal("the holder has had no time to renew it")
			}
			pass(RetryPeriod)
		}
		if pass(RetryPeriod); !reads() {
			t.Error("the holder has had its time")
		}
	}
	pass(2 * outageThreshold)
	lock.holder = ""
	if !reads() {
		t.Error("a lease that was released cannot be read")
	}
}

func TestRequests_APIServerAway_Wait(t *testing.T) {
	held, lock, _ := heldLease(t)
	lock.answer = errInternal
	_ = held.Update(t.Context(), ours)
	if waits(held, false) || waits(held, true) {
		t.Error("requests wait although the API server answers")
	}
	lock.answer = errRefused
	_ = held.Update(t.Context(), ours)
	if !waits(held, false) || !waits(held, true) {
		t.Error("requests do not wait for an API server that does not answer")
	}
	passed := make(chan error, 1)
	go func() { passed <- held.ready(context.Background(), true) }()
	lock.answer = nil
	_ = held.Update(t.Context(), ours)
	select {
	case err := <-passed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the request still waits although the API server is back")
	}
}

func TestWrites_LeaseExpired_Wait(t *testing.T) {
	held, _, clock := heldLease(t)
	clock.SetTime(clock.Now().Add(LeaseDuration - time.Millisecond))
	if waits(held, true) {
		t.Error("writes wait although the lease is ours")
	}
	clock.SetTime(clock.Now().Add(time.Millisecond))
	if !waits(held, true) {
		t.Error("writes do not wait although the lease may have expired")
	}
	if waits(held, false) {
		t.Error("reads wait, which can do no harm")
	}
	if err := held.Update(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	if waits(held, true) {
		t.Error("writes wait although the lease has been renewed")
	}
}

func TestWrites_LeaseReleased_Wait(t *testing.T) {
	held, _, _ := heldLease(t)
	if err := held.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil {
		t.Fatal(err)
	}
	if !waits(held, true) {
		t.Error("writes do not wait although the lease has been released")
	}
}

func TestIsWrite(t *testing.T) {
	for request, want := range map[string]bool{
		"GET /apis/discovery.k8s.io/v1/endpointslices":                     false,
		"POST /apis/discovery.k8s.io/v1/namespaces/a/endpointslices":       true,
		"PUT /apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b":      true,
		"DELETE /apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b":   true,
		"PUT /apis/farpoint.dev/v1/namespaces/a/externalservices/b/status": true,
		"POST /api/v1/namespaces/a/services":                               true,
		"POST /apis/events.k8s.io/v1/namespaces/a/events":                  false,
		"POST /apis/authentication.k8s.io/v1/tokenreviews":                 false,
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews":          false,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := isWrite(&http.Request{Method: method, URL: &url.URL{Path: path}}); got != want {
			t.Errorf("%s: %v", request, got)
		}
	}
}
