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
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var someTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// ailing is an ExternalService with these endpoints, by address and health.
func ailing(name string, healths ...farpointv1.EndpointHealth) *farpointv1.ExternalService {
	object := &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	for i, health := range healths {
		address := fmt.Sprintf("192.0.2.%d", i)
		object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{Address: address, Zone: fmt.Sprintf("zone-%d", i)})
		object.Status.Endpoints = append(object.Status.Endpoints, farpointv1.EndpointStatus{
			Name: address + ":80", Address: address, State: farpointv1.EndpointActive, Health: health,
			Reason: "Timeout", Message: "no answer in time", LastTransitionTime: metav1.NewTime(someTime),
		})
	}
	return object
}

const (
	well = farpointv1.EndpointHealthy
	ill  = farpointv1.EndpointUnhealthy
)

func TestAlertsOf(t *testing.T) {
	object := ailing("api", well, ill, farpointv1.EndpointHealthUnknown, ill)
	object.Status.Endpoints[3].State = farpointv1.EndpointDraining
	object.Status.Conditions = []metav1.Condition{{
		Type: farpointv1.AvailableCondition, Status: metav1.ConditionFalse, Reason: farpointv1.NoEndpointsReadyReason,
		Message: "0 of 4 endpoints are ready", LastTransitionTime: metav1.NewTime(someTime.Add(time.Minute)),
	}, {
		Type: farpointv1.FailOpenCondition, Status: metav1.ConditionTrue, Reason: farpointv1.AllPublishedReason,
		Message: "all get traffic", LastTransitionTime: metav1.NewTime(someTime),
	}}
	key := types.NamespacedName{Namespace: "shop", Name: "api"}
	want := []notice{
		{alert: alert{endpointDownAlert, key, "192.0.2.1:80", "zone-1", "Timeout"}, message: "no answer in time", since: someTime},
		{alert: alert{name: serviceUnavailableAlert, object: key, reason: farpointv1.NoEndpointsReadyReason}, message: "0 of 4 endpoints are ready", since: someTime.Add(time.Minute)},
		{alert: alert{name: failOpenAlert, object: key, reason: farpointv1.AllPublishedReason}, message: "all get traffic", since: someTime},
	}
	if got := alertsOf(object); !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	object.Spec.Suspend = true
	if got := alertsOf(object); len(got) != 0 {
		t.Errorf("of a suspended object: %+v", got)
	}
}

func TestAlertBookTellsWhatChanges(t *testing.T) {
	book, serial := newAlertBook(), uint64(0)
	news := func(after time.Duration, objects ...*farpointv1.ExternalService) string {
		t.Helper()
		at := someTime.Add(after)
		for _, object := range objects {
			book.record(types.NamespacedName{Namespace: object.Namespace, Name: object.Name}, alertsOf(object), at)
		}
		var list []notice
		list, serial = book.after(serial, at)
		return lines(list)
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	expect(news(0, ailing("a", ill, ill), ailing("b", well)), "+a/0 +a/1 ")
	expect(news(1, ailing("a", ill, ill)), "")
	expect(news(2, ailing("a", ill, well), ailing("b", ill)), "-a/1 +b/0 ")
	refused := ailing("a", ill)
	refused.Status.Endpoints[0].Reason = "ConnectionRefused"
	expect(news(3, refused), "~a/0 +a/0 ")
	serial = 0 // all that holds, and what has ended lately
	expect(news(4), "-a/1 +b/0 ~a/0 +a/0 ")
	serial = 0
	expect(news(endedRetention+time.Minute), "+b/0 +a/0 ")
	book.record(types.NamespacedName{Namespace: "shop", Name: "a"}, nil, someTime) // deleted
	book.record(types.NamespacedName{Namespace: "shop", Name: "b"}, nil, someTime)
	news(2 * endedRetention)
	if len(book.notices) != 0 {
		t.Errorf("%v is left", book.notices)
	}
}

// lines writes notices short: + begins, - ends, ~ ends as another takes its place.
func lines(list []notice) string {
	text := ""
	for _, each := range list {
		mark := "+"
		switch {
		case each.replaced:
			mark = "~"
		case !each.ended.IsZero():
			mark = "-"
		}
		text += fmt.Sprintf("%s%s/%s ", mark, each.object.Name, each.zone[len("zone-"):])
	}
	return text
}

// deafReceiver notes what it is told, unless it is deaf.
type deafReceiver struct {
	mu    sync.Mutex
	deaf  bool
	told  []string
	tries []time.Time
}

func (r *deafReceiver) deliver(_ context.Context, notices []notice, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, now)
	if r.deaf {
		return errors.New("deaf")
	}
	r.told = append(r.told, lines(notices))
	return nil
}

