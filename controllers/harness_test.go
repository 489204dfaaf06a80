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
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// harness is an object, its Service, its slices and the state of its endpoints. It is reconciled
// as by the operator, without an API server or probes.
type harness struct {
	t       *testing.T
	object  *farpointv1.ExternalService
	service *corev1.Service
	slices  []*discoveryv1.EndpointSlice
	now     time.Time
	// verdicts are the results of the next probes, by the names of endpoints.
	verdicts map[string]health.State
	// known are the results of probes since the operator started.
	known map[string]health.Health
	// decided is what the operator has decided last.
	decided availability.Decisions
	// names are resolved by them.
	names nameServers
}

func newHarness(t *testing.T) *harness {
	w := &harness{t: t, object: fixtures.Owner(), service: fixtures.Service(), now: fixtures.Noon.Truncate(time.Second), verdicts: map[string]health.State{}}
	w.service.Spec.Ports = fixtures.OnePort
	return w
}

// look reconciles once all probes have been made.
func (w *harness) look() {
	w.t.Helper()
	w.reconcile(func(name string, current health.Health) health.Health {
		if state := w.verdicts[name]; state != health.StateUnknown && state != current.State {
			current = health.New(state)
			current.Cause.Reason = map[health.State]probes.Reason{health.StateUnhealthy: probes.ReasonTimeout, health.StateDraining: probes.ReasonDraining}[state]
		}
		return current
	})
}

// restart reconciles with an operator that knows nothing and has not probed yet. It must change
// nothing; if the status has been emptied, it must not change what is published.
func (w *harness) restart() {
	w.t.Helper()
	status := *w.object.Status.DeepCopy()
	w.object.Status = farpointv1.ExternalServiceStatus{}
	w.restartUnseen()
	w.object.Status = *status.DeepCopy()
	w.restartUnseen()
	if !equality.Semantic.DeepEqual(status, w.object.Status) {
		w.t.Fatalf("a restart makes\n%+v of\n%+v", w.object.Status, status)
	}
}

// restartUnseen is a restart that users of the slices do not see.
func (w *harness) restartUnseen() {
	w.t.Helper()
	before := w.slices
	w.known, w.names.answers, w.names.departures, w.decided = nil, nil, targets.Departures{}, nil
	w.reconcile(func(_ string, current health.Health) health.Health { return current })
	if !equality.Semantic.DeepEqual(before, w.slices) {
		w.t.Fatalf("a restart makes\n%+v of\n%+v", w.slices, before)
	}
}

func (w *harness) reconcile(probe func(name string, current health.Health) health.Health) {
	w.t.Helper()
	prior := slicestate.Read(w.slices)
	planned := fixtures.PlannedWith(w.t, w.names.expand(w.object, w.service, prior, w.now, func() map[string]health.Health { return w.known }), w.service.Spec.Ports)
	leaving := availability.Drain{
		Service: w.service, Period: availability.DrainPeriod(&w.object.Spec), Now: w.now, Claimed: planned.Claimed, Prior: prior,
		Refused: func(netip.Addr, []discoveryv1.EndpointPort) bool { return false },
		Health: func(name string) (health.Health, bool) {
			current, ok := w.known[name]
			return current, ok
		},
	}.Leaving(prior.Existing)
	known := map[string]health.Health{}
	for _, target := range append(planned.ProbeTargets(targets.Schedule{}, prior), unchangedTargets(leaving)...) {
		current, ok := w.known[target.Key]
		switch {
		case ok && target.Prober == nil:
			known[target.Key] = current
		case ok:
			known[target.Key] = probe(target.Key, current)
		case target.Prober != nil:
			known[target.Key] = probe(target.Key, target.Initial)
		}
	}
	w.known = known
	findings := report.Findings{Service: report.EvaluateService(w.object, w.service), Targets: &planned, Verdicts: verdicts(planned.Accepted, w.known, prior)}
	findings.Availability = availability.RulesOf(&w.object.Spec.Availability).Assign(findings.Verdicts, availability.Past{Decided: w.decided, Published: prior.At})
	w.decided = findings.Availability
	findings.Verdicts = append(findings.Verdicts, leaving...)
	_, w.slices = fixtures.PlanAndApply(w.t, sliceplan.Wants{Owner: w.object, Service: w.service, Endpoints: availability.SplitByRole(findings.Verdicts), MaxEndpoints: 3}, w.slices)
	findings.Published = w.slices
	w.object.Status = report.Summarize(w.object, findings, metav1.NewTime(w.now))
}

// published maps every address and port in the slices to its conditions.
func (w *harness) published() map[string]string {
	w.t.Helper()
	conditions := map[string]string{}
	for _, slice := range w.slices {
		for _, endpoint := range slice.Endpoints {
			key := fmt.Sprintf("%s:%d", endpoint.Addresses[0], *slice.Ports[0].Port)
			if _, twice := conditions[key]; twice {
				w.t.Fatalf("%s is published twice", key)
			}
			c := endpoint.Conditions
			conditions[key] = fixtures.Letter(*c.Ready) + fixtures.Letter(*c.Serving) + fixtures.Letter(*c.Terminating)
		}
	}
	return conditions
}
