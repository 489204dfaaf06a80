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
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers"
)

// installMonitoring installs the CRDs of the Prometheus operator that config/prometheus has
// objects of, as it releases them, until the specs end.
func installMonitoring(ctx SpecContext) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", "github.com/prometheus-operator/prometheus-operator")
	command.Dir = "../hack/envtest/monitoring"
	output, err := command.Output()
	Expect(err).NotTo(HaveOccurred(), string(output))
	var module struct{ Dir string }
	Expect(json.Unmarshal(output, &module)).To(Succeed())
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		text, err := os.ReadFile(filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml"))
		Expect(err).NotTo(HaveOccurred())
		definition := &apiextensionsv1.CustomResourceDefinition{}
		Expect(yaml.UnmarshalStrict(text, definition)).To(Succeed())
		Expect(k8s.Create(ctx, definition)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(k8s.Delete(ctx, definition)).To(Succeed())
			Eventually(func() error { return k8s.Get(ctx, client.ObjectKeyFromObject(definition), definition) }).Should(Satisfy(apierrors.IsNotFound))
		})
		Eventually(func() []apiextensionsv1.CustomResourceDefinitionCondition {
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(definition), definition)).To(Succeed())
			return definition.Status.Conditions
		}).Should(ContainElement(And(HaveField("Type", apiextensionsv1.Established), HaveField("Status", apiextensionsv1.ConditionTrue))))
	}
}

// monitoring is what a Prometheus operator would make of config/prometheus: a Prometheus that
// scrapes the operator as the ServiceMonitor says, and sends the alerts of the rules to an
// Alertmanager.
type monitoring struct {
	*scraper
	// rules are the file of a PrometheusRule.
	rules string
}

// impatient makes alerts that wait for minutes or hours fire at once. promtool tests their
// waiting, see alert_rules_test.go.
func impatient(rules string) string {
	for _, wait := range []string{`(?m)^ *for: .*\n`, `(?m)^ *keep_firing_for: .*\n`} {
		rules = regexp.MustCompile(wait).ReplaceAllString(rules, "")
	}
	return strings.ReplaceAll(rules, "> 3600", "> 1")
}

// startMonitoring runs a Prometheus until the spec ends.
func startMonitoring(installed manifests, metrics, token string, receiver *alertmanager) *monitoring {
	GinkgoHelper()
	folder := GinkgoT().TempDir()
	write := func(name string, content any) string {
		text, err := yaml.Marshal(content)
		Expect(err).NotTo(HaveOccurred())
		file := filepath.Join(folder, name)
		Expect(os.WriteFile(file, text, 0o600)).To(Succeed())
		return file
	}
	var rules string
	scrape := map[string]any{"job_name": "farpoint", "static_configs": []any{map[string]any{"targets": []string{metrics}}}}
	for _, object := range installed {
		switch object.GetKind() {
		case "PrometheusRule":
			file := write("rules.yaml", object.Object["spec"])
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			rules = impatient(string(text))
			Expect(os.WriteFile(file, []byte(rules), 0o600)).To(Succeed())
		case "ServiceMonitor":
			endpoint := object.Object["spec"].(map[string]any)["endpoints"].([]any)[0].(map[string]any)
			scrape["scheme"], scrape["metrics_path"], scrape["honor_labels"] = endpoint["scheme"], endpoint["path"], endpoint["honorLabels"]
			scrape["tls_config"] = map[string]any{"insecure_skip_verify": endpoint["tlsConfig"].(map[string]any)["insecureSkipVerify"]}
			scrape["authorization"] = map[string]any{"credentials": token}
		}
	}
	config := write("prometheus.yaml", map[string]any{
		"global":         map[string]any{"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms", "external_labels": map[string]string{"from": "prometheus"}},
		"scrape_configs": []any{scrape},
		"rule_files":     []string{filepath.Join(folder, "rules.yaml")},
		"alerting": map[string]any{"alertmanagers": []any{map[string]any{
			"scheme":         "https",
			"basic_auth":     map[string]any{"username": "farpoint", "password": alertmanagerPassword},
			"tls_config":     map[string]any{"ca_file": filepath.Join(receiver.folder, "tls.crt")},
			"static_configs": []any{map[string]any{"targets": []string{receiver.address}}},
		}}},
	})
	session := startReader("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address=127.0.0.1:0")
	Eventually(session.Err.Contents).Should(MatchRegexp(listening.String()))
	return &monitoring{&scraper{url: "http://" + string(listening.FindSubmatch(session.Err.Contents())[1])}, rules}
}

