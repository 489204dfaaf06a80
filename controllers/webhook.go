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
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// webhook tells of alerts by CloudEvents 1.0 in the structured mode of their HTTP binding,
// one a request. It is told at least once of what begins and of what ends, and not at all
// of what began and ended while it could not be reached.
type webhook struct {
	url    string
	client *http.Client
	// told are the alerts that it has been told the beginning of and not the end. The time
	// tells one beginning from another.
	told map[alert]time.Time
}

func newWebhook(url string, client *http.Client) *webhook {
	return &webhook{url: url, client: client, told: map[alert]time.Time{}}
}

// cloudEvent is an event of specversion 1.0; see https://cloudevents.io.
type cloudEvent struct {
	SpecVersion string `json:"specversion"`
	// ID is the same for the same change, also from another replica: with Source, by which
	// receivers know what they have had before.
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	Data            eventData `json:"data"`
}

// eventData is what an event of ours says.
type eventData struct {
	Namespace       string `json:"namespace"`
	ExternalService string `json:"externalService"`
	Endpoint        string `json:"endpoint,omitempty"`
	Zone            string `json:"zone,omitempty"`
	Severity        string `json:"severity"`
	Reason          string `json:"reason"`
	Message         string `json:"message"`
	// Since is when what the event tells of began, also if it tells of its end.
	Since time.Time `json:"since"`
}

// Types of events: what begins, and what it is called when it ends.
var eventTypes = map[alertName]struct{ begins, ends string }{
	endpointDownAlert:       {"dev.farpoint.endpoint.down", "dev.farpoint.endpoint.up"},
	serviceUnavailableAlert: {"dev.farpoint.service.unavailable", "dev.farpoint.service.available"},
	failOpenAlert:           {"dev.farpoint.service.failopen", "dev.farpoint.service.failopen.ended"},
}

// deliver implements receiver.
func (w *webhook) deliver(ctx context.Context, notices []notice, _ time.Time) error {
	for _, each := range notices {
		since, known := w.told[each.alert]
		begins := each.ended.IsZero()
		switch {
		case begins && known && since.Equal(each.since): // in the last try
			continue
		case !begins && (!known || each.replaced): // what took its place says more
			delete(w.told, each.alert)
			continue
		}
		if err := post(ctx, w.client, w.url, "application/cloudevents+json; charset=utf-8", eventOf(each)); err != nil {
			return err
		}
		if begins {
			w.told[each.alert] = each.since
		} else {
			delete(w.told, each.alert)
		}
	}
	return nil
}

func eventOf(told notice) cloudEvent {
	kind, at := eventTypes[told.name].begins, told.since
	if !told.ended.IsZero() {
		kind, at = eventTypes[told.name].ends, told.ended
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s %s", kind, told.object, told.endpoint, told.reason, told.since.UTC().Format(time.RFC3339)))
	return cloudEvent{
		SpecVersion:     "1.0",
		ID:              hex.EncodeToString(digest[:16]),
		Source:          fmt.Sprintf("/apis/%s/namespaces/%s/externalservices/%s", farpointv1.GroupVersion, told.object.Namespace, told.object.Name),
		Type:            kind,
		Subject:         told.endpoint,
		Time:            at.UTC(),
		DataContentType: "application/json",
		Data: eventData{
			Namespace:       told.object.Namespace,
			ExternalService: told.object.Name,
			Endpoint:        told.endpoint,
			Zone:            told.zone,
			Severity:        told.name.severity(),
			Reason:          told.reason,
			Message:         told.message,
			Since:           told.since.UTC(),
		},
	}
}