func (r *deafReceiver) set(deaf bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = deaf
}

func (r *deafReceiver) heard(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.told, want) {
		t.Errorf("heard %q, want %q", r.told, want)
	}
	r.told = nil
}

// inBubble runs a notifier with two receivers on fake time. One of them is repeated to.
func inBubble(t *testing.T, run func(note func(*farpointv1.ExternalService), once, often *deafReceiver)) {
	synctest.Test(t, func(t *testing.T) {
		once, often := &deafReceiver{}, &deafReceiver{}
		n := &notifier{
			clock: clock.RealClock{}, book: newAlertBook(),
			delivered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "delivered"}, []string{"receiver", "result"}),
			lines: []*line{
				{receiver: once, wake: make(chan struct{}, 1)},
				{receiver: often, wake: make(chan struct{}, 1), repeat: repeatInterval},
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, each := range n.lines {
			running.Go(func() { n.serve(ctx, each) })
		}
		run(func(object *farpointv1.ExternalService) { n.look(object) }, once, often)
		cancel()
		running.Wait()
	})
}

func TestNotifierTellsAtOnceAndAgain(t *testing.T) {
	inBubble(t, func(note func(*farpointv1.ExternalService), once, often *deafReceiver) {
		note(ailing("a", ill))
		once.heard(t, "+a/0 ")
		often.heard(t, "+a/0 ")
		time.Sleep(2*repeatInterval + time.Second)
		once.heard(t)
		often.heard(t, "+a/0 ", "+a/0 ")
		note(ailing("a", well))
		once.heard(t, "-a/0 ")
		often.heard(t, "-a/0 ")
	})
}

// Alertmanager forgets what it is not told of again, however much else it hears of.
func TestNotifierTellsAgainAmidNews(t *testing.T) {
	inBubble(t, func(note func(*farpointv1.ExternalService), _, often *deafReceiver) {
		note(ailing("a", ill))
		often.heard(t, "+a/0 ")
		for i := range 12 {
			time.Sleep(repeatInterval / 4)
			note(ailing("b", []farpointv1.EndpointHealth{ill, well}[i%2]))
		}
		synctest.Wait()
		often.mu.Lock()
		defer often.mu.Unlock()
		again := 0
		for _, told := range often.told {
			again += strings.Count(told, "+a/0 ")
		}
		if again != 3 {
			t.Errorf("told %d times again in three intervals: %q", again, often.told)
		}
	})
}

// A receiver that is away holds nobody up, is not run over when it is back, and hears of
// all that still holds.
func TestNotifierOutlastsADeadReceiver(t *testing.T) {
	inBubble(t, func(note func(*farpointv1.ExternalService), once, often *deafReceiver) {
		once.set(true)
		for i := range 100 {
			note(ailing(fmt.Sprintf("x%d", i), ill))
			note(ailing(fmt.Sprintf("x%d", i), well))
		}
		note(ailing("a", ill, ill))
		note(ailing("a", ill, well))
		time.Sleep(10 * time.Minute)
		often.mu.Lock()
		if len(often.told) == 0 {
			t.Error("the other receiver was held up")
		}
		often.mu.Unlock()
		once.mu.Lock()
		if tries := len(once.tries); tries < 10 || tries > 20 {
			t.Errorf("%d tries in 10 minutes", tries)
		}
		once.mu.Unlock()
		time.Sleep(10 * time.Minute) // the ends are not worth telling any more
		once.set(false)
		time.Sleep(lastRetry)
		once.heard(t, "+a/0 ")
	})
}
