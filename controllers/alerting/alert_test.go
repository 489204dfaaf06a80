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
	"fmt"
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

var someTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const (
	healthy   = farpointv1.EndpointHealthy
	unhealthy = farpointv1.EndpointUnhealthy
	unknown   = farpointv1.EndpointHealthUnknown
)

// externalService returns an object with endpoints of these healths, in zones named zone-0,
// zone-1 and so on.
func externalService(name string, healths ...farpointv1.EndpointHealth) *farpointv1.ExternalService {
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

// withCondition returns the object with one more condition.
func withCondition(object *farpointv1.ExternalService, name string, status metav1.ConditionStatus, reason string) *farpointv1.ExternalService {
	object.Status.Conditions = append(object.Status.Conditions, metav1.Condition{
		Type: name, Status: status, Reason: reason, Message: reason + " it is", LastTransitionTime: metav1.NewTime(someTime.Add(time.Minute)),
	})
	return object
}

func TestEvaluate_Fault_Holds(t *testing.T) {
	object := externalService("api", healthy, unhealthy, unknown, unhealthy)
	object.Status.Endpoints[3].State = farpointv1.EndpointDraining
	withCondition(object, farpointv1.AvailableCondition, metav1.ConditionFalse, farpointv1.NoEndpointsReadyReason)
	withCondition(object, farpointv1.FailOpenCondition, metav1.ConditionTrue, farpointv1.AllPublishedReason)
	key := types.NamespacedName{Namespace: "shop", Name: "api"}
	later := someTime.Add(time.Minute)
	want := map[subject]notice{
		{EndpointDown, "192.0.2.1:80"}: {alert: alert{EndpointDown, key, "192.0.2.1:80", "zone-1", "Timeout"}, message: "no answer in time", since: someTime},
		{ServiceUnavailable, ""}:       {alert: alert{name: ServiceUnavailable, object: key, reason: "NoEndpointsReady"}, message: "NoEndpointsReady it is", since: later},
		{FailOpen, ""}:                 {alert: alert{name: FailOpen, object: key, reason: "AllPublished"}, message: "AllPublished it is", since: later},
	}
	if got := Evaluate(object).holding; !maps.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	object.Spec.Suspend = true
	if got := Evaluate(object).holding; len(got) != 0 {
		t.Errorf("of a suspended object: %+v", got)
	}
}

func TestAlert_Endpoint_HasAnAddressWithoutThePort(t *testing.T) {
	for endpoint, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:53/UDP": "2001:db8::1", "db.example.com:5432": "db.example.com", "": "",
	} {
		if got := (alert{endpoint: endpoint}).address(); got != want {
			t.Errorf("address of %q: %q, want %q", endpoint, got, want)
		}
	}
}

func TestEvaluation_AlertThatHeldBefore_HasTheRightEnding(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "api"}
	down := alert{EndpointDown, key, "192.0.2.0:80", "zone-0", "Timeout"}
	unavailable := alert{name: ServiceUnavailable, object: key, reason: farpointv1.NoEndpointsReadyReason}
	tooMany := alert{name: TooManyReady, object: key, reason: farpointv1.MoreThanMaxReadyReason}
	failOpen := alert{name: FailOpen, object: key, reason: farpointv1.AllPublishedReason}
	edited := func(edit func(*farpointv1.ExternalService)) *farpointv1.ExternalService {
		object := externalService("api", unhealthy)
		edit(object)
		return object
	}
	available := func(status metav1.ConditionStatus, reason string) *farpointv1.ExternalService {
		return withCondition(externalService("api", healthy), farpointv1.AvailableCondition, status, reason)
	}
	for name, test := range map[string]struct {
		before alert
		object *farpointv1.ExternalService
		want   ending
	}{
		"endpoint is unhealthy still":     {down, externalService("api", unhealthy), notEnded},
		"endpoint is healthy":             {down, externalService("api", healthy), recovered},
		"endpoint drains by its own word": {down, externalService("api", farpointv1.EndpointHealthDraining), recovered},
		"endpoint has another role":       {down, externalService("api", farpointv1.EndpointIneligible), recovered},
		"endpoint has no verdict":         {down, externalService("api", unknown), notEnded},
		"endpoint is set aside":           {down, externalService("api", farpointv1.EndpointRejected), unwatched},
		"endpoint left the spec":          {down, externalService("api"), unwatched},
		"endpoint fails otherwise":        {down, edited(func(o *farpointv1.ExternalService) { o.Status.Endpoints[0].Reason = "ConnectionRefused" }), replaced},
		"endpoint is in another zone":     {down, edited(func(o *farpointv1.ExternalService) { o.Spec.Endpoints[0].Zone = "zone-9" }), replaced},
		"endpoint is disabled":            {down, edited(func(o *farpointv1.ExternalService) { o.Status.Endpoints[0].State = farpointv1.EndpointDisabled }), unwatched},
		"endpoint is drained by the spec": {down, edited(func(o *farpointv1.ExternalService) { o.Status.Endpoints[0].State = farpointv1.EndpointDraining }), unwatched},
		"object is suspended":             {down, edited(func(o *farpointv1.ExternalService) { o.Spec.Suspend = true }), unwatched},
		"object is deleted":               {down, nil, unwatched},
		"service is available":            {unavailable, available(metav1.ConditionTrue, "EndpointsReady"), recovered},
		"service may be available":        {unavailable, available(metav1.ConditionUnknown, "AwaitingProbes"), notEnded},
		"service is nearly available":     {unavailable, available(metav1.ConditionFalse, "TooFewEndpointsReady"), replaced},
		"service has no condition":        {unavailable, externalService("api", healthy), notEnded},
		"service is deleted":              {unavailable, nil, unwatched},
		"no more than maxReady":           {tooMany, externalService("api", healthy), recovered},
		"fail-open ended":                 {failOpen, externalService("api", healthy), recovered},
		"fail-open, object is deleted":    {failOpen, nil, unwatched},
	} {
		evaluation := Evaluate(test.object)
		if got := evaluation.endingOf(test.before); got != test.want {
			t.Errorf("%s: ending %d, want %d", name, got, test.want)
		}
	}
}
