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
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// tiered returns an object with an endpoint for each health; with tiers, each in a tier of its
// own.
func tiered(rules farpointv1.Availability, tiers bool, healths ...health.Health) (*farpointv1.ExternalService, Findings) {
	object, findings := observed(healths...)
	object.Spec.Availability = rules
	for i := range object.Spec.Endpoints {
		if tiers {
			object.Spec.Endpoints[i].Priority = int32(i)
		}
	}
	return object, findings
}

// availabilityOf are the conditions about availability, with their messages.
func availabilityOf(status farpointv1.ExternalServiceStatus) string {
	var lines []string
	for _, kind := range []string{farpointv1.AvailableCondition, farpointv1.FailedOverCondition, farpointv1.FailOpenCondition} {
		if condition := meta.FindStatusCondition(status.Conditions, kind); condition != nil {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s", kind, condition.Status, condition.Reason, condition.Message))
		}
	}
	return strings.Join(lines, "\n")
}

func TestStatus_Availability(t *testing.T) {
	type rules = farpointv1.Availability
	none := health.Health{}
	tests := []struct {
		name    string
		rules   rules
		tiers   bool
		healths []health.Health
		column  string
		want    []string
	}{
		{"a standby", rules{}, true, []health.Health{up, up}, "1/2", []string{
			"Available True EndpointsReady: 1 of 2 endpoints are ready, 1 on standby"}},
		{"a standby in use", rules{}, true, []health.Health{down, up}, "1/2", []string{
			"Available True EndpointsReady: 1 of 2 endpoints are ready",
			"FailedOver True TooFewHealthy: standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1"}},
		{"too few", rules{MinReady: 2}, false, []health.Health{up, down}, "1/2", []string{
			"Available False TooFewEndpointsReady: 1 of 2 endpoints are ready, fewer than minAvailable (2)"}},
		{"too few yet", rules{MinReady: 2}, false, []health.Health{up, none}, "1/2", []string{
			"Available Unknown AwaitingProbes: 1 of 2 endpoints are ready, fewer than minAvailable (2), 1 have no verdict yet"}},
		{"too few whatever is to come", rules{MinReady: 3}, false, []health.Health{up, none}, "1/2", []string{
			"Available False TooFewEndpointsReady: 1 of 2 endpoints are ready, fewer than minAvailable (3)"}},
		{"all published", rules{WhenNoneHealthy: farpointv1.PublishAll}, false, []health.Health{down, down}, "2/2", []string{
			"Available False FailingOpen: 2 of 2 endpoints get traffic, 2 of them unhealthy",
			"FailOpen True AllPublished: no endpoint is healthy: all 2 get traffic (whenNoneHealthy: PublishAll)"}},
		{"too few healthy", rules{MinHealthyPercent: 60}, false, []health.Health{up, down, down}, "3/3", []string{
			"Available True FailingOpen: 3 of 3 endpoints get traffic, 2 of them unhealthy",
			"FailOpen True BelowMinHealthyPercent: 1 of 3 endpoints in use are healthy, less than minHealthyPercent (60): all of them get traffic"}},
		{"too few healthy, and fewer than must be", rules{MinReady: 2, MinHealthyPercent: 60}, false, []health.Health{up, down, down}, "3/3", []string{
			"Available False FailingOpen: 3 of 3 endpoints get traffic, 2 of them unhealthy, fewer than minAvailable (2)",
			"FailOpen True BelowMinHealthyPercent: 1 of 3 endpoints in use are healthy, less than minHealthyPercent (60): all of them get traffic"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			object, findings := tiered(test.rules, test.tiers, test.healths...)
			status := summarizeWithRoles(object, findings, fixtures.Noon)
			if got, want := availabilityOf(status), strings.Join(test.want, "\n"); got != want {
				t.Errorf("conditions are\n%s, want\n%s", got, want)
			}
			if status.ReadyEndpoints != test.column {
				t.Errorf("column %s, want %s", status.ReadyEndpoints, test.column)
			}
			ready := meta.FindStatusCondition(status.Conditions, farpointv1.ReadyCondition)
			for _, line := range test.want {
				if _, message, _ := strings.Cut(line, ": "); !strings.Contains(ready.Message, message) {
					t.Errorf("kubectl get -o wide shows %q, without %q", ready.Message, message)
				}
			}
			object.Status = status
			if second := summarizeWithRoles(object, findings, one); !equality.Semantic.DeepEqual(status, second) {
				t.Errorf("a second look makes %+v of %+v", second, status)
			}
		})
	}
}

