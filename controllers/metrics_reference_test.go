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
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	farpointv1 "farpoint.dev/farpoint/api/v1"

	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"farpoint.dev/farpoint/controllers/alerting"
	"farpoint.dev/farpoint/controllers/telemetry"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/scheduler"
)

// writeDocs makes the tests of references write these: `make docs`.
var writeDocs = flag.Bool("write-docs", false, "write docs/metrics.md")

// documentedObject has a series in each metric of ExternalServices.
func documentedObject() *farpointv1.ExternalService {
	at := metav1.NewTime(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	return &farpointv1.ExternalService{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"},
		Status: farpointv1.ExternalServiceStatus{
			Conditions: []metav1.Condition{{Type: farpointv1.AvailableCondition, Status: metav1.ConditionTrue, Reason: farpointv1.EndpointsReadyReason}},
			Endpoints: []farpointv1.EndpointStatus{
				{Name: "192.0.2.0:80", Address: "192.0.2.0", State: farpointv1.EndpointActive, Health: farpointv1.EndpointHealthy, LastTransitionTime: at},
				{Name: "192.0.2.1:80", Address: "192.0.2.1", State: farpointv1.EndpointActive, Health: farpointv1.EndpointUnhealthy, LastTransitionTime: at},
			},
		},
	}
}

// documentedObservations are what the scheduler has seen of it.
type documentedObservations struct{}

func (documentedObservations) Observations(_ probes.Owner, list []scheduler.Observation) []scheduler.Observation {
	return append(list, scheduler.Observation{Key: "192.0.2.0:80", Took: time.Second, CertificateExpiry: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)})
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	if err := farpointv1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	return known
}

// documented are all metrics of the operator, each with at least one series.
func documented(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	state := &telemetry.StateCollector{
		Objects:     fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(documentedObject()).Build(),
		Observer:    documentedObservations{},
		Counters:    telemetry.NewObjectCounters(),
		PerEndpoint: true,
	}
	collectors := append(scheduler.NewMetrics().Collectors(), append(telemetry.NewPublishMetrics().Collectors(), newEventQueue(nil, nil).dropped)...)
	collectors = append(append(collectors, resolver.NewMetrics().Collectors()...), state)
	collectors = append(collectors, (*alerting.Notifier)(nil).Collectors()...)
	registry, named := prometheus.NewPedanticRegistry(), map[string]bool{}
	for _, collector := range collectors {
		registry.MustRegister(collector)
		descs := make(chan *prometheus.Desc, 100)
		collector.Describe(descs)
		close(descs)
		for desc := range descs {
			name, labels := readDesc(t, desc)
			named[name] = true
			touch(collector, make([]string, len(labels)))
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		delete(named, family.GetName())
	}
	if len(named) > 0 {
		t.Fatalf("%v have no series that would tell their type", named)
	}
	return families
}

func TestMetrics_Names_FollowConventions(t *testing.T) {
	families := documented(t)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, family := range families {
		help := family.GetHelp()
		if !strings.HasSuffix(help, ".") || help[:1] != strings.ToUpper(help[:1]) {
			t.Errorf("%s: %q is no sentence", family.GetName(), help)
		}
	}
}

// readDesc reads what a Desc has only in its String.
func readDesc(t *testing.T, desc *prometheus.Desc) (name string, labels []string) {
	t.Helper()
	match := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(desc.String())
	if match == nil {
		t.Fatalf("%s cannot be read", desc)
	}
	if match[2] != "" {
		labels = strings.Split(match[2], ",")
	}
	return match[1], labels
}

// touch creates a series in a metric that would have none before something happens.
func touch(metrics prometheus.Collector, labels []string) {
	switch vector := metrics.(type) {
	case *prometheus.CounterVec:
		vector.WithLabelValues(labels...)
	case *prometheus.GaugeVec:
		vector.WithLabelValues(labels...)
	case *prometheus.HistogramVec:
		vector.WithLabelValues(labels...)
	}
}

func TestMetricsReference(t *testing.T) {
	var page strings.Builder
	page.WriteString(`<!-- Written by ` + "`make docs`" + ` from the metrics themselves. Do not edit. -->

# Metrics

The metrics that the operator serves at ` + "`/metrics`" + `, in addition to those of
[controller-runtime](https://book.kubebuilder.io/reference/metrics-reference), of the Go runtime and
of the process. Only the active replica has them.
How to scrape them is in the [user guide](user-guide.md#monitoring).

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
`)
	for _, family := range documented(t) {
		var labels []string
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()), unit(family.GetName()), strings.Join(labels, ", "), family.GetHelp())
	}
	page.WriteString("\nMetrics that start with `farpoint_endpoint_` exist only with `--per-endpoint-metrics`.\n")
	compareDocs(t, "../docs/metrics.md", page.String())
}

// unit returns the unit in a metric's name.
func unit(name string) string {
	name = strings.TrimSuffix(name, "_total")
	if strings.HasSuffix(name, "_seconds") {
		return "seconds"
	}
	return ""
}

func compareDocs(t *testing.T, file, want string) {
	t.Helper()
	if *writeDocs {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is stale: run `make docs` (%v)", file, err)
	}
}
