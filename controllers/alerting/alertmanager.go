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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// repeatInterval is how often an Alertmanager is sent all alerts that hold. It drops an alert
// that is not repeated within repeatGrace, so that an alert whose end could not be sent ends
// there as well. Both values are Prometheus' own (its flag --rules.alert.resend-delay).
const (
	repeatInterval = time.Minute
	repeatGrace    = 4 * repeatInterval
)

// alertmanager speaks version 2 of Alertmanager's API.
type alertmanager struct {
	// url is where alerts are posted: .../api/v2/alerts.
	url    string
	client *http.Client
	// labels are put on all alerts.
	labels map[string]string
	// runbook is the URL that alerts refer to, without the name of the alert.
	runbook string
}

// alertmanagerAlert is postableAlert of Alertmanager's api/v2/openapi.yaml.
type alertmanagerAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// deliver implements receiver. Alertmanager identifies an alert by its labels, and does not know
// how an alert ended: whatever the ending, the alert is resolved.
func (a alertmanager) deliver(ctx context.Context, notices []notice, now time.Time) error {
	const maxAlerts = 256 // a request, as Prometheus' --alertmanager.notification-queue
	notices = slices.DeleteFunc(notices, func(n notice) bool { return !n.ended.IsZero() && now.Sub(n.ended) > endedRetention })
	for part := range slices.Chunk(notices, maxAlerts) {
		alerts := make([]alertmanagerAlert, len(part))
		for i, n := range part {
			alerts[i] = a.alert(n, now)
		}
		if err := post(ctx, a.client, a.url, "application/json", alerts); err != nil {
			return err
		}
	}
	return nil
}

func (a alertmanager) alert(reported notice, now time.Time) alertmanagerAlert {
	postable := alertmanagerAlert{
		Labels:   maps.Clone(a.labels),
		StartsAt: reported.since,
		EndsAt:   now.Add(repeatGrace),
		Annotations: map[string]string{
			"summary":     reported.summary(),
			"description": reported.message,
			"runbook_url": reported.name.RunbookEntry(a.runbook),
		},
	}
	if !reported.ended.IsZero() {
		postable.EndsAt = reported.ended
	}
	if postable.Labels == nil {
		postable.Labels = map[string]string{}
	}
	for name, value := range reported.labels() {
		if value != "" {
			postable.Labels[name] = value
		}
	}
	return postable
}

// labels are what Alertmanager identifies an alert by; empty ones are left out.
func (a alert) labels() map[string]string {
	return map[string]string{
		"alertname":       string(a.name),
		"severity":        a.name.Severity(),
		"namespace":       a.object.Namespace,
		"externalservice": a.object.Name,
		"endpoint":        a.endpoint,
		"address":         a.address(),
		"zone":            a.zone,
		"reason":          a.reason,
	}
}

// summary is a line for people.
func (n notice) summary() string {
	switch n.name {
	case EndpointDown:
		return fmt.Sprintf("Endpoint %s of ExternalService %s is unhealthy", n.endpoint, n.object)
	case TooManyReady:
		return fmt.Sprintf("ExternalService %s has more healthy servers than maxReady", n.object)
	case FailOpen:
		return fmt.Sprintf("ExternalService %s sends traffic to unhealthy endpoints", n.object)
	}
	return fmt.Sprintf("ExternalService %s is not available", n.object)
}

// post sends a value as JSON. The error contains neither the answer nor the URL, since anyone who
// knows the URL can often post there.
func post(ctx context.Context, client *http.Client, to, contentType string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return withoutURL(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("post: status %d", response.StatusCode)
	}
	return nil
}

// withoutURL takes the URL out of an error of net/http.
func withoutURL(err error) error {
	if urlErr := new(url.Error); errors.As(err, &urlErr) {
		return fmt.Errorf("post: %w", urlErr.Err)
	}
	return err
}

// postTimeout bounds one request to a receiver.
const postTimeout = 10 * time.Second