// renewable is an HTTPS server whose certificate can be replaced.
type renewable struct {
	*httptest.Server
	certificate atomic.Pointer[tls.Certificate]
}

func newRenewable(certificate tls.Certificate) *renewable {
	server := &renewable{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	server.certificate.Store(&certificate)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*server.certificate.Load()}}, nil
	}}
	server.StartTLS()
	DeferCleanup(server.Close)
	return server
}

func (r *renewable) url() farpointv1.HealthCheckURL { return farpointv1.HealthCheckURL(r.URL) }

// health maps the rules that Prometheus has loaded to whether they can be evaluated.
func (m *monitoring) health(ctx SpecContext) func(Gomega) map[string]string {
	return func(g Gomega) map[string]string {
		var answer struct {
			Groups []struct {
				Rules []struct{ Type, Name, Health string }
			}
		}
		m.ask(ctx, g, "rules", &answer)
		healths := map[string]string{}
		for _, group := range answer.Groups {
			for _, rule := range group.Rules {
				healths[rule.Name] = rule.Health
			}
		}
		return healths
	}
}

// firing are the alerts at the Alertmanager that came from Prometheus, and those that came
// from the operator, each as "name object endpoint".
func (a *alertmanager) firing(ctx SpecContext, prometheus bool) func() []string {
	return func() []string {
		var lines []string
		for _, alert := range a.alerts(ctx)() {
			if _, came := alert.Labels["from"]; came == prometheus {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", alert.Labels["alertname"], alert.Labels["externalservice"], alert.Labels["endpoint"])))
			}
		}
		slices.Sort(lines)
		return lines
	}
}

// scrapeToken is one of the account that config/prometheus brings. In a cluster, a
// controller puts one into its Secret.
func scrapeToken(ctx context.Context, installed manifests) string {
	GinkgoHelper()
	accounts := ofKind[corev1.ServiceAccount](installed, "ServiceAccount")
	Expect(accounts).To(HaveLen(1))
	request := &authenticationv1.TokenRequest{}
	Expect(k8s.SubResource("token").Create(ctx, &accounts[0], request)).To(Succeed())
	return request.Status.Token
}

