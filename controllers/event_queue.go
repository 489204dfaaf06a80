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
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/phrase"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/telemetry"
	"farpoint.dev/farpoint/controllers/tenantqueue"
)

const (
	// maxPendingEvents bounds the Events that wait to be written.
	maxPendingEvents = 4096
	// eventWriters is how many Events are written at one time, and
	// eventWritersPerNamespace how many of them in one namespace.
	eventWriters, eventWritersPerNamespace = 8, 4
	// eventTimeout is how long the API server may take to answer, and eventTries how often a
	// write is tried.
	eventTimeout, eventTries = 5 * time.Second, 3
	// eventFlushTime is how long Events are still written when the operator stops.
	eventFlushTime = time.Second
)

// eventQueue writes Events beside the reconciles, which do not wait for them: a mass outage
// is in the slices before it is in the Events. The Events of an object are written in their
// order. If there are too many, the least useful are dropped: the status says the same.
//
// Neither recorder of client-go suffices. The recorder in tools/events counts all Events of an
// object with the same reason as one, whichever endpoint they are about. The recorder in
// tools/record writes one Event after another for all namespaces, and drops what does not fit
// into its channel without counting it.
type eventQueue struct {
	client client.Client
	// leading waits until the API server answers and this process is known to lead.
	leading func(context.Context) error
	// instance names this process.
	instance string
	// dropped counts Events that were not written, by reason: overflow, failure or shutdown.
	dropped *prometheus.CounterVec
	// wake holds a token while there may be something to write.
	wake chan struct{}

	// mu guards what follows. No I/O happens while holding it.
	mu sync.Mutex
	// pending are the Events that wait, of all objects, oldest first, and pendingIn counts
	// them by namespace.
	pending   []*eventsv1.Event
	pendingIn tenantqueue.NamespaceCounts
	// writing are the objects of which an Event is being written, and writingIn counts them
	// by namespace.
	writing   map[types.NamespacedName]bool
	writingIn tenantqueue.NamespaceCounts
}

func newEventQueue(c client.Client, leading func(context.Context) error) *eventQueue {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &eventQueue{
		client:   c,
		leading:  leading,
		instance: farpointv1.ManagedBy + "-" + host,
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: telemetry.Namespace, Name: "events_dropped_total",
			Help: "Events that were not written, by reason: overflow (the queue was full), failure (the API server refused, or did not answer in time) or shutdown.",
		}, []string{"reason"}),
		wake:      make(chan struct{}, eventWriters),
		pendingIn: tenantqueue.NamespaceCounts{},
		writing:   map[types.NamespacedName]bool{},
		writingIn: tenantqueue.NamespaceCounts{},
	}
}

// add puts Events about an object into the queue. It does not block.
func (q *eventQueue) add(about *farpointv1.ExternalService, events []report.PendingEvent, now metav1.MicroTime) {
	overflow := 0
	q.mu.Lock()
	for i, event := range events {
		q.pending = append(q.pending, q.event(about, event, i, now))
		q.pendingIn[about.Namespace]++
		if len(q.pending) > maxPendingEvents {
			q.remove(q.indexToDrop())
			overflow++
		}
	}
	q.mu.Unlock()
	q.dropped.WithLabelValues("overflow").Add(float64(overflow))
	for range events {
		q.wakeWriter()
	}
}

// wakeWriter wakes a writer that is idle.
func (q *eventQueue) wakeWriter() {
	select {
	case q.wake <- struct{}{}:
	default: // all of them are awake
	}
}

// indexToDrop returns the index of the Event to drop: no warning, if possible, of the namespace
// with the most Events, the oldest. It is called with mu held.
func (q *eventQueue) indexToDrop() int {
	index := 0
	for i, event := range q.pending {
		candidate := q.pending[index]
		if warns, than := event.Type == corev1.EventTypeWarning, candidate.Type == corev1.EventTypeWarning; warns != than {
			if than {
				index = i
			}
		} else if q.pendingIn[event.Namespace] > q.pendingIn[candidate.Namespace] {
			index = i
		}
	}
	return index
}

