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
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// Name is what Alertmanager's routes know an alert by.
type Name string

const (
	// EndpointDown holds while an active endpoint is unhealthy.
	EndpointDown Name = "FarpointEndpointDown"
	// ServiceUnavailable holds while the condition Available is False.
	ServiceUnavailable Name = "FarpointServiceUnavailable"
	// FailOpen holds while the condition FailOpen is True: traffic goes to endpoints that
	// are not healthy, whether the Service is available or not.
	FailOpen Name = "FarpointFailOpen"
	// TooManyReady holds while the condition TooManyReady is True: more servers claim the traffic
	// than may have it, as after a network partition.
	TooManyReady Name = "FarpointTooManyReady"
)

// Names returns all alerts that the operator sends.
func Names() []Name { return slices.Sorted(maps.Keys(eventTypes)) }

// Severity is "critical" for what users notice and what may damage data, and otherwise "warning".
func (n Name) Severity() string {
	if n == ServiceUnavailable || n == TooManyReady {
		return "critical"
	}
	return "warning"
}

// RunbookEntry returns the link to the alert's entry in the runbook at this URL.
func (n Name) RunbookEntry(runbook string) string {
	return runbook + "#" + strings.ToLower(string(n))
}

// DefaultRunbook is the runbook's path within this repository, as in the rules of
// config/prometheus. Only those who publish it know its URL.
const DefaultRunbook = "docs/runbook.md"

// alert identifies something about an ExternalService that somebody should see to.
type alert struct {
	name   Name
	object types.NamespacedName
	// endpoint and zone are empty where the alert is about the object as a whole.
	endpoint, zone string
	reason         string
}

// subject is what an alert is about, whatever its reason and zone.
type subject struct {
	name     Name
	endpoint string
}

// address returns the endpoint's IP address or DNS name without the port, which is the same for all
// endpoints of one machine; "" for an alert about the object as a whole.
func (a alert) address() string {
	hostPort, _, _ := strings.Cut(a.endpoint, "/") // 192.0.2.1:53/UDP
	host, _, _ := net.SplitHostPort(hostPort)
	return host
}

func (a alert) subject() subject { return subject{a.name, a.endpoint} }

// notice is an alert with what the receivers are to know about it.
type notice struct {
	alert
	message string
	since   time.Time
	// ended is zero while the alert holds, and ending says how it ended.
	ended  time.Time
	ending ending
	// serial grows with each notice that brings something new.
	serial uint64
}

// ending says how an alert ended.
type ending uint8

const (
	// notEnded: the alert holds, or it is unknown at the moment whether it does.
	notEnded ending = iota
	// recovered: the fault that the alert reported is over.
	recovered
	// replaced: the fault goes on with another reason or zone, which makes it another alert.
	replaced
	// unwatched: the endpoint left the spec or is disabled, or the object is suspended or
	// deleted. Nothing is known about its health any more.
	unwatched
)

// Evaluation is what an ExternalService's spec and status say about its alerts.
type Evaluation struct {
	// holding are the alerts that hold.
	holding map[subject]notice
	// watched is false for an object that is suspended or deleted.
	watched   bool
	endpoints map[string]*farpointv1.EndpointStatus
	object    *farpointv1.ExternalService
}

// Evaluate returns the evaluation of an object; nil stands for a deleted one.
func Evaluate(object *farpointv1.ExternalService) Evaluation {
	if object == nil || object.Spec.Suspend {
		return Evaluation{}
	}
	evaluation := Evaluation{
		holding:   map[subject]notice{},
		watched:   true,
		endpoints: make(map[string]*farpointv1.EndpointStatus, len(object.Status.Endpoints)),
		object:    object,
	}
	zones := make(map[string]string, len(object.Spec.Endpoints))
	for i := len(object.Spec.Endpoints) - 1; i >= 0; i-- { // the first of an address counts
		zones[object.Spec.Endpoints[i].Address] = object.Spec.Endpoints[i].Zone
	}
	key := types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
	for i := range object.Status.Endpoints {
		endpoint := &object.Status.Endpoints[i]
		evaluation.endpoints[endpoint.Name] = endpoint
		if endpoint.State == farpointv1.EndpointActive && endpoint.Health == farpointv1.EndpointUnhealthy {
			zone := zones[cmp.Or(endpoint.ResolvedFrom, endpoint.Address)]
			evaluation.hold(notice{alert: alert{EndpointDown, key, endpoint.Name, zone, endpoint.Reason}, message: endpoint.Message, since: endpoint.LastTransitionTime.Time})
		}
	}
	for name, holds := range conditionAlerts {
		if condition := meta.FindStatusCondition(object.Status.Conditions, holds.condition); condition != nil && condition.Status == holds.status {
			evaluation.hold(notice{alert: alert{name: name, object: key, reason: condition.Reason}, message: condition.Message, since: condition.LastTransitionTime.Time})
		}
	}
	return evaluation
}

func (e *Evaluation) hold(present notice) { e.holding[present.subject()] = present }

// conditionAlerts are the alerts that hold while a condition has a status.
var conditionAlerts = map[Name]struct {
	condition string
	status    metav1.ConditionStatus
}{
	ServiceUnavailable: {farpointv1.AvailableCondition, metav1.ConditionFalse},
	FailOpen:           {farpointv1.FailOpenCondition, metav1.ConditionTrue},
	TooManyReady:       {farpointv1.TooManyReadyCondition, metav1.ConditionTrue},
}

// endingOf returns how an alert of the object that held before has ended, if it has.
func (e *Evaluation) endingOf(before alert) ending {
	if !e.watched {
		return unwatched
	}
	if present, ok := e.holding[before.subject()]; ok {
		if present.alert == before {
			return notEnded
		}
		return replaced
	}
	if before.name == EndpointDown {
		return endpointEnding(e.endpoints[before.endpoint])
	}
	condition := meta.FindStatusCondition(e.object.Status.Conditions, conditionAlerts[before.name].condition)
	if before.name == ServiceUnavailable && (condition == nil || condition.Status == metav1.ConditionUnknown) {
		return notEnded // it may be available
	}
	return recovered
}

// endpointEnding returns how the alert for an endpoint that is not unhealthy ended; nil stands
// for an endpoint that left the status.
func endpointEnding(endpoint *farpointv1.EndpointStatus) ending {
	switch {
	case endpoint == nil, endpoint.State != farpointv1.EndpointActive, endpoint.Health == farpointv1.EndpointRejected:
		return unwatched
	case endpoint.Health == farpointv1.EndpointHealthUnknown:
		return notEnded // the next verdict decides
	}
	return recovered
}