var _ = Describe("config/prometheus", Ordered, func() {
	var (
		installed manifests
		token     string
	)

	BeforeAll(func(ctx SpecContext) {
		installMonitoring(ctx)
		operator := rendered(ctx, "../config/default")
		installed = rendered(ctx, "../config/prometheus")
		DeferCleanup(func(ctx SpecContext) {
			installed.remove(ctx)
			operator.remove(ctx)
		})
		apply(ctx, "", "--kustomize", "../config/default")
		apply(ctx, "", "--kustomize", "../config/prometheus")
		token = scrapeToken(ctx, installed)
	})

	It("has the Prometheus operator's API take every field of it", func(ctx SpecContext) {
		for _, object := range installed {
			present := &unstructured.Unstructured{}
			present.SetGroupVersionKind(object.GroupVersionKind())
			Expect(k8s.Get(ctx, client.ObjectKeyFromObject(object), present)).To(Succeed())
		}
		kustomized := rendered(ctx, "../config/grafana")
		Expect(kustomized).To(HaveLen(1))
		apply(ctx, "", "--kustomize", "../config/grafana")
		Expect(k8s.Delete(ctx, kustomized[0])).To(Succeed())
	})

	It("reports deaths and recoveries by Prometheus as the operator does by itself", func(ctx SpecContext) {
		receiver, metrics := newAlertmanager(), freeAddress()
		running := startOperator(serviceAccountConfig(), receiver.receive, func(options *controllers.Options) {
			options.MetricsBindAddress, options.PerEndpointMetrics = metrics, true
		})
		namespace, alone, first := newNamespace(ctx), newBackend(), newBackend()
		single := externalService(namespace, "alone", alone.url())
		single.Spec.Availability.WhenNoneHealthy = farpointv1.PublishAll
		tiers := externalService(namespace, "tiers", first.url(), newBackend().url())
		tiers.Spec.Endpoints[1].Priority = 1
		expiring := newRenewable(issued("legacy.example", "legacy.example", "issuer")) // valid for an hour
		secure := externalService(namespace, "secure", expiring.url())
		secure.Spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{InsecureSkipVerify: true}
		create(ctx, service(namespace, "alone"), service(namespace, "tiers"), service(namespace, "secure"), single, tiers)
		Eventually(column(ctx, single)).Should(Equal("1/1"))
		Eventually(condition(ctx, tiers, farpointv1.AvailableCondition)).Should(Equal("True EndpointsReady"))

		prometheus := startMonitoring(installed, metrics, token, receiver)
		Eventually(prometheus.health(ctx)).Should(And(Not(BeEmpty()), HaveEach("ok")))
		Expect(prometheus.health(ctx)(NewWithT(GinkgoT()))).To(HaveLen(strings.Count(prometheus.rules, "expr:")))
		Eventually(func(g Gomega) map[string]string {
			return prometheus.query(ctx, g, "farpoint_externalservice_available", "namespace", "externalservice")
		}).Should(Equal(map[string]string{namespace + " alone": "1", namespace + " tiers": "1"}))
		Eventually(receiver.firing(ctx, true), "60s").Should(BeEmpty(), "the operator was absent until it was scraped")
		Expect(receiver.firing(ctx, false)()).To(BeEmpty())

		By("deaths, and a certificate that is about to expire")
		create(ctx, secure)
		alone.status.Store(http.StatusServiceUnavailable)
		first.status.Store(http.StatusServiceUnavailable)
		Eventually(receiver.firing(ctx, true), "60s").Should(Equal([]string{
			"FarpointCertificateExpiring secure",
			"FarpointEndpointDown alone 192.0.2.10:8080", "FarpointEndpointDown tiers 192.0.2.10:8080",
			"FarpointEndpointDownForLong alone", "FarpointEndpointDownForLong tiers",
			"FarpointFailOpen alone", "FarpointFailedOver tiers",
			"FarpointServiceDegraded alone", "FarpointServiceDegraded tiers",
			"FarpointServiceUnavailable alone",
		}))
		Eventually(receiver.firing(ctx, false)).Should(Equal([]string{
			"FarpointEndpointDown alone 192.0.2.10:8080", "FarpointEndpointDown tiers 192.0.2.10:8080",
			"FarpointFailOpen alone", "FarpointServiceUnavailable alone",
		}))

		By("recoveries, and a renewal")
		expiring.certificate.Store(&newTLSBackend().TLS.Certificates[0]) // valid for decades
		alone.status.Store(http.StatusOK)
		first.status.Store(http.StatusOK)
		Eventually(receiver.firing(ctx, true), "60s").Should(BeEmpty())
		Eventually(receiver.firing(ctx, false)).Should(BeEmpty())

		By("series that end with their object")
		for _, object := range []*farpointv1.ExternalService{single, tiers, secure} {
			Expect(k8s.Delete(ctx, object)).To(Succeed())
		}
		Eventually(func(g Gomega) map[string]string {
			return prometheus.query(ctx, g, `count({namespace="`+namespace+`"})`)
		}).Should(BeEmpty())

		By("the end of the operator itself")
		running.stop()
		Eventually(receiver.firing(ctx, true), "60s").Should(Equal([]string{"FarpointOperatorAbsent"}))
	})

	It("finds only metrics that docs/metrics.md has, and all of the operator's there", func(ctx SpecContext) {
		metrics := freeAddress()
		startOperator(adminConfig, func(options *controllers.Options) {
			options.MetricsBindAddress = metrics
		})
		namespace := newNamespace(ctx)
		object := externalService(namespace, "db", newBackend().url())
		create(ctx, service(namespace, "db"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		page, err := os.ReadFile("../docs/metrics.md")
		Expect(err).NotTo(HaveOccurred())
		named := regexp.MustCompile(`(?m)^# TYPE (farpoint_\w+) `).FindAllStringSubmatch(scrape(ctx, metrics, token), -1)
		Expect(len(named)).To(BeNumerically(">", 15))
		for _, metric := range named {
			Expect(string(page)).To(ContainSubstring("`" + metric[1] + "`"))
		}
	})

	It("has series as long as their objects, however many come and go", func(ctx SpecContext) {
		metrics := freeAddress()
		startOperator(adminConfig, func(options *controllers.Options) {
			options.MetricsBindAddress, options.PerEndpointMetrics = metrics, true
		})
		namespace, backend := newNamespace(ctx), newBackend()
		series := func() int {
			return strings.Count(scrape(ctx, metrics, token), `namespace="`+namespace+`"`)
		}
		const many = 100
		for i := range many {
			create(ctx, service(namespace, fmt.Sprint("db-", i)), externalService(namespace, fmt.Sprint("db-", i), backend.url()))
		}
		Eventually(column(ctx, externalService(namespace, fmt.Sprint("db-", many-1))), "60s").Should(Equal("1/1"))
		Eventually(func() int { return strings.Count(scrape(ctx, metrics, token), "farpoint_endpoint_up{") }, "60s").Should(Equal(many))
		Expect(series()).To(BeNumerically(">", 20*many))
		Expect(k8s.DeleteAllOf(ctx, &farpointv1.ExternalService{}, client.InNamespace(namespace))).To(Succeed())
		Eventually(series).Should(BeZero())
	})
})

var _ = Describe("the metrics' certificate", func() {
	It("is the one that was given, also after it was rotated", func(ctx SpecContext) {
		folder, address := GinkgoT().TempDir(), freeAddress()
		show := func(name string) {
			shown := issued(name, name, "issuer")
			for file, block := range map[string]*pem.Block{
				"tls.crt": {Type: "CERTIFICATE", Bytes: shown.Certificate[0]},
				"tls.key": {Type: "PRIVATE KEY", Bytes: encoded(shown.PrivateKey)},
			} {
				part := filepath.Join(folder, "."+file)
				Expect(os.WriteFile(part, pem.EncodeToMemory(block), 0o600)).To(Succeed())
				Expect(os.Rename(part, filepath.Join(folder, file))).To(Succeed())
			}
		}
		_, err := controllers.NewManager(adminConfig, controllers.Options{MetricsCertDir: folder})
		Expect(err).To(MatchError(And(ContainSubstring("tls.crt"), ContainSubstring("tls.key"))), "both are missing")
		show("first.example")
		startOperator(adminConfig, func(options *controllers.Options) {
			options.MetricsBindAddress, options.MetricsCertDir = address, folder
		})
		shown := func(g Gomega) []string {
			conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", address)
			g.Expect(err).NotTo(HaveOccurred())
			defer func() { g.Expect(conn.Close()).To(Succeed()) }()
			return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].DNSNames
		}
		Eventually(shown).Should(Equal([]string{"first.example"}))
		show("second.example")
		Eventually(shown, "40s").Should(Equal([]string{"second.example"}))
	})
})

func encoded(key crypto.PrivateKey) []byte {
	GinkgoHelper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	return raw
}

// scrape reads the metrics of an operator.
func scrape(ctx SpecContext, address, token string) string {
	GinkgoHelper()
	status, text := fetch(ctx, "https://"+address+"/metrics", token)
	Expect(status).To(Equal(http.StatusOK), text)
	return text
}