// The last healthy endpoints get traffic for as long as the Service exists.
func TestStatus_PublishLastHealthy_KeepsTheLastHealthy(t *testing.T) {
	object, findings := tiered(farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishLastHealthy}, false, up, down)
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	findings.Verdicts[0].Health = down
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	want := "Available False FailingOpen: 1 of 2 endpoints get traffic, 1 of them unhealthy\nFailOpen True LastHealthyPublished: no endpoint is healthy: the 1 of 2 that were healthy last get traffic (whenNoneHealthy: PublishLastHealthy)"
	if got := availabilityOf(object.Status); got != want {
		t.Errorf("conditions are\n%s, want\n%s", got, want)
	}
	object.Status = summarizeWithRoles(object, Findings{Service: EvaluateService(object, nil)}, fixtures.Noon)
	if got := availabilityOf(object.Status); got != "Available False NoEndpointsReady: 0 of 2 endpoints are ready" {
		t.Errorf("without a Service, conditions are\n%s", got)
	}
}

func TestStatus_FaultyHealthCheck_KeepsAvailability(t *testing.T) {
	object, findings := tiered(farpointv1.Availability{WhenNoneHealthy: farpointv1.PublishAll}, true, down, down)
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	want := availabilityOf(object.Status)
	findings.Targets, findings.Verdicts, findings.Fault = nil, nil, &targets.Fault{Reason: farpointv1.InvalidHealthCheckReason, Message: "wrong"}
	if got := summarizeWithRoles(object, findings, one); availabilityOf(got) != want || got.Tier != 1 {
		t.Errorf("tier %d, conditions are\n%s, want\n%s", got.Tier, availabilityOf(got), want)
	}
}

