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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// webhook posts alerts as CloudEvents 1.0 in the structured mode of their HTTP binding, one
// a request. Each beginning and each end is posted at least once, by whichever replica
// leads; an alert that began and ended while the webhook could not be reached is not posted
// at all.
type webhook struct {
	url    string
	client *http.Client
	// record keeps posted for the next leader; nil if there is nowhere to keep it.
	record *record
	// posted are the alerts whose beginning was posted, or is about to be, and whose end was
	// not.
	posted map[alert]postedAlert
}

// cloudEvent is an event of specversion 1.0; see https://cloudevents.io.
type cloudEvent struct {
	SpecVersion string `json:"specversion"`
	// ID is the same for the same change, also from another replica, so that receivers can
	// drop what they have received before.
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            eventData `json:"data"`
}

// eventData is the payload of an event.
type eventData struct {
	Alert           Name   `json:"alert"`
	Namespace       string `json:"namespace"`
	ExternalService string `json:"externalService"`
	Endpoint        string `json:"endpoint,omitempty"`
	Address         string `json:"address,omitempty"`
	Zone            string `json:"zone,omitempty"`
	Severity        string `json:"severity"`
	Reason          string `json:"reason"`
	Message         string `json:"message"`
	// Since is when the alert began, also in the event of its end.
	Since time.Time `json:"since"`
}

// eventTypes are the types of the events of each alert, by what they report.
var eventTypes = map[Name]struct{ begins, recovered, unwatched string }{
	EndpointDown:       {"dev.farpoint.endpoint.down", "dev.farpoint.endpoint.up", "dev.farpoint.endpoint.unwatched"},
	ServiceUnavailable: {"dev.farpoint.service.unavailable", "dev.farpoint.service.available", "dev.farpoint.service.unwatched"},
	TooManyReady:       {"dev.farpoint.service.toomanyready", "dev.farpoint.service.toomanyready.ended", "dev.farpoint.service.unwatched"},
	FailOpen:           {"dev.farpoint.service.failopen", "dev.farpoint.service.failopen.ended", "dev.farpoint.service.unwatched"},
}

// deliver implements receiver. What is about to be posted is recorded first: if this process ends
// between the two, the next leader posts the end of what may have arrived.
func (w *webhook) deliver(ctx context.Context, notices []notice, _ time.Time) error {
	pending := slices.DeleteFunc(notices, w.isKnown)
	for _, n := range pending {
		if n.ended.IsZero() {
			w.posted[n.alert] = postedAlert{since: n.since}
		}
	}
	w.keep(ctx)
	defer w.keep(ctx)
	for _, n := range pending {
		if err := post(ctx, w.client, w.url, "application/cloudevents+json; charset=utf-8", eventOf(n)); err != nil {
			return err
		}
		if n.ended.IsZero() {
			w.posted[n.alert] = postedAlert{since: n.since, delivered: true}
		} else {
			delete(w.posted, n.alert)
		}
	}
	return nil
}

// isKnown reports whether a notice needs no post. That another alert has replaced one is not
// posted: the new alert says more.
func (w *webhook) isKnown(n notice) bool {
	before, known := w.posted[n.alert]
	switch {
	case n.ended.IsZero():
		return known && before.delivered && before.since.Equal(n.since)
	case n.ending == replaced:
		delete(w.posted, n.alert)
		return true
	}
	return !known
}

// keep stores what was posted to the webhook. Alerts do not wait for the API server: where the
// record cannot be written, they are posted anyway.
func (w *webhook) keep(ctx context.Context) {
	if w.record == nil {
		return
	}
	// The record is written even when this replica stops leading, since another one may take
	// over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := w.record.save(ctx, w.posted); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Could not write the record of webhooks; after a restart they may not learn that alerts have ended")
	}
}

// saveTimeout bounds how long a webhook waits for the API server.
const saveTimeout = 5 * time.Second

func eventOf(reported notice) cloudEvent {
	kind, at := eventTypes[reported.name].begins, reported.since
	if !reported.ended.IsZero() {
		kind, at = eventTypes[reported.name].recovered, reported.ended
	}
	if reported.ending == unwatched {
		kind = eventTypes[reported.name].unwatched
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s %s %s", kind, reported.name, reported.object, reported.endpoint, reported.reason, reported.since.UTC().Format(time.RFC3339)))
	return cloudEvent{
		SpecVersion:     "1.0",
		ID:              hex.EncodeToString(digest[:16]),
		Source:          fmt.Sprintf("/apis/%s/namespaces/%s/externalservices/%s", farpointv1.GroupVersion, reported.object.Namespace, reported.object.Name),
		Type:            kind,
		Subject:         reported.endpoint,
		Time:            at.UTC(),
		DataContentType: "application/json",
		Data: eventData{
			Alert:           reported.name,
			Namespace:       reported.object.Namespace,
			ExternalService: reported.object.Name,
			Endpoint:        reported.endpoint,
			Address:         reported.address(),
			Zone:            reported.zone,
			Severity:        reported.name.Severity(),
			Reason:          reported.reason,
			Message:         reported.message,
			Since:           reported.since.UTC(),
		},
	}
}
