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
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// receiver is somebody who is told of alerts.
type receiver interface {
	// deliver tells of notices, oldest first. If it fails, all of them are delivered again,
	// with newer ones.
	deliver(ctx context.Context, notices []notice, now time.Time) error
}

// notifier tells receivers of alerts as they begin and end. It reads nothing but statuses,
// so that nothing waits for a receiver, and a restart goes on where it was.
type notifier struct {
	cache cache.Cache
	clock clock.Clock
	book  *alertBook
	lines []*line
	// delivered counts deliveries, of one or more alerts, by the kind of the receiver
	// (alertmanager or webhook) and by result (success or failure).
	delivered *prometheus.CounterVec
}

// line is the way to one receiver.
type line struct {
	receiver
	kind, url string
	// repeat is how often all of what holds is told again; 0 is never.
	repeat time.Duration
	// wake holds a token while there may be news.
	wake chan struct{}
}

// newNotifier returns an error if a file named in the options is of no use.
func newNotifier(cache cache.Cache, clock clock.Clock, options Options) (*notifier, error) {
	made := &notifier{cache: cache, clock: clock, book: newAlertBook(), delivered: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Name: "notifications_total",
		Help: "Deliveries of alerts, by the kind of receiver (alertmanager, webhook) and result (success, failure).",
	}, []string{"receiver", "result"})}
	add := func(kind, url string, to receiver, repeat time.Duration) {
		made.lines = append(made.lines, &line{receiver: to, kind: kind, url: url, repeat: repeat, wake: make(chan struct{}, 1)})
	}
	for _, url := range options.AlertmanagerURLs {
		client, err := newHTTPClient("alertmanager", options.AlertmanagerHTTPConfig)
		if err != nil {
			return nil, err
		}
		add("alertmanager", url, alertmanager{
			url:     strings.TrimSuffix(url, "/") + "/api/v2/alerts",
			client:  client,
			labels:  options.AlertLabels,
			runbook: options.RunbookURL,
		}, repeatInterval)
	}
	for _, url := range options.WebhookURLs {
		client, err := newHTTPClient("webhook", options.WebhookHTTPConfig)
		if err != nil {
			return nil, err
		}
		add("webhook", url, newWebhook(url, client), 0)
	}
	return made, nil
}

// newHTTPClient returns a client that logs in as the file says. Secrets and certificates
// that it refers to are read when they are used, so that they can be rotated.
func newHTTPClient(kind, file string) (*http.Client, error) {
	settings := &config.DefaultHTTPClientConfig
	if file != "" {
		var err error
		if settings, _, err = config.LoadHTTPConfigFile(file); err != nil {
			return nil, fmt.Errorf("--%s-http-config: %w", kind, err)
		}
	}
	client, err := config.NewClientFromConfig(*settings, "farpoint-"+kind)
	return client, wrapped(err, "--%s-http-config=%s", kind, file)
}

// Receivers that fail are tried again after a time that doubles from the first to the
// second.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Start implements manager.Runnable.
func (n *notifier) Start(ctx context.Context) error {
	informer, err := n.cache.GetInformer(ctx, &farpointv1.ExternalService{})
	if err != nil {
		return fmt.Errorf("watch ExternalServices for alerts: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.look(object) },
		UpdateFunc: func(_, object any) { n.look(object) },
		DeleteFunc: func(object any) { n.end(object) },
	})
	if err != nil {
		return fmt.Errorf("watch ExternalServices for alerts: %w", err)
	}
	var running sync.WaitGroup
	for _, each := range n.lines {
		running.Go(func() { n.serve(ctx, each) })
	}
	running.Wait()
	return wrapped(informer.RemoveEventHandler(registration), "end the watch for alerts")
}

func (n *notifier) look(object any) {
	if object, ok := object.(*farpointv1.ExternalService); ok {
		n.note(object, alertsOf(object))
	}
}

func (n *notifier) end(object any) {
	if unseen, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unseen.Obj
	}
	if object, ok := object.(*farpointv1.ExternalService); ok {
		n.note(object, nil)
	}
}

func (n *notifier) note(object *farpointv1.ExternalService, holding []notice) {
	if !n.book.record(client.ObjectKeyFromObject(object), holding, n.clock.Now()) {
		return
	}
	for _, each := range n.lines {
		select {
		case each.wake <- struct{}{}:
		default:
		}
	}
}

// serve tells one receiver, until the context ends.
func (n *notifier) serve(ctx context.Context, to *line) {
	log := ctrl.LoggerFrom(ctx).WithValues("receiver", to.kind, "host", hostOf(to.url))
	var again <-chan time.Time // never
	if to.repeat > 0 {
		again = n.clock.Tick(to.repeat)
	}
	var told uint64
	retry := firstRetry
	for {
		news, upTo := n.book.after(told, n.clock.Now())
		err := n.tell(ctx, to, news)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if retry == firstRetry { // once an outage
				log.Error(err, "Could not deliver alerts, trying again until they are")
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
		told, retry = upTo, firstRetry
		select {
		case <-ctx.Done():
		case <-to.wake:
		case <-again: // however much else there was to tell meanwhile
			told = 0
		}
	}
}

// hostOf is what of a receiver's URL is no secret.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}

func (n *notifier) tell(ctx context.Context, to *line, news []notice) error {
	if len(news) == 0 {
		return nil
	}
	err := to.deliver(ctx, news, n.clock.Now())
	result := "success"
	if err != nil {
		result = "failure"
	}
	n.delivered.WithLabelValues(to.kind, result).Inc()
	return err
}
