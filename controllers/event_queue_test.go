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
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/test/effort"
)

// eventsAPI is an API server that takes some time to write Events, by their namespace.
type eventsAPI struct {
	client.Client
	takes map[string]time.Duration
	fail  func(*eventsv1.Event) error

	mu      sync.Mutex
	written map[string][]string // notes by object
}

func (a *eventsAPI) Create(ctx context.Context, object client.Object, _ ...client.CreateOption) error {
	event := object.(*eventsv1.Event)
	select {
	case <-time.After(a.takes[event.Namespace]):
	case <-ctx.Done():
		return ctx.Err()
	}
	if a.fail != nil {
		if err := a.fail(event); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.written == nil {
		a.written = map[string][]string{}
	}
	key := event.Namespace + "/" + event.Regarding.Name
	a.written[key] = append(a.written[key], event.Note)
	return nil
}

func (a *eventsAPI) notesOf(namespace, name string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.written[namespace+"/"+name])
}

func (a *eventsAPI) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := 0
	for _, notes := range a.written {
		all += len(notes)
	}
	return all
}

func alwaysLeading(context.Context) error { return nil }

// runEvents runs a queue until the returned function is called.
func runEvents(api *eventsAPI) (*eventQueue, func()) {
	queue := newEventQueue(api, alwaysLeading)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = queue.Start(ctx)
	}()
	return queue, func() { cancel(); <-done }
}

func about(namespace, name string) *farpointv1.ExternalService {
	return &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func TestEventQueue_SlowAPI_AddsAtOnceAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &eventsAPI{takes: map[string]time.Duration{"shop": time.Second}}
		queue, stop := runEvents(api)
		start := time.Now()
		var want []string
		for i := range 20 {
			note := fmt.Sprint(i)
			want = append(want, note)
			for object := range 50 {
				queue.add(about("shop", fmt.Sprint(object)), []report.PendingEvent{{Warning: true, Reason: "Reason", Note: note}}, metav1.NowMicro())
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("adding took %v, want no waiting", took)
		}
		time.Sleep(10 * time.Minute)
		for object := range 50 {
			if got := api.notesOf("shop", fmt.Sprint(object)); !slices.Equal(got, want) {
				t.Errorf("the Events of object %d are %v, want %v", object, got, want)
			}
		}
		stop()
	})
}

func TestEventQueue_OneNamespaceIsSlow_WritesThoseOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &eventsAPI{takes: map[string]time.Duration{"slow": 4 * time.Second}}
		queue, stop := runEvents(api)
		for i := range 1000 {
			queue.add(about("slow", fmt.Sprint(i)), []report.PendingEvent{{Warning: true, Reason: "Reason", Note: "x"}}, metav1.NowMicro())
		}
		time.Sleep(time.Second)
		queue.add(about("shop", "api"), []report.PendingEvent{{Warning: false, Reason: "Reason", Note: "x"}}, metav1.NowMicro())
		synctest.Wait()
		if got := api.notesOf("shop", "api"); len(got) != 1 {
			t.Errorf("the Event of the other namespace waits: %v", got)
		}
		stop()
	})
}

func TestEventQueue_Overflow_DropsTheLeastUsefulAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := newEventQueue(&eventsAPI{}, alwaysLeading) // nobody writes
		queue.add(about("shop", "api"), []report.PendingEvent{{Warning: false, Reason: "Normal", Note: "first"}}, metav1.NowMicro())
		queue.add(about("small", "api"), []report.PendingEvent{{Warning: true, Reason: "Warning", Note: "of a small tenant"}}, metav1.NowMicro())
		dropped := effort.Rounds(maxPendingEvents, maxPendingEvents/10)
		for i := range maxPendingEvents + dropped {
			queue.add(about("shop", "api"), []report.PendingEvent{{Warning: true, Reason: "Warning", Note: fmt.Sprint(i)}}, metav1.NowMicro())
		}
		queue.add(about("shop", "api"), []report.PendingEvent{{Warning: false, Reason: "Normal", Note: "last"}}, metav1.NowMicro())
		var left []string
		for _, event := range queue.pending {
			left = append(left, event.Note)
		}
		if len(left) != maxPendingEvents || left[0] != "of a small tenant" || left[len(left)-1] != fmt.Sprint(maxPendingEvents+dropped-1) {
			t.Errorf("%d Events are left, from %q to %q; want the newest warnings, and all of the small tenant's", len(left), left[0], left[len(left)-1])
		}
		if got := testutil.ToFloat64(queue.dropped.WithLabelValues("overflow")); got != float64(dropped+3) {
			t.Errorf("counted %v dropped, want %d", got, dropped+3)
		}
	})
}

func TestEventQueue_Stop_WritesWhatThereIsTimeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &eventsAPI{takes: map[string]time.Duration{"shop": 100 * time.Millisecond}}
		queue, stop := runEvents(api)
		for i := range 1000 {
			queue.add(about("shop", fmt.Sprint(i)), []report.PendingEvent{{Warning: true, Reason: "Reason", Note: "x"}}, metav1.NowMicro())
		}
		synctest.Wait()
		start := time.Now()
		stop()
		if took := time.Since(start); took > eventFlushTime {
			t.Errorf("stopping took %v, want at most %v", took, eventFlushTime)
		}
		written := api.count()
		if written < 4*9 {
			t.Errorf("%d were written while stopping, want as many as there was time for", written)
		}
		dropped := testutil.ToFloat64(queue.dropped.WithLabelValues("shutdown")) + testutil.ToFloat64(queue.dropped.WithLabelValues("failure"))
		if int(dropped)+written != 1000 {
			t.Errorf("%d written and %v counted as dropped, want 1000 together", written, dropped)
		}
	})
}

func TestEventQueue_APIServerRefusesOrIsSilent_CountsAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &eventsAPI{takes: map[string]time.Duration{"silent": time.Hour}, fail: func(event *eventsv1.Event) error {
			if event.Namespace == "refused" {
				return errors.New("no")
			}
			return nil
		}}
		queue, stop := runEvents(api)
		for _, namespace := range []string{"refused", "silent", "shop"} {
			queue.add(about(namespace, "api"), []report.PendingEvent{{Warning: true, Reason: "Reason", Note: "x"}}, metav1.NowMicro())
		}
		time.Sleep(eventTries*eventTimeout + time.Second)
		if got := testutil.ToFloat64(queue.dropped.WithLabelValues("failure")); got != 2 {
			t.Errorf("counted %v failures, want 2", got)
		}
		if got := api.notesOf("shop", "api"); len(got) != 1 {
			t.Errorf("the Event that is not refused was not written: %v", got)
		}
		stop()
	})
}
