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

package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/scheduler"
)

// StateCollector exports, at each scrape, what the status of each ExternalService says. It keeps
// no series: those of an object end with it.
type StateCollector struct {
	// Objects is the cache. Listed objects are not changed.
	Objects  client.Reader
	Observer observer
	Counters *ObjectCounters
	// PerEndpoint adds series for each endpoint.
	PerEndpoint bool
}

// observer knows what no status says about targets.
type observer interface {
	Observations(probes.Owner, []scheduler.Observation) []scheduler.Observation
}

// Metrics with a series for each ExternalService, or several. The values of the label state
// are the counts in its status, in lower case, so that they overlap as these do.
var (
	endpointsMetric    = objectMetric("endpoints", "Endpoints by state, as status counts them: ready (published as ready, healthy or not), standby (a later tier, or ineligible), unhealthy, unknown, draining, disabled, rejected or stale (no probe yields a result).", "state")
	specMetric         = objectMetric("spec_endpoints", "Endpoints in the spec.")
	availableMetric    = objectMetric("available", "1 while the condition Available is True, otherwise 0.")
	conditionMetric    = objectMetric("condition", "1 for each condition with its current status (true, false or unknown) and reason.", "condition", "reason", "status")
	flappingMetric     = objectMetric("flapping_endpoints", "Endpoints that have died, or started to drain, so often within minutes that their recoveries are delayed.")
	unhealthyMetric    = objectMetric("unhealthy_since_timestamp_seconds", "Since when the longest unhealthy active endpoint has been unhealthy, as Unix time. Absent if none is.")
	certificatesMetric = objectMetric("certificate_expiry_timestamp_seconds", "Earliest expiry of the certificates that probes have seen, as Unix time. Absent if they have seen none.")
	transitionsMetric  = objectMetric("endpoint_transitions_total", "Changes of endpoints' verdicts, by the new verdict (to): healthy, draining, ineligible or unhealthy.", "to")
	writesMetric       = objectMetric("endpointslice_writes_total", "EndpointSlices written for this object, by operation: create, update or delete.", "operation")
)

// Metrics with a series for each endpoint. The label zone is empty where there is none.
var (
	upMetric          = endpointMetric("up", "1 while the endpoint is healthy by the verdict of its probes, 0 while it is unhealthy. Absent without a verdict, and for an endpoint that drains, is ineligible, or whose state is not Active.")
	durationMetric    = endpointMetric("probe_duration_seconds", "Duration of the last probe. Absent before the first.")
	certificateMetric = endpointMetric("certificate_expiry_timestamp_seconds", "Expiry of the certificate that the last probe saw, or of its CA if that is earlier, as Unix time. Absent without a certificate.")
)

func objectMetric(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(Namespace, "externalservice", name), help, append([]string{"namespace", "externalservice"}, more...), nil)
}

func endpointMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(Namespace, "endpoint", name), help, []string{"namespace", "externalservice", "endpoint", "zone"}, nil)
}

// Describe implements prometheus.Collector.
func (c *StateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{endpointsMetric, specMetric, availableMetric, conditionMetric, flappingMetric, unhealthyMetric, certificatesMetric, transitionsMetric, writesMetric} {
		out <- desc
	}
	if c.PerEndpoint {
		out <- upMetric
		out <- durationMetric
		out <- certificateMetric
	}
}

// Collect implements prometheus.Collector.
func (c *StateCollector) Collect(out chan<- prometheus.Metric) {
	list := &farpointv1.ExternalServiceList{}
	if err := c.Objects.List(context.Background(), list, client.UnsafeDisableDeepCopy); err != nil {
		out <- prometheus.NewInvalidMetric(availableMetric, fmt.Errorf("list ExternalServices: %w", err))
		return
	}
	state := &stateSamples{out: out, pairs: pairs{}}
	var observed []scheduler.Observation
	for i := range list.Items {
		object := &list.Items[i]
		state.begin(object)
		if object.DeletionTimestamp != nil {
			continue
		}
		if object.Spec.Suspend {
			state.conditions(farpointv1.ReadyCondition) // the others are not updated any more
			continue
		}
		observed = c.Observer.Observations(probes.Owner{Namespace: object.Namespace, Name: object.Name}, observed[:0])
		state.counts()
		state.conditions("")
		state.objectCounts(c.Counters.Of(types.NamespacedName{Namespace: object.Namespace, Name: object.Name}))
		state.observations(observed)
		if c.PerEndpoint {
			state.endpoints(observed)
		}
	}
}

// stateSamples makes the samples of one object after the other.
type stateSamples struct {
	out   chan<- prometheus.Metric
	pairs pairs

	object          *farpointv1.ExternalService
	name, namespace *labelPair
}

func (s *stateSamples) begin(object *farpointv1.ExternalService) {
	s.object = object
	s.name, s.namespace = newPair("externalservice", object.Name), newPair("namespace", object.Namespace)
}

func (s *stateSamples) gauge(desc *prometheus.Desc, value float64, more ...*labelPair) {
	s.out <- &sample{desc: desc, value: value, labels: append([]*labelPair{s.name, s.namespace}, more...)}
}

