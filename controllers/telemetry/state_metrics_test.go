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
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/test/effort"
)

// cached are the objects of a cache.
type cached []farpointv1.ExternalService

var someTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const (
	healthyNow   = farpointv1.EndpointHealthy
	unhealthyNow = farpointv1.EndpointUnhealthy
)

// withHealths returns an ExternalService with endpoints of these healths.
func withHealths(name string, healths ...farpointv1.EndpointHealth) *farpointv1.ExternalService {
	object := &farpointv1.ExternalService{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	for i, current := range healths {
		address := fmt.Sprintf("192.0.2.%d", i)
		object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{Address: address, Zone: fmt.Sprintf("zone-%d", i)})
		object.Status.Endpoints = append(object.Status.Endpoints, farpointv1.EndpointStatus{
			Name: address + ":80", Address: address, State: farpointv1.EndpointActive, Health: current,
			Reason: "Timeout", Message: "no answer in time", LastTransitionTime: metav1.NewTime(someTime),
		})
	}
	return object
}

func (cached) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("nothing but lists is to be read")
}

func (c cached) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*farpointv1.ExternalServiceList).Items = c
	return nil
}

// observedAs are the same for each owner.
type observedAs []scheduler.Observation

func (o observedAs) Observations(_ probes.Owner, list []scheduler.Observation) []scheduler.Observation {
	return append(list, o...)
}

// halfDead is an ExternalService of two endpoints of which one is dead.
func halfDead() *farpointv1.ExternalService {
	object := withHealths("api", healthyNow, unhealthyNow)
	object.Status.Total, object.Status.Ready, object.Status.Unhealthy = 2, 1, 1
	object.Status.Conditions = []metav1.Condition{
		{Type: farpointv1.AvailableCondition, Status: metav1.ConditionTrue, Reason: farpointv1.EndpointsReadyReason},
		{Type: farpointv1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: farpointv1.NotJudgedReason},
	}
	return object
}

func collector(objects ...*farpointv1.ExternalService) *StateCollector {
	c := &StateCollector{Counters: NewObjectCounters(), Observer: observedAs{}}
	var list cached
	for _, object := range objects {
		list = append(list, *object)
	}
	c.Objects = list
	return c
}

