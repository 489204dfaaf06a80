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
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// Config says which receivers there are.
type Config struct {
	// AlertmanagerURLs are the Alertmanagers; each is sent all alerts.
	AlertmanagerURLs []string
	// AlertmanagerHTTPConfig and WebhookHTTPConfig name files that say how to log in and
	// which authorities to trust, in the form of Prometheus' http_config; empty for none.
	AlertmanagerHTTPConfig, WebhookHTTPConfig string
	// Labels are added to all alerts for Alertmanagers.
	Labels map[string]string
	// RunbookURL is where people find docs/runbook.md.
	RunbookURL string
	// WebhookURLs are posted CloudEvents.
	WebhookURLs []string
	// Namespace is the operator's own, where the record of webhooks is kept; empty if it is not
	// known, in which case a restart forgets what was posted.
	Namespace string
}

// ReservedLabel reports whether alerts set a label of this name themselves.
func ReservedLabel(name string) bool {
	_, reserved := (alert{}).labels()[name]
	return reserved
}

// receiver is an Alertmanager or a webhook.
type receiver interface {
	// deliver sends notices, oldest first. If it fails, all of them are delivered again,
	// with newer ones. It may change the slice.
	deliver(ctx context.Context, notices []notice, now time.Time) error
}

// Notifier sends alerts to receivers as they begin and end.
type Notifier struct {
	cache  cache.Cache
	clock  clock.Clock
	book   *book
	queues []*queue
	// deliveries counts deliveries, of one or more alerts, by the kind of the receiver
	// (alertmanager or webhook) and by result (success or failure).
	deliveries *prometheus.CounterVec
}

// New returns a notifier; nil if the configuration names no receiver. It returns an error if a
// file that the configuration names cannot be used. The live client reads from the API server and
// not from a cache; it is for the record of webhooks.
func New(cache cache.Cache, live client.Client, clock clock.Clock, config Config) (*Notifier, error) {
	n := &Notifier{cache: cache, clock: clock, book: newBook(), deliveries: newDeliveries()}
	for _, url := range config.AlertmanagerURLs {
		client, err := newHTTPClient("alertmanager", config.AlertmanagerHTTPConfig)
		if err != nil {
			return nil, err
		}
		n.queues = append(n.queues, newQueue("alertmanager", url, repeatInterval, alertmanager{
			url:     strings.TrimSuffix(url, "/") + "/api/v2/alerts",
			client:  client,
			labels:  config.Labels,
			runbook: config.RunbookURL,
		}))
	}
	for _, url := range config.WebhookURLs {
		client, err := newHTTPClient("webhook", config.WebhookHTTPConfig)
		if err != nil {
			return nil, err
		}
		to := &webhook{url: url, client: client, posted: map[alert]postedAlert{}}
		if config.Namespace != "" {
			to.record = newRecord(live, config.Namespace, url, maxRecords/len(config.WebhookURLs))
		}
		n.queues = append(n.queues, newQueue("webhook", url, 0, to))
	}
	if len(n.queues) == 0 {
		return nil, nil
	}
	return n, nil
}

// maxRecords bounds the records of all webhooks together. The API server accepts ConfigMaps
// of 1 MiB.
const maxRecords = 900 << 10

func newDeliveries() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "farpoint", Name: "notifications_total",
		Help: "Deliveries of alerts, by the kind of receiver (alertmanager, webhook) and result (success, failure).",
	}, []string{"receiver", "result"})
}

// Collectors returns the notifier's metrics; a nil notifier's, too, for the reference.
func (n *Notifier) Collectors() []prometheus.Collector {
	if n == nil {
		return []prometheus.Collector{newDeliveries()}
	}
	return []prometheus.Collector{n.deliveries}
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
	if err != nil {
		return nil, fmt.Errorf("--%s-http-config=%s: %w", kind, file, err)
	}
	return client, nil
}

// Start implements manager.Runnable. It runs on the leader alone.
func (n *Notifier) Start(ctx context.Context) error {
	if err := n.restore(ctx); err != nil {
		return err
	}
	informer, err := n.cache.GetInformer(ctx, &farpointv1.ExternalService{})
	if err != nil {
		return fmt.Errorf("watch ExternalServices for alerts: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    n.observe,
		UpdateFunc: func(_, object any) { n.observe(object) },
		DeleteFunc: n.observeDeletion,
	})
	if err != nil {
		return fmt.Errorf("watch ExternalServices for alerts: %w", err)
	}
	if toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		if err := n.endDeleted(ctx); err != nil {
			return err
		}
		var running sync.WaitGroup
		for _, q := range n.queues {
			running.Go(func() { n.serve(ctx, q) })
		}
		running.Wait()
	}
	if err := informer.RemoveEventHandler(registration); err != nil {
		return fmt.Errorf("end the watch for alerts: %w", err)
	}
	return nil
}

// restore loads the record of what the previous leaders posted to webhooks.
func (n *Notifier) restore(ctx context.Context) error {
	for _, q := range n.queues {
		to, ok := q.receiver.(*webhook)
		if !ok || to.record == nil {
			continue
		}
		list, err := n.load(ctx, to.record)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			ctrl.LoggerFrom(ctx).Error(err, "Could not read the record of webhooks; they may not learn that alerts have ended")
			continue
		}
		since := make(map[alert]time.Time, len(list))
		for key, known := range list {
			to.posted[key] = known
			since[key] = known.since
		}
		n.book.restore(since)
	}
	return nil
}

// load reads a record, and retries while the API server does not answer. It returns only errors
// that persist, such as missing permissions.
func (n *Notifier) load(ctx context.Context, from *record) (list map[alert]postedAlert, err error) {
	for retry := firstRetry; ctx.Err() == nil; retry = min(2*retry, lastRetry) {
		if list, err = from.load(ctx); err == nil || apierrors.IsForbidden(err) {
			return list, err
		}
		select {
		case <-ctx.Done():
		case <-n.clock.After(retry):
		}
	}
	return nil, ctx.Err()
}

// endDeleted ends the alerts of objects that were deleted while there was no leader.
func (n *Notifier) endDeleted(ctx context.Context) error {
	for _, object := range n.book.objects() {
		err := n.cache.Get(ctx, object, &farpointv1.ExternalService{})
		switch {
		case apierrors.IsNotFound(err):
			n.record(object, Evaluate(nil))
		case err != nil:
			return fmt.Errorf("read ExternalService %s for alerts: %w", object, err)
		}
	}
	return nil
}

func (n *Notifier) observe(object any) {
	if object, ok := object.(*farpointv1.ExternalService); ok {
		n.record(client.ObjectKeyFromObject(object), Evaluate(object))
	}
}

func (n *Notifier) observeDeletion(object any) {
	if unseen, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = unseen.Obj
	}
	if object, ok := object.(*farpointv1.ExternalService); ok {
		n.record(client.ObjectKeyFromObject(object), Evaluate(nil))
	}
}

func (n *Notifier) record(object types.NamespacedName, evaluation Evaluation) {
	if !n.book.record(object, evaluation, n.clock.Now()) {
		return
	}
	for _, q := range n.queues {
		q.wakeUp()
	}
}
