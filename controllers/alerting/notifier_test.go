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

package alerting

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

	"k8s.io/utils/clock"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// fakeReceiver records what it is sent, unless it is away.
type fakeReceiver struct {
	mu         sync.Mutex
	away       bool
	deliveries []string
	tries      []time.Time
}

func (r *fakeReceiver) deliver(_ context.Context, notices []notice, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, now)
	if r.away {
		return errors.New("away")
	}
	r.deliveries = append(r.deliveries, short(notices))
	return nil
}

func (r *fakeReceiver) set(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func (r *fakeReceiver) received(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.deliveries, want) {
		t.Errorf("received %q, want %q", r.deliveries, want)
	}
	r.deliveries = nil
}

// inBubble runs a notifier with two receivers on fake time. Alerts are repeated to one of them.
func inBubble(t *testing.T, run func(observe func(*farpointv1.ExternalService), once, often *fakeReceiver)) {
	synctest.Test(t, func(t *testing.T) {
		once, often := &fakeReceiver{}, &fakeReceiver{}
		n := &Notifier{
			clock: clock.RealClock{}, book: newBook(), deliveries: newDeliveries(),
			queues: []*queue{newQueue("webhook", "", 0, once), newQueue("alertmanager", "", repeatInterval, often)},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, q := range n.queues {
			running.Go(func() { n.serve(ctx, q) })
		}
		run(func(object *farpointv1.ExternalService) { n.observe(object) }, once, often)
		cancel()
		running.Wait()
	})
}

func TestNotifier_Alert_IsSentAtOnceAndRepeated(t *testing.T) {
	inBubble(t, func(observe func(*farpointv1.ExternalService), once, often *fakeReceiver) {
		observe(externalService("a", unhealthy))
		once.received(t, "+a/0 ")
		often.received(t, "+a/0 ")
		time.Sleep(2*repeatInterval + time.Second)
		once.received(t)
		often.received(t, "+a/0 ", "+a/0 ")
		observe(externalService("a", healthy))
		once.received(t, "-a/0 ")
		often.received(t, "-a/0 ")
	})
}

// Alertmanager forgets what is not repeated, whatever else it is sent.
func TestNotifier_AlertAmidOthers_IsRepeatedInTime(t *testing.T) {
	inBubble(t, func(observe func(*farpointv1.ExternalService), _, often *fakeReceiver) {
		observe(externalService("a", unhealthy))
		often.received(t, "+a/0 ")
		for i := range 12 {
			time.Sleep(repeatInterval / 4)
			observe(externalService("b", []farpointv1.EndpointHealth{unhealthy, healthy}[i%2]))
		}
		synctest.Wait()
		often.mu.Lock()
		defer often.mu.Unlock()
		repeats := 0
		for _, delivery := range often.deliveries {
			repeats += strings.Count(delivery, "+a/0 ")
		}
		if repeats != 3 {
			t.Errorf("repeated %d times in three intervals: %q", repeats, often.deliveries)
		}
	})
}

// A receiver that is away delays no other and is not overrun when it is back.
func TestNotifier_ReceiverThatIsAway_DelaysNoOtherAndLearnsWhatHolds(t *testing.T) {
	inBubble(t, func(observe func(*farpointv1.ExternalService), once, often *fakeReceiver) {
		once.set(true)
		for i := range 100 {
			observe(externalService(fmt.Sprintf("x%d", i), unhealthy))
			observe(externalService(fmt.Sprintf("x%d", i), healthy))
		}
		observe(externalService("a", unhealthy, unhealthy))
		observe(externalService("a", unhealthy, healthy))
		time.Sleep(10 * time.Minute)
		often.mu.Lock()
		if len(often.deliveries) == 0 {
			t.Error("the other receiver was held up")
		}
		often.mu.Unlock()
		once.mu.Lock()
		if tries := len(once.tries); tries < 10 || tries > 20 {
			t.Errorf("%d tries in 10 minutes", tries)
		}
		once.mu.Unlock()
		time.Sleep(10 * time.Minute)
		once.set(false)
		time.Sleep(lastRetry)
		synctest.Wait()
		once.mu.Lock()
		defer once.mu.Unlock()
		if all := strings.Join(once.deliveries, ""); len(once.deliveries) != 1 || strings.Count(all, "+") != 1 || !strings.Contains(all, "+a/0 ") {
			t.Errorf("sent %q, want one delivery in which a/0 alone begins", once.deliveries)
		}
	})
}