// expectMetrics compares the metrics, without their HELP and TYPE. Without names, it
// compares all that there are.
func expectMetrics(t *testing.T, c *StateCollector, want string, names ...string) {
	t.Helper()
	var text strings.Builder
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.Metric {
			var labels []string
			for _, pair := range metric.Label {
				labels = append(labels, fmt.Sprintf("%s=%s", pair.GetName(), pair.GetValue()))
			}
			value := metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			line := fmt.Sprintf("%s{%s} %v", strings.TrimPrefix(family.GetName(), "farpoint_"), strings.Join(labels, ","), value)
			for _, name := range append(names, "")[:max(len(names), 1)] {
				if strings.HasPrefix(line, name) {
					fmt.Fprintln(&text, line)
				}
			}
		}
	}
	if got := strings.TrimSpace(text.String()); got != strings.TrimSpace(want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestStateMetrics_MatchTheStatus(t *testing.T) {
	c := collector(halfDead())
	key := types.NamespacedName{Namespace: "shop", Name: "api"}
	c.Counters.Add(key, Counts{Up: 2, Down: 1, Created: 1})
	c.Counters.Add(key, Counts{Updated: 3, Deleted: 1})
	c.Observer = observedAs{
		{Key: "192.0.2.0:80", Took: time.Second, CertificateExpiry: someTime.Add(2 * time.Hour)},
		{Key: "192.0.2.1:80", CertificateExpiry: someTime.Add(time.Hour), Flapping: true},
	}
	expectMetrics(t, c, `
externalservice_available{externalservice=api,namespace=shop} 1
externalservice_certificate_expiry_timestamp_seconds{externalservice=api,namespace=shop} 1.7776404e+09
externalservice_condition{condition=Available,externalservice=api,namespace=shop,reason=EndpointsReady,status=true} 1
externalservice_condition{condition=Ready,externalservice=api,namespace=shop,reason=NotJudged,status=unknown} 1
externalservice_endpoint_transitions_total{externalservice=api,namespace=shop,to=draining} 0
externalservice_endpoint_transitions_total{externalservice=api,namespace=shop,to=healthy} 2
externalservice_endpoint_transitions_total{externalservice=api,namespace=shop,to=ineligible} 0
externalservice_endpoint_transitions_total{externalservice=api,namespace=shop,to=unhealthy} 1
externalservice_endpoints{externalservice=api,namespace=shop,state=disabled} 0
externalservice_endpoints{externalservice=api,namespace=shop,state=draining} 0
externalservice_endpoints{externalservice=api,namespace=shop,state=ready} 1
externalservice_endpoints{externalservice=api,namespace=shop,state=rejected} 0
externalservice_endpoints{externalservice=api,namespace=shop,state=stale} 0
externalservice_endpoints{externalservice=api,namespace=shop,state=standby} 0
externalservice_endpoints{externalservice=api,namespace=shop,state=unhealthy} 1
externalservice_endpoints{externalservice=api,namespace=shop,state=unknown} 0
externalservice_endpointslice_writes_total{externalservice=api,namespace=shop,operation=create} 1
externalservice_endpointslice_writes_total{externalservice=api,namespace=shop,operation=delete} 1
externalservice_endpointslice_writes_total{externalservice=api,namespace=shop,operation=update} 3
externalservice_flapping_endpoints{externalservice=api,namespace=shop} 1
externalservice_spec_endpoints{externalservice=api,namespace=shop} 2
externalservice_unhealthy_since_timestamp_seconds{externalservice=api,namespace=shop} 1.7776368e+09
`)
	c.PerEndpoint = true
	expectMetrics(t, c, `
endpoint_certificate_expiry_timestamp_seconds{endpoint=192.0.2.0:80,externalservice=api,namespace=shop,zone=zone-0} 1.777644e+09
endpoint_certificate_expiry_timestamp_seconds{endpoint=192.0.2.1:80,externalservice=api,namespace=shop,zone=zone-1} 1.7776404e+09
endpoint_probe_duration_seconds{endpoint=192.0.2.0:80,externalservice=api,namespace=shop,zone=zone-0} 1
endpoint_up{endpoint=192.0.2.0:80,externalservice=api,namespace=shop,zone=zone-0} 1
endpoint_up{endpoint=192.0.2.1:80,externalservice=api,namespace=shop,zone=zone-1} 0
`, "endpoint_")
}

// An outdated status must not cause alerts.
func TestStateMetrics_OutdatedStatus_IsLeftOut(t *testing.T) {
	object := halfDead()
	object.Spec.Suspend = true
	expectMetrics(t, collector(object), "externalservice_condition{condition=Ready,externalservice=api,namespace=shop,reason=NotJudged,status=unknown} 1")
	object.DeletionTimestamp = &metav1.Time{Time: someTime}
	expectMetrics(t, collector(object), "")
}

// One endpoint that is in a status twice must not cost all metrics of the operator.
func TestStateMetrics_DuplicateEndpoint_IsExportedOnce(t *testing.T) {
	object := halfDead()
	object.Status.Endpoints = append(object.Status.Endpoints, object.Status.Endpoints[0], farpointv1.EndpointStatus{
		Name: "192.0.2.9:80", State: farpointv1.EndpointDisabled, Health: farpointv1.EndpointHealthUnknown,
	})
	object.Status.Endpoints[1].Health = farpointv1.EndpointRejected
	c := collector(object)
	c.PerEndpoint = true
	expectMetrics(t, c, "endpoint_up{endpoint=192.0.2.0:80,externalservice=api,namespace=shop,zone=zone-0} 1", "endpoint_")
}

func TestObjectCounters_Forget(t *testing.T) {
	counted, key := NewObjectCounters(), types.NamespacedName{Name: "api"}
	counted.Add(key, Counts{Up: 1})
	counted.Forget(key)
	if got := counted.Of(key); got != (Counts{}) || len(counted.objects) != 0 {
		t.Errorf("%+v of %d objects", got, len(counted.objects))
	}
}

// fleet returns objects of 10 endpoints; one operator is made for 5,000 of them.
func fleet(size int) *StateCollector {
	objects := make([]*farpointv1.ExternalService, size)
	for i := range objects {
		objects[i] = withHealths(fmt.Sprintf("service-%d", i), healthyNow, healthyNow, healthyNow, healthyNow, healthyNow, healthyNow, healthyNow, healthyNow, healthyNow, unhealthyNow)
		for _, kind := range []string{"Ready", "Available", "Degraded", "TargetServiceResolved", "PortsMatched", "EndpointsAccepted", "NoConflicts", "TrafficPolicyEffective"} {
			objects[i].Status.Conditions = append(objects[i].Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "Reason"})
		}
	}
	c := collector(objects...)
	for i := range 10 {
		c.Observer = append(c.Observer.(observedAs), scheduler.Observation{Key: fmt.Sprintf("192.0.2.%d:80", i), Took: time.Second, CertificateExpiry: someTime})
	}
	return c
}

func BenchmarkScrape(b *testing.B) {
	for _, perEndpoint := range []bool{false, true} {
		b.Run(fmt.Sprintf("perEndpoint=%v", perEndpoint), func(b *testing.B) {
			c := fleet(5000)
			c.PerEndpoint = perEndpoint
			registry := prometheus.NewRegistry()
			registry.MustRegister(c)
			series := testutil.CollectAndCount(c)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := registry.Gather(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(series), "ns/series")
			b.ReportMetric(float64(series), "series")
		})
	}
}

// The number of series determines the cost of a scrape, here and in Prometheus.
func TestStateMetrics_Series_AreBounded(t *testing.T) {
	objects := effort.Rounds(5000, 250)
	c := fleet(objects)
	if got := testutil.CollectAndCount(c); got > 30*objects {
		t.Errorf("%d series for %d objects, more than 30 each", got, objects)
	}
	c.PerEndpoint = true
	if got := testutil.CollectAndCount(c); got > 30*objects+3*10*objects {
		t.Errorf("%d series for %d endpoints, more than 3 each", got, 10*objects)
	}
}
