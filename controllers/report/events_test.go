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

package report

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// statusOf returns the status of an object with an endpoint for each health.
func statusOf(healths ...health.Health) *farpointv1.ExternalServiceStatus {
	object, findings := observed(healths...)
	status := summarizeWithRoles(object, findings, fixtures.Noon)
	return &status
}

// statusWithoutService returns the status of an object with a healthy endpoint, whose Service does not exist.
func statusWithoutService() *farpointv1.ExternalServiceStatus {
	object, findings := observed(up)
	findings.Service = EvaluateService(object, nil)
	status := summarizeWithRoles(object, findings, fixtures.Noon)
	return &status
}

// eventsBetween returns the events of a change of status, as in "Warning Reason Note".
func eventsBetween(before, after *farpointv1.ExternalServiceStatus) (list []string) {
	for _, event := range Events(before, after) {
		kind := corev1.EventTypeNormal
		if event.Warning {
			kind = corev1.EventTypeWarning
		}
		list = append(list, kind+" "+event.Reason+" "+event.Note)
	}
	return list
}

type eventCase struct {
	name          string
	before, after *farpointv1.ExternalServiceStatus
	want          []string
}

func checkEvents(t *testing.T, cases []eventCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			if got := eventsBetween(test.before, test.after); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestEvents_HealthOfEndpoints_IsReportedOnce(t *testing.T) {
	many := func(current health.Health) []health.Health {
		return slices.Repeat([]health.Health{current}, maxIndividualEvents+1)
	}
	checkEvents(t, []eventCase{
		{"nothing", statusOf(up), statusOf(up), nil},
		{"first verdicts", statusOf(health.Health{}, health.Health{}), statusOf(up, down), []string{
			"Warning EndpointUnhealthy Endpoint 192.0.2.2:80 is unhealthy: no complete answer within the timeout",
			"Normal EndpointHealthy Endpoint 192.0.2.1:80 is healthy",
		}},
		{"first passes, together", statusOf(health.Health{}, health.Health{}), statusOf(up, up), []string{
			"Normal EndpointHealthy 2 endpoints are healthy: 192.0.2.1:80, 192.0.2.2:80",
		}},
		{"one of two", statusOf(up, up), statusOf(up, down), []string{
			"Warning EndpointUnhealthy Endpoint 192.0.2.2:80 is unhealthy: no complete answer within the timeout",
		}},
		{"the last one", statusOf(up), statusOf(down), []string{
			"Warning EndpointUnhealthy Endpoint 192.0.2.1:80 is unhealthy: no complete answer within the timeout",
			"Warning Unavailable 0 of 1 endpoints are ready",
		}},
		{"one drains", statusOf(up, up), statusOf(up, away), []string{
			"Normal EndpointDraining Endpoint 192.0.2.2:80 is draining: status 503 is one of drainStatuses: the endpoint serves, and takes no new traffic",
		}},
		{"and goes", statusOf(up, away), statusOf(up, down), []string{
			"Warning EndpointUnhealthy Endpoint 192.0.2.2:80 is unhealthy: no complete answer within the timeout",
		}},
		{"or comes back", statusOf(up, away), statusOf(up, up), []string{
			"Normal EndpointHealthy Endpoint 192.0.2.2:80 is healthy",
		}},
		{"back again", statusOf(down), statusOf(up), []string{
			"Normal EndpointHealthy Endpoint 192.0.2.1:80 is healthy",
			"Normal Available 1 of 1 endpoints are ready",
		}},
		{"a crowd", statusOf(append(many(up), up)...), statusOf(append(many(down), up)...), []string{
			"Warning EndpointUnhealthy 11 endpoints are unhealthy: 192.0.2.1:80, 192.0.2.2:80, 192.0.2.3:80, 192.0.2.4:80, 192.0.2.5:80, 192.0.2.6:80, 192.0.2.7:80, 192.0.2.8:80, 192.0.2.9:80, 192.0.2.10:80 and others",
		}},
	})
}

func TestEvents_RolesOfEndpoints_AreReportedAsEligibility(t *testing.T) {
	checkEvents(t, []eventCase{
		{"roles switch", statusOf(up, other), statusOf(other, up), []string{
			"Normal EndpointIneligible Endpoint 192.0.2.1:80 is no longer eligible: server has another role than the health check asks for: another server has that one",
			"Normal EndpointEligible Endpoint 192.0.2.2:80 is eligible now",
		}},
		{"nobody has the role", statusOf(up), statusOf(other), []string{
			"Normal EndpointIneligible Endpoint 192.0.2.1:80 is no longer eligible: server has another role than the health check asks for: another server has that one",
			"Warning Unavailable 0 of 1 endpoints are ready, 1 on standby: each one reports that the traffic is for another one",
		}},
		{"first verdicts of other roles, together", statusOf(health.Health{}, health.Health{}, health.Health{}), statusOf(up, other, other), []string{
			"Normal EndpointIneligible 2 endpoints are ineligible: 192.0.2.2:80, 192.0.2.3:80",
			"Normal EndpointHealthy Endpoint 192.0.2.1:80 is healthy",
		}},
		{"back from the dead in another role", statusOf(up, down), statusOf(up, other), []string{
			"Normal EndpointIneligible Endpoint 192.0.2.2:80 is ineligible: server has another role than the health check asks for: another server has that one",
		}},
	})
}

func TestEvents_ReadinessOfTheObject_IsReportedWithItsReason(t *testing.T) {
	checkEvents(t, []eventCase{
		{"not ready from the start", &farpointv1.ExternalServiceStatus{}, statusWithoutService(), []string{
			"Normal EndpointHealthy Endpoint 192.0.2.1:80 is healthy",
			"Warning ServiceNotFound Service integration/legacy-api does not exist: create it without a selector, or set serviceTemplate",
		}},
		{"ready again", statusWithoutService(), statusOf(up), []string{
			"Normal Available 1 of 1 endpoints are ready",
			"Normal Published 1 of 1 endpoints are ready",
		}},
	})
}
