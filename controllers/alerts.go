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
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// alert is something about an ExternalService that somebody should see to. Equal ones are
// the same.
type alert struct {
	name   alertName
	object types.NamespacedName
	// endpoint and zone are empty where the alert is about the object as a whole.
	endpoint, zone string
	reason         string
}

// alertName is what Alertmanager's routes know an alert by.
type alertName string

const (
	// endpointDownAlert: an active endpoint is unhealthy.
	endpointDownAlert alertName = "FarpointEndpointDown"
	// serviceUnavailableAlert: the condition Available is False.
	serviceUnavailableAlert alertName = "FarpointServiceUnavailable"
	// failOpenAlert: the condition FailOpen is True, so that traffic goes to endpoints that
	// are not healthy, be the Service available or not.
	failOpenAlert alertName = "FarpointFailOpen"
)

// severity is "critical" for what users notice.
func (n alertName) severity() string {
	if n == serviceUnavailableAlert {
		return "critical"
	}
	return "warning"
}

// runbookEntry is where a runbook says what to do about an alert. The default leads there
// within this repository, as do the rules of config/prometheus: who publishes the runbook
// knows where.
func (n alertName) runbookEntry(runbook string) string {
	return runbook + "#" + strings.ToLower(string(n))
}

const defaultRunbook = "docs/runbook.md"

// notice is what is to be told of an alert.
type notice struct {
	alert
	message string
	since   time.Time
	// ended is zero while the alert holds.
	ended time.Time
	// replaced: it ended, but only since another with another reason took its place.
	replaced bool
	// serial grows with each notice that there is something new to tell of.
	serial uint64
}

// alertsOf are the alerts that hold by an object's status. All of it survives restarts, so
// that an alert is the same one afterwards.
func alertsOf(object *farpointv1.ExternalService) []notice {
	if object.Spec.Suspend || object.DeletionTimestamp != nil {
		return nil // the status is not kept any more
	}
	key := types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
	var holding []notice
	for _, endpoint := range object.Status.Endpoints {
		if endpoint.State == farpointv1.EndpointActive && endpoint.Health == farpointv1.EndpointUnhealthy {
			holding = append(holding, notice{
				alert:   alert{endpointDownAlert, key, endpoint.Name, zoneOf(object, addressInSpec(&endpoint)), endpoint.Reason},
				message: endpoint.Message,
				since:   endpoint.LastTransitionTime.Time,
			})
		}
	}
	for _, each := range []struct {
		name      alertName
		condition string
		status    metav1.ConditionStatus
	}{
		{serviceUnavailableAlert, farpointv1.AvailableCondition, metav1.ConditionFalse},
		{failOpenAlert, farpointv1.FailOpenCondition, metav1.ConditionTrue},
	} {
		if found := meta.FindStatusCondition(object.Status.Conditions, each.condition); found != nil && found.Status == each.status {
			holding = append(holding, notice{
				alert:   alert{name: each.name, object: key, reason: found.Reason},
				message: found.Message,
				since:   found.LastTransitionTime.Time,
			})
		}
	}
	return holding
}

// addressInSpec is that of the spec's endpoint that an endpoint comes from.
func addressInSpec(endpoint *farpointv1.EndpointStatus) string {
	return cmp.Or(endpoint.ResolvedFrom, endpoint.Address)
}

func zoneOf(object *farpointv1.ExternalService, address string) string {
	i := slices.IndexFunc(object.Spec.Endpoints, func(endpoint farpointv1.Endpoint) bool { return endpoint.Address == address })
	if i < 0 {
		return ""
	}
	return object.Spec.Endpoints[i].Zone
}

// alertBook keeps the alerts that hold and those that have ended lately.
type alertBook struct {
	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	notices map[types.NamespacedName]map[alert]*notice
	serial  uint64
}

func newAlertBook() *alertBook {
	return &alertBook{notices: map[types.NamespacedName]map[alert]*notice{}}
}

// endedRetention is how long receivers that could not be reached can still be told that an
// alert has ended. It is Prometheus' own (resolvedRetention in its package rules).
const endedRetention = 15 * time.Minute

// record notes what holds of an object, and tells whether that is news.
func (b *alertBook) record(object types.NamespacedName, holding []notice, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, known := b.serial, b.notices[object]
	for _, entry := range known {
		same := func(n notice) bool { return n.alert == entry.alert }
		if !entry.ended.IsZero() || slices.ContainsFunc(holding, same) {
			continue
		}
		entry.ended = now
		entry.replaced = slices.ContainsFunc(holding, func(n notice) bool { return n.name == entry.name && n.endpoint == entry.endpoint })
		entry.serial = b.next()
	}
	if known == nil && len(holding) > 0 {
		known = map[alert]*notice{}
		b.notices[object] = known
	}
	for _, present := range holding {
		if entry, ok := known[present.alert]; ok && entry.ended.IsZero() {
			entry.message = present.message
			continue
		}
		present.serial = b.next()
		known[present.alert] = &present
	}
	return b.serial != before
}

func (b *alertBook) next() uint64 {
	b.serial++
	return b.serial
}

// after returns what there is to tell since a serial, oldest first, and the serial that it
// brings the reader to. 0 is for all. What ended long ago is forgotten.
func (b *alertBook) after(serial uint64, now time.Time) ([]notice, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var news []notice
	for object, known := range b.notices {
		for key, entry := range known {
			switch {
			case !entry.ended.IsZero() && now.Sub(entry.ended) > endedRetention:
				delete(known, key)
			case entry.serial > serial:
				news = append(news, *entry)
			}
		}
		if len(known) == 0 {
			delete(b.notices, object)
		}
	}
	slices.SortFunc(news, func(x, y notice) int { return cmp.Compare(x.serial, y.serial) })
	return news, b.serial
}