func TestEvents_Availability(t *testing.T) {
	type rules = farpointv1.Availability
	tests := []struct {
		name          string
		rules         rules
		tiers         bool
		before, after []health.Health
		want          []string
	}{
		{"takeover", rules{}, true, []health.Health{up, up, up}, []health.Health{down, up, up}, []string{
			"FailedOver standby tier 1 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1"}},
		{"the next takeover", rules{}, true, []health.Health{down, up, up}, []health.Health{down, down, up}, []string{
			"FailedOver standby tier 2 is in use: the tiers before it have 0 healthy active endpoints, and minReady is 1"}},
		{"half the way back", rules{}, true, []health.Health{down, down, up}, []health.Health{down, up, up}, []string{
			"FailedBack Tier 1 is the last in use again: 1 of 3 endpoints are ready, 1 on standby"}},
		{"failback", rules{}, true, []health.Health{down, up}, []health.Health{up, up}, []string{
			"FailedBack Tier 0 is the last in use again: 1 of 2 endpoints are ready, 1 on standby"}},
		{"all die", rules{WhenNoneHealthy: farpointv1.PublishAll}, false, []health.Health{up, up}, []health.Health{down, down}, []string{
			"Unavailable 2 of 2 endpoints get traffic, 2 of them unhealthy",
			"FailOpen no endpoint is healthy: all 2 get traffic (whenNoneHealthy: PublishAll)"}},
		{"one comes back", rules{WhenNoneHealthy: farpointv1.PublishAll}, false, []health.Health{down, down}, []health.Health{down, up}, []string{
			"Available 1 of 2 endpoints are ready",
			"FailOpenEnded 1 of 2 endpoints are ready"}},
		{"nothing new", rules{WhenNoneHealthy: farpointv1.PublishAll}, true, []health.Health{down, down}, []health.Health{down, down}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			object, findings := tiered(test.rules, test.tiers, test.before...)
			before := summarizeWithRoles(object, findings, fixtures.Noon)
			object.Status = before
			for i := range findings.Verdicts {
				findings.Verdicts[i].Health = test.after[i]
			}
			after := summarizeWithRoles(object, findings, one)
			var got []string
			for _, event := range Events(&before, &after) {
				if !strings.HasPrefix(event.Reason, "Endpoint") && event.Reason != farpointv1.PublishedReason {
					got = append(got, event.Reason+" "+event.Note)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// The first tier of all is no failover, nor is one that the spec puts first.
func TestEvents_FirstTierChangedBySpec_AreNone(t *testing.T) {
	object, findings := tiered(farpointv1.Availability{}, true, down, up)
	object.Status = summarizeWithRoles(object, findings, fixtures.Noon)
	before := object.Status
	object.Spec.Endpoints = object.Spec.Endpoints[1:]
	findings.Verdicts = findings.Verdicts[1:]
	findings.Verdicts[0].Index = 0
	after := summarizeWithRoles(object, findings, one)
	if got := tierChange(&before, &after); got != nil {
		t.Errorf("after the primary has left: %v", got)
	}
	if got := tierChange(&farpointv1.ExternalServiceStatus{}, &after); got != nil {
		t.Errorf("at first: %v", got)
	}
}

func TestStatus_DrainingEndpoints(t *testing.T) {
	object, findings := observed(up, down)
	before := summarizeWithRoles(object, findings, fixtures.Noon)
	object.Status = before
	until := one.Rfc3339Copy()
	leaving := func(i int) endpoint.Verdict {
		left := *findings.Verdicts[i].Endpoint
		left.Index, left.DrainUntil = 2, until.Time
		left.Spec = &farpointv1.Endpoint{Address: left.Spec.Address, State: farpointv1.EndpointDraining}
		return endpoint.Verdict{Endpoint: &left, Health: findings.Verdicts[i].Health, Role: endpoint.Draining}
	}
	object.Spec.Endpoints = object.Spec.Endpoints[1:]
	findings.Verdicts[1].Index = 0
	findings.Verdicts = []endpoint.Verdict{findings.Verdicts[1], leaving(0)}
	status := Summarize(object, findings, fixtures.Noon)
	if status.ReadyEndpoints != "0/1" || status.Total != 1 || status.Draining != 1 || status.Unhealthy != 1 || len(status.Endpoints) != 2 {
		t.Errorf("%+v", status)
	}
	if left := status.Endpoints[1]; left.Name != "192.0.2.1:80" || left.State != farpointv1.EndpointDraining || left.Published != farpointv1.PublishedDraining || left.Health != farpointv1.EndpointHealthy || !left.DrainUntil.Equal(&until) {
		t.Errorf("the one that has left: %+v", left)
	}
	object.Status = status
	if second := Summarize(object, findings, one); !equality.Semantic.DeepEqual(status, second) {
		t.Errorf("a second look makes %+v of %+v", second, status)
	}
	departureNotes := func(before, after farpointv1.ExternalServiceStatus) string {
		var notes []string
		for _, event := range departures(&before, &after) {
			notes = append(notes, event.Reason+" "+event.Note)
		}
		return strings.Join(notes, "\n")
	}
	if got, want := departureNotes(before, status), "EndpointDraining Endpoint 192.0.2.1:80 is draining: it left the spec, and will be removed at 2026-11-21T13:00:00Z"; got != want {
		t.Errorf("Events %q, want %q", got, want)
	}
	findings.Verdicts = findings.Verdicts[:1]
	drained := Summarize(object, findings, one)
	if got, want := departureNotes(status, drained), "EndpointDrained Endpoint 192.0.2.1:80 is gone: it left the spec, and its drain period is over"; got != want {
		t.Errorf("Events %q, want %q", got, want)
	}
	if got := departureNotes(status, status) + departureNotes(drained, drained); got != "" {
		t.Errorf("Events %q without a change", got)
	}
	if got := departureNotes(status, before); got != "" {
		t.Errorf("Events %q for an endpoint that is back", got)
	}

	findings.Targets, findings.Verdicts, findings.Service = nil, nil, EvaluateService(object, nil)
	if gone := Summarize(object, findings, one); len(gone.Endpoints) != 1 || gone.Draining != 0 {
		t.Errorf("without a Service %+v", gone.Endpoints)
	}
}
