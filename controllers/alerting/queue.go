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
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// queue holds the notices that are still to be delivered to one receiver.
type queue struct {
	receiver
	kind, url string
	// repeat is how often all alerts that hold are sent again; 0 for never.
	repeat time.Duration
	// wake holds a token while the book may hold something new.
	wake chan struct{}
	// pending are the latest notices of the alerts that are still to be delivered. Only
	// the queue's own goroutine uses it.
	pending map[alert]notice
}

func newQueue(kind, url string, repeat time.Duration, to receiver) *queue {
	return &queue{receiver: to, kind: kind, url: url, repeat: repeat, wake: make(chan struct{}, 1), pending: map[alert]notice{}}
}

func (q *queue) wakeUp() {
	select {
	case q.wake <- struct{}{}:
	default: // the queue is about to read the book anyway
	}
}

// inOrder returns what is pending, oldest first.
func (q *queue) inOrder() []notice {
	return slices.SortedFunc(maps.Values(q.pending), func(x, y notice) int { return cmp.Compare(x.serial, y.serial) })
}

// A receiver that fails is tried again after a pause that doubles from firstRetry to
// lastRetry.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// serve delivers to one receiver until the context ends.
func (n *Notifier) serve(ctx context.Context, to *queue) {
	log := ctrl.LoggerFrom(ctx).WithValues("receiver", to.kind, "host", hostOf(to.url))
	ctx = ctrl.LoggerInto(ctx, log)
	var repeat <-chan time.Time // never
	if to.repeat > 0 {
		repeat = n.clock.Tick(to.repeat)
	}
	var seen uint64
	retry := firstRetry
	for {
		// The book is read even while the receiver is away, since it forgets what ended long ago.
		var changed []notice
		changed, seen = n.book.after(seen, n.clock.Now())
		for _, entry := range changed {
			to.pending[entry.alert] = entry
		}
		err := n.deliver(ctx, to)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if retry == firstRetry { // once an outage
				log.Error(err, "Could not deliver alerts; retrying until they are delivered")
			}
			select {
			case <-ctx.Done():
			case <-n.clock.After(retry):
			}
			retry = min(2*retry, lastRetry)
			continue
		case retry != firstRetry:
			log.Info("Alerts are delivered again")
		}
		clear(to.pending)
		retry = firstRetry
		select {
		case <-ctx.Done():
		case <-to.wake:
		case <-repeat: // however much else there was to send meanwhile
			seen = 0
		}
	}
}

func (n *Notifier) deliver(ctx context.Context, to *queue) error {
	if len(to.pending) == 0 {
		return nil
	}
	err := to.deliver(ctx, to.inOrder(), n.clock.Now())
	result := "success"
	if err != nil {
		result = "failure"
	}
	n.deliveries.WithLabelValues(to.kind, result).Inc()
	return err
}

// hostOf returns the part of a receiver's URL that is no secret.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}