func (s *stateSamples) counter(desc *prometheus.Desc, value int, more *labelPair) {
	s.out <- &sample{desc: desc, counts: true, value: float64(value), labels: []*labelPair{s.name, s.namespace, more}}
}

func (s *stateSamples) counts() {
	status := &s.object.Status
	for _, row := range []struct {
		state string
		count int32
	}{
		{"ready", status.Ready}, {"standby", status.Standby}, {"unhealthy", status.Unhealthy}, {"unknown", status.Unknown},
		{"draining", status.Draining}, {"disabled", status.Disabled}, {"rejected", status.Rejected}, {"stale", status.Stale},
	} {
		s.gauge(endpointsMetric, float64(row.count), s.pairs.of("state", row.state))
	}
	s.gauge(specMetric, float64(len(s.object.Spec.Endpoints)))
	var since time.Time
	for i := range status.Endpoints {
		endpoint := &status.Endpoints[i]
		if endpoint.State == farpointv1.EndpointActive && endpoint.Health == farpointv1.EndpointUnhealthy && (since.IsZero() || endpoint.LastTransitionTime.Time.Before(since)) {
			since = endpoint.LastTransitionTime.Time
		}
	}
	if !since.IsZero() {
		s.gauge(unhealthyMetric, unixSeconds(since))
	}
}

// conditions are those of the type; all if it is empty.
func (s *stateSamples) conditions(only string) {
	available := 0.0
	for _, condition := range s.object.Status.Conditions {
		if condition.Type == farpointv1.AvailableCondition && condition.Status == metav1.ConditionTrue {
			available = 1
		}
		if only == "" || only == condition.Type {
			s.out <- &sample{desc: conditionMetric, value: 1, labels: []*labelPair{
				s.pairs.of("condition", condition.Type), s.name, s.namespace,
				s.pairs.of("reason", condition.Reason), s.pairs.of("status", strings.ToLower(string(condition.Status))),
			}}
		}
	}
	if only == "" {
		s.gauge(availableMetric, available)
	}
}

func (s *stateSamples) objectCounts(counted Counts) {
	s.counter(transitionsMetric, counted.Up, s.pairs.of("to", "healthy"))
	s.counter(transitionsMetric, counted.Draining, s.pairs.of("to", "draining"))
	s.counter(transitionsMetric, counted.Ineligible, s.pairs.of("to", "ineligible"))
	s.counter(transitionsMetric, counted.Down, s.pairs.of("to", "unhealthy"))
	s.counter(writesMetric, counted.Created, s.pairs.of("operation", "create"))
	s.counter(writesMetric, counted.Updated, s.pairs.of("operation", "update"))
	s.counter(writesMetric, counted.Deleted, s.pairs.of("operation", "delete"))
}

func (s *stateSamples) observations(observed []scheduler.Observation) {
	flapping, expiry := 0, time.Time{}
	for _, observation := range observed {
		if observation.Flapping {
			flapping++
		}
		if at := observation.CertificateExpiry; !at.IsZero() && (expiry.IsZero() || at.Before(expiry)) {
			expiry = at
		}
	}
	s.gauge(flappingMetric, float64(flapping))
	if !expiry.IsZero() {
		s.gauge(certificatesMetric, unixSeconds(expiry))
	}
}

// endpoints exports the metrics of each endpoint that is not set aside.
func (s *stateSamples) endpoints(observed []scheduler.Observation) {
	known := make(map[string]*scheduler.Observation, len(observed))
	for i := range observed {
		known[observed[i].Key] = &observed[i]
	}
	seen := make(map[string]bool, len(observed)) // the API does not keep names unique
	for i := range s.object.Status.Endpoints {
		endpoint := &s.object.Status.Endpoints[i]
		if endpoint.Health == farpointv1.EndpointRejected || seen[endpoint.Name] {
			continue
		}
		seen[endpoint.Name] = true
		labels := []*labelPair{newPair("endpoint", endpoint.Name), s.name, s.namespace, s.pairs.of("zone", s.zone(i))}
		one := func(desc *prometheus.Desc, value float64) {
			s.out <- &sample{desc: desc, value: value, labels: labels}
		}
		switch {
		case endpoint.State != farpointv1.EndpointActive:
		case endpoint.Health == farpointv1.EndpointHealthy:
			one(upMetric, 1)
		case endpoint.Health == farpointv1.EndpointUnhealthy:
			one(upMetric, 0)
		}
		if observation := known[endpoint.Name]; observation != nil {
			if observation.Took > 0 {
				one(durationMetric, observation.Took.Seconds())
			}
			if !observation.CertificateExpiry.IsZero() {
				one(certificateMetric, unixSeconds(observation.CertificateExpiry))
			}
		}
	}
}

// zone returns the zone of an endpoint of the status, which has the order of the spec unless the
// spec has just changed.
func (s *stateSamples) zone(index int) string {
	address := addressInSpec(&s.object.Status.Endpoints[index])
	if spec := s.object.Spec.Endpoints; index < len(spec) && spec[index].Address == address {
		return spec[index].Zone
	}
	return zoneOf(s.object, address)
}

func unixSeconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// addressInSpec returns the address of the spec's endpoint that an endpoint comes from.
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
