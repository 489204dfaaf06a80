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

package controllers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// scraper is a Prometheus that discovers its targets from the API server of the tests.
type scraper struct {
	url string
	// exporters answer in place of all targets, distinguished by their address and port.
	exporters *site
}

// listening is where Prometheus says that its API is.
var listening = regexp.MustCompile(`msg="Listening on".* address=(127\.0\.0\.1:\d+)`)

// startPrometheus runs a Prometheus with these scrape configs. It discovers from the API server
// of the tests, and scrapes through a proxy in this process, so that nothing leaves the machine.
func startPrometheus(scrapeConfigs string) *scraper {
	GinkgoHelper()
	started := &scraper{exporters: newExporters()}
	configs := []map[string]any{}
	Expect(yaml.Unmarshal([]byte(scrapeConfigs), &configs)).To(Succeed())
	for _, config := range configs {
		config["proxy_url"] = started.exporters.URL
		for _, discovery := range config["kubernetes_sd_configs"].([]any) {
			discovery.(map[string]any)["kubeconfig_file"] = kubeconfig()
		}
	}
	text, err := yaml.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s"},
		"scrape_configs": configs,
	})
	Expect(err).NotTo(HaveOccurred())
	folder := GinkgoT().TempDir()
	file := filepath.Join(folder, "prometheus.yaml")
	Expect(os.WriteFile(file, text, 0o600)).To(Succeed())
	session := startReader("prometheus",
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address=127.0.0.1:0",
		"--scrape.discovery-reload-interval=100ms") // 5 s else, after the 5 s for which discovery gathers changes
	Eventually(session.Err.Contents).Should(MatchRegexp(listening.String()))
	started.url = "http://" + string(listening.FindSubmatch(session.Err.Contents())[1])
	return started
}

// newExporters is a proxy to exporters that have one metric each.
func newExporters() *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if _, down := s.down.Load(request.URL.Host); down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "uptime_seconds 1")
	}))
	DeferCleanup(s.Close)
	return s
}

// ask reads what is under data in the answer of Prometheus' API.
func (s *scraper) ask(ctx SpecContext, g Gomega, path string, data any) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/"+path, nil)
	g.Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	answer := struct{ Data any }{data}
	g.Expect(json.NewDecoder(response.Body).Decode(&answer)).To(Succeed())
}

// query maps the values of these labels to the present value of the expression.
func (s *scraper) query(ctx SpecContext, g Gomega, metric string, labels ...string) map[string]string {
	var answer struct {
		Result []struct {
			Metric map[string]string
			Value  []any // when, and what in decimal
		}
	}
	s.ask(ctx, g, "query?query="+url.QueryEscape(metric), &answer)
	samples := map[string]string{}
	for _, series := range answer.Result {
		var values []string
		for _, label := range labels {
			values = append(values, series.Metric[label])
		}
		samples[strings.Join(values, " ")] = fmt.Sprint(series.Value[1])
	}
	return samples
}

// discovered maps the addresses of the targets to Prometheus' metadata of them: the conditions
// ready, serving and terminating, the hostname and the zone.
func (s *scraper) discovered(ctx SpecContext) func(Gomega) map[string]string {
	return func(g Gomega) map[string]string {
		var targets struct {
			ActiveTargets []struct{ DiscoveredLabels map[string]string }
		}
		s.ask(ctx, g, "targets", &targets)
		endpoints := map[string]string{}
		for _, target := range targets.ActiveTargets {
			of := func(label string) string {
				return target.DiscoveredLabels["__meta_kubernetes_endpointslice_endpoint_"+label]
			}
			endpoints[target.DiscoveredLabels["__address__"]] = fmt.Sprintf("%s %s %s %s %s",
				of("conditions_ready"), of("conditions_serving"), of("conditions_terminating"), of("hostname"), of("zone"))
		}
		return endpoints
	}
}

var _ = Describe("Prometheus", func() {
	It("shows the conditions, hostname and zone of each endpoint in its targets", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, backends := newNamespace(ctx), newSite()
		object := headless(externalService(namespace, "db"), "metrics", 9187)
		for i, state := range []farpointv1.EndpointState{farpointv1.EndpointActive, farpointv1.EndpointActive, farpointv1.EndpointDraining, farpointv1.EndpointDisabled} {
			object.Spec.Endpoints = append(object.Spec.Endpoints, farpointv1.Endpoint{
				Address: fmt.Sprintf("192.0.2.1%d", i), State: state, HealthCheckURL: backends.url(fmt.Sprintf("/%d", i)),
				Hostname: fmt.Sprintf("db-%d", i), Zone: fmt.Sprintf("eu-1%c", 'a'+i%2),
			})
		}
		create(ctx, object)
		prometheus := startPrometheus(discovery(namespace))
		discovered := prometheus.discovered(ctx)
		Eventually(discovered).Should(Equal(map[string]string{
			"192.0.2.10:9187": "true true false db-0 eu-1a",
			"192.0.2.11:9187": "true true false db-1 eu-1b",
			"192.0.2.12:9187": "false true true db-2 eu-1a",
			"192.0.2.13:9187": "false false false db-3 eu-1b",
		}))
		By("following deaths")
		backends.down.Store("/1", true)
		backends.down.Store("/2", true)
		Eventually(discovered).Should(And(
			HaveKeyWithValue("192.0.2.10:9187", "true true false db-0 eu-1a"),
			HaveKeyWithValue("192.0.2.11:9187", "false false false db-1 eu-1b"),
			HaveKeyWithValue("192.0.2.12:9187", "false false true db-2 eu-1a"),
		))
		By("following a return")
		backends.down.Delete("/1")
		Eventually(discovered).Should(HaveKeyWithValue("192.0.2.11:9187", "true true false db-1 eu-1b"))
	})

	// It treats a Service of two families like one of Pods, which have an address of each.
	It("finds the endpoints of a Service's first address family only", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace, probed := newNamespace(ctx), newBackend()
		both, six := headless(externalService(namespace, "both", probed.url(), probed.url()), "metrics", 9100), headless(externalService(namespace, "six", probed.url()), "metrics", 9100)
		both.Spec.Endpoints[1].Address, six.Spec.Endpoints[0].Address = "2001:db8::11", "2001:db8::12"
		for _, object := range []*farpointv1.ExternalService{both, six} {
			for i := range object.Spec.Endpoints {
				object.Spec.Endpoints[i].Port = nil
			}
		}
		six.Spec.ServiceTemplate.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
		six.Spec.ServiceTemplate.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicySingleStack)
		create(ctx, both, six)
		Eventually(column(ctx, both)).Should(Equal("2/2"))
		Eventually(column(ctx, six)).Should(Equal("1/1"))
		prometheus := startPrometheus(discovery(namespace))
		Eventually(prometheus.discovered(ctx)).Should(And(HaveKey("192.0.2.10:9100"), HaveKey("[2001:db8::12]:9100")))
		Expect(prometheus.discovered(ctx)(NewWithT(GinkgoT()))).To(HaveLen(2))
	})
})

// discovery is a scrape config that takes all there is in a namespace.
func discovery(namespace string) string {
	return fmt.Sprintf(`
- job_name: all
  kubernetes_sd_configs:
  - role: endpointslice
    namespaces:
      names: [%s]
`, namespace)
}