// remove is called with mu held.
func (q *eventQueue) remove(index int) {
	q.pendingIn.Release(q.pending[index].Namespace)
	q.pending = slices.Delete(q.pending, index, index+1)
}

// next takes the oldest Event of an object of which none is being written, in a namespace
// that may have another writer; nil if there is none.
func (q *eventQueue) next() *eventsv1.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, event := range q.pending {
		about := objectOf(event)
		if q.writing[about] || q.writingIn[about.Namespace] >= eventWritersPerNamespace {
			continue
		}
		q.remove(i)
		q.writing[about] = true
		q.writingIn[about.Namespace]++
		return event
	}
	return nil
}

// wrote is called when an Event has been written, or not.
func (q *eventQueue) wrote(event *eventsv1.Event) {
	q.mu.Lock()
	delete(q.writing, objectOf(event))
	q.writingIn.Release(event.Namespace)
	q.mu.Unlock()
	q.wakeWriter() // its successor may have waited for it
}

func objectOf(event *eventsv1.Event) types.NamespacedName {
	return types.NamespacedName{Namespace: event.Namespace, Name: event.Regarding.Name}
}

// Start implements manager.Runnable. What waits when the context ends is written as far as
// eventFlushTime allows.
func (q *eventQueue) Start(ctx context.Context) error {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var writers sync.WaitGroup
	for range eventWriters {
		writers.Go(func() { q.write(ctx, writing) })
	}
	<-ctx.Done()
	hurry := clock.RealClock{}.AfterFunc(eventFlushTime, stop)
	defer hurry.Stop()
	writers.Wait()
	q.mu.Lock()
	left := len(q.pending)
	q.mu.Unlock()
	q.dropped.WithLabelValues("shutdown").Add(float64(left))
	return nil
}

// write writes Events until ctx has ended and none is left, or writing has ended.
func (q *eventQueue) write(ctx, writing context.Context) {
	for writing.Err() == nil {
		if event := q.next(); event != nil {
			if err := q.create(writing, event); err != nil {
				q.dropped.WithLabelValues("failure").Inc()
				// Another reconcile would not write it: the status has changed already.
				ctrl.LoggerFrom(ctx).Error(err, "Could not write an Event", "reason", event.Reason, "namespace", event.Namespace, "externalservice", event.Regarding.Name)
			}
			q.wrote(event)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// create retries if the API server does not answer.
func (q *eventQueue) create(ctx context.Context, event *eventsv1.Event) error {
	var err error
	for range eventTries {
		if err = q.leading(ctx); err != nil {
			return err
		}
		hurried, cancel := context.WithTimeout(ctx, eventTimeout)
		err = q.client.Create(hurried, event.DeepCopy())
		timedOut := hurried.Err() != nil
		cancel()
		switch {
		case apierrors.IsAlreadyExists(err): // an answer was lost
			return nil
		case err == nil || !timedOut && !apiserver.IsUnreachable(err):
			return err
		}
	}
	return err
}

func (q *eventQueue) event(about *farpointv1.ExternalService, pending report.PendingEvent, ordinal int, now metav1.MicroTime) *eventsv1.Event {
	const longest = 1024 // the API server's limit
	kindOfEvent := corev1.EventTypeNormal
	if pending.Warning {
		kindOfEvent = corev1.EventTypeWarning
	}
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s.%x.%d", about.Name, now.UnixNano(), ordinal),
			Namespace: about.Namespace,
		},
		EventTime:           now,
		ReportingController: farpointv1.ManagedBy,
		ReportingInstance:   q.instance[:min(len(q.instance), 128)], // the API server's limit
		Action:              "Probe",
		Type:                kindOfEvent,
		Reason:              pending.Reason,
		Note:                phrase.Cut(pending.Note, longest),
		Regarding: corev1.ObjectReference{
			APIVersion:      farpointv1.GroupVersion.String(),
			Kind:            ownership.Kind,
			Namespace:       about.Namespace,
			Name:            about.Name,
			UID:             about.UID,
			ResourceVersion: about.ResourceVersion,
		},
	}
}
