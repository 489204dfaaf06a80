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
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"farpoint.dev/farpoint/controllers"
	"farpoint.dev/farpoint/test/servers"
)

// alertmanager is a real Alertmanager, behind TLS and a password.
type alertmanager struct {
	folder, address string
	process         *gexec.Session
	client          *http.Client
}

const (
	alertmanagerPassword = "correct horse"
	alertmanagerHash     = "$2a$04$i18swXWKvDSCOppOXszUeOmtH/uultTmfWNqxbW6o3S7nF/iCtreO" // bcrypt
)

// newAlertmanager runs an Alertmanager until the spec ends.
func newAlertmanager() *alertmanager {
	GinkgoHelper()
	a := &alertmanager{folder: GinkgoT().TempDir(), address: freeAddress()}
	borrowed := httptest.NewUnstartedServer(nil) // for a certificate for 127.0.0.1
	borrowed.StartTLS()
	defer borrowed.Close()
	a.client = borrowed.Client()
	pair := borrowed.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	Expect(err).NotTo(HaveOccurred())
	a.write("tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	a.write("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	a.write("password", alertmanagerPassword)
	a.write("web.yaml", fmt.Sprintf("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\nbasic_auth_users: {farpoint: %q}\n", alertmanagerHash))
	a.write("config.yaml", "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n")
	// What the operator reads. The paths are relative to the file.
	a.write("http.yaml", "basic_auth: {username: farpoint, password_file: password}\ntls_config: {ca_file: tls.crt}\n")
	a.start()
	return a
}

func (a *alertmanager) write(name, text string) {
	GinkgoHelper()
	Expect(os.WriteFile(filepath.Join(a.folder, name), []byte(text), 0o600)).To(Succeed())
}

func (a *alertmanager) start() {
	GinkgoHelper()
	command := exec.Command(servers.Program(GinkgoT(), "prometheus-alertmanager"), "--config.file=config.yaml", "--storage.path="+a.folder, "--web.config.file=web.yaml",
		"--web.listen-address="+a.address, "--cluster.listen-address=")
	command.Dir = a.folder
	var err error
	a.process, err = gexec.Start(command, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(a.stop)
}

func (a *alertmanager) stop() {
	GinkgoHelper()
	Eventually(a.process.Kill()).Should(gexec.Exit())
}

// receive makes the operator send alerts to it.
func (a *alertmanager) receive(options *controllers.Options) {
	options.AlertmanagerURLs = []string{"https://" + a.address}
	options.AlertmanagerHTTPConfig = filepath.Join(a.folder, "http.yaml")
	options.AlertLabels = map[string]string{"cluster": "eu-1"}
	options.RunbookURL = "https://git.example.com/runbook.md"
}

type receivedAlert struct {
	Labels      map[string]string
	Annotations map[string]string
	StartsAt    time.Time
	Status      struct{ InhibitedBy []string }
}

// alertGroup is what one notification is about.
type alertGroup struct {
	Labels map[string]string
	Alerts []receivedAlert
}

// alerts returns the alerts that it considers active; nil while it cannot be reached.
func (a *alertmanager) alerts(ctx SpecContext) func() []receivedAlert {
	return func() []receivedAlert { return alertmanagerList[receivedAlert](ctx, a, "alerts") }
}

// alertmanagerList reads a list of Alertmanager's API; nil while it cannot be reached.
func alertmanagerList[T any](ctx SpecContext, a *alertmanager, name string) []T {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+a.address+"/api/v2/"+name, nil)
	Expect(err).NotTo(HaveOccurred())
	request.SetBasicAuth("farpoint", alertmanagerPassword)
	response, err := a.client.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	list := []T{}
	Expect(json.NewDecoder(response.Body).Decode(&list)).To(Succeed())
	return list
}

// guideExample returns the example in the user guide that contains a text.
func guideExample(text string) string {
	GinkgoHelper()
	guide, err := os.ReadFile("../docs/user-guide.md")
	Expect(err).NotTo(HaveOccurred())
	for i, block := range strings.Split(string(guide), "```") {
		if i%2 == 1 && strings.Contains(block, text) {
			_, example, _ := strings.Cut(block, "\n") // behind the language
			return example
		}
	}
	Fail("the user guide has no example with " + text)
	return ""
}

var _ = Describe("An Alertmanager", func() {
	It("gets what is down, also after it was away, and what has recovered", func(ctx SpecContext) {
		receiver := newAlertmanager()
		running := startOperator(adminConfig, receiver.receive)
		namespace, backend := newNamespace(ctx), newBackend()
		object := externalService(namespace, "db", backend.url())
		object.Spec.Endpoints[0].Zone = "eu-1a"
		create(ctx, service(namespace, "db"), object)
		Eventually(column(ctx, object)).Should(Equal("1/1"))
		Consistently(receiver.alerts(ctx), "300ms").Should(BeEmpty())

		backend.status.Store(http.StatusServiceUnavailable)
		labels := map[string]string{"alertname": "FarpointEndpointDown", "severity": "warning", "cluster": "eu-1", "namespace": namespace, "externalservice": "db", "endpoint": "192.0.2.10:8080", "address": "192.0.2.10", "zone": "eu-1a", "reason": "UnexpectedStatus"}
		down := HaveField("Labels", labels)
		unavailable := HaveField("Labels", map[string]string{"alertname": "FarpointServiceUnavailable", "severity": "critical", "cluster": "eu-1", "namespace": namespace, "externalservice": "db", "reason": "NoEndpointsReady"})
		Eventually(receiver.alerts(ctx)).Should(ConsistOf(down, unavailable))
		Expect(receiver.alerts(ctx)()).To(ContainElement(HaveField("Annotations", map[string]string{
			"summary":     "Endpoint 192.0.2.10:8080 of ExternalService " + namespace + "/db is unhealthy",
			"description": "status 503 is not an expected one",
			"runbook_url": "https://git.example.com/runbook.md#farpointendpointdown",
		})))
		since := startOf(receiver.alerts(ctx)(), labels)
		Expect(since.Equal(now(ctx, object).Status.Endpoints[0].LastTransitionTime.Time)).To(BeTrue())

		By("a restart of both")
		running.stop()
		receiver.stop()
		Expect(os.RemoveAll(filepath.Join(receiver.folder, "nflog"))).To(Succeed())
		running = startOperator(adminConfig, receiver.receive)
		Eventually(receiver.alerts(ctx)).Should(BeNil())
		receiver.start()
		Eventually(receiver.alerts(ctx)).Should(ConsistOf(down, unavailable))
		Expect(startOf(receiver.alerts(ctx)(), labels)).To(Equal(since))

		By("a recovery while it is away")
		receiver.stop()
		backend.status.Store(http.StatusOK)
		Eventually(column(ctx, object)).Should(Equal("1/1"), "nothing waits for it")
		receiver.start()
		Eventually(receiver.alerts(ctx)).Should(And(Not(BeNil()), BeEmpty()))
		running.stop()
	})
})

var _ = Describe("The guide's configuration of Alertmanager", func() {
	It("groups the endpoints of one machine and silences those of a Service that is reported itself", func(ctx SpecContext) {
		receiver := newAlertmanager()
		receiver.stop()
		receiver.write("config.yaml", strings.Replace(guideExample("inhibit_rules:"), "group_wait: 30s", "group_wait: 1s", 1))
		receiver.start()
		namespace, backend, other := newNamespace(ctx), newBackend(), newBackend()
		alone := externalService(namespace, "alone", backend.url())
		web, database := externalService(namespace, "web", backend.url(), other.url()), externalService(namespace, "db", backend.url(), other.url())
		create(ctx, service(namespace, "alone"), service(namespace, "web"), service(namespace, "db"), alone, web, database)
		startOperator(adminConfig, receiver.receive)
		Eventually(column(ctx, database)).Should(Equal("2/2"))
		Eventually(column(ctx, web)).Should(Equal("2/2"))

		backend.status.Store(http.StatusServiceUnavailable)
		Eventually(func() map[string]bool {
			down := map[string]bool{}
			for _, group := range alertmanagerList[alertGroup](ctx, receiver, "alerts/groups") {
				for _, alert := range group.Alerts {
					if alert.Labels["alertname"] == "FarpointEndpointDown" {
						Expect(group.Labels).To(Equal(map[string]string{"cluster": "eu-1", "address": "192.0.2.10"}))
						down[alert.Labels["externalservice"]] = len(alert.Status.InhibitedBy) > 0
					}
				}
			}
			return down
		}).Should(Equal(map[string]bool{"alone": true, "db": false, "web": false}))
	})
})

func startOf(alerts []receivedAlert, labels map[string]string) time.Time {
	for _, alert := range alerts {
		if fmt.Sprint(alert.Labels) == fmt.Sprint(labels) {
			return alert.StartsAt
		}
	}
	return time.Time{}
}
