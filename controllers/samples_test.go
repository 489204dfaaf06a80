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
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

const samples = "../config/samples"

var _ = Describe("the samples", func() {
	// Nobody probes here: no operator is running, and the objects go before one does.
	It("are accepted as they stand, one by one and all at once", func(ctx SpecContext) {
		all := rendered(ctx, samples)
		DeferCleanup(func(ctx SpecContext) { all.remove(ctx) })
		for _, file := range sampleFiles() {
			apply(ctx, "", "--filename", filepath.Join(samples, file))
			alone := decoded(read(file))
			Expect(ofKind[farpointv1.ExternalService](alone, "ExternalService")).To(HaveLen(1), "%s: one story per file", file)
			for _, object := range alone {
				Expect(all.has(object.GetKind(), object.GetNamespace(), object.GetName())).To(BeTrue(), "%s: list it in kustomization.yaml", file)
			}
			alone.remove(ctx)
		}
		apply(ctx, "", "--kustomize", samples)
	})

	It("name no address but those set aside for documentation", func() {
		documentation := []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), // RFC 5737
			netip.MustParsePrefix("2001:db8::/32"), // RFC 3849
		}
		for _, file := range sampleFiles() {
			object := ofKind[farpointv1.ExternalService](decoded(read(file)), "ExternalService")[0]
			places := []string{hostOf(object.Spec.HealthCheckURL)}
			for _, endpoint := range object.Spec.Endpoints {
				places = append(places, endpoint.Address, hostOf(endpoint.HealthCheckURL))
			}
			for _, place := range places {
				if place != "" {
					address := netip.MustParseAddr(place)
					Expect(slices.ContainsFunc(documentation, func(p netip.Prefix) bool { return p.Contains(address) })).To(BeTrue(), "%s: %s", file, place)
				}
			}
		}
	})

	DescribeTable("come out as their comments say",
		func(ctx SpecContext, file string, wanted ...string) {
			text, story := pointedAtLoopback(read(file))
			parts := decoded(text)
			DeferCleanup(func(ctx SpecContext) { parts.remove(ctx) })
			startOperator(adminConfig)
			apply(ctx, text, "--filename", "-")

			object := &ofKind[farpointv1.ExternalService](parts, "ExternalService")[0]
			Eventually(func() string {
				return row(lastLine(kubectl(ctx, "", "get", "extsvc", "--namespace", object.Namespace)))
			}).Should(Equal(row(lastLine(story))))
			Expect(strings.Fields(kubectl(ctx, "", "get", "extsvc", "--namespace", object.Namespace))[:6]).To(Equal(strings.Fields(story)[:6]), "the columns")

			Expect(statuses(now(ctx, object))).To(Equal(map[string]string{
				farpointv1.ReadyCondition:                 "True Published",
				farpointv1.AvailableCondition:             "True EndpointsReady",
				farpointv1.DegradedCondition:              "False NoEndpointsUnhealthy",
				farpointv1.TargetServiceResolvedCondition: "True Resolved",
				farpointv1.PortsMatchedCondition:          "True Matched",
				farpointv1.EndpointsAcceptedCondition:     "True Accepted",
				farpointv1.NoConflictsCondition:           "True NoConflicts",
			}))
			Expect(now(ctx, object).Status.Rejected).To(BeZero())
			target := now(ctx, object).Status.TargetService
			Expect(outlines(slicesFor(ctx, object.Namespace, target))).To(ConsistOf(wanted))

			Expect(k8s.Delete(ctx, object)).To(Succeed())
			Eventually(slicesFor).WithArguments(ctx, object.Namespace, target).Should(BeEmpty())
		},
		Entry("a legacy API", "legacy-api.yaml", "2 IPv4, http 8080/TCP"),
		Entry("PostgreSQL", "postgresql.yaml", "2 IPv4, pgbouncer 6432/TCP, postgresql 5432/TCP"),
		Entry("a gateway of another cluster", "cross-cluster-gateway.yaml", "2 IPv4, https 443/TCP https"),
		Entry("dual stack", "dual-stack.yaml", "2 IPv4, http 8080/TCP", "2 IPv6, http 8080/TCP"),
		Entry("many endpoints", "many-endpoints.yaml", "100 IPv4, http 8080/TCP", "100 IPv4, http 8080/TCP", "50 IPv4, http 8080/TCP"),
	)
})

// sampleFiles are all there are.
func sampleFiles() []string {
	GinkgoHelper()
	entries, err := os.ReadDir(samples)
	Expect(err).NotTo(HaveOccurred())
	var files []string
	for _, entry := range entries {
		if entry.Name() != "kustomization.yaml" {
			files = append(files, entry.Name())
		}
	}
	Expect(files).To(HaveLen(5), "give a new sample an entry in the table")
	return files
}

func read(file string) string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(samples, file))
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// shown finds what a sample's comment says that kubectl get extsvc prints.
var shown = regexp.MustCompile(`(?m)^#   \$ kubectl get extsvc --namespace [a-z]+\n#   (NAME .*)\n#   (.*)$`)

// pointedAtLoopback returns the sample with all of its probes led to servers of this
// process, so that none leaves the machine, and what its comment says is printed.
func pointedAtLoopback(sample string) (text, story string) {
	GinkgoHelper()
	found := shown.FindStringSubmatch(sample)
	Expect(found).NotTo(BeNil(), "the comment shows what kubectl get extsvc prints")
	servers := newSampleServers()
	var documents []string
	for _, object := range decoded(sample) {
		switch object.GetKind() {
		case "ExternalService":
			object = servers.capture(typed[farpointv1.ExternalService](object))
		case "ConfigMap":
			Expect(unstructured.SetNestedField(object.Object, servers.https.authority(), "data", "ca.crt")).To(Succeed())
		}
		document, err := yaml.Marshal(object)
		Expect(err).NotTo(HaveOccurred())
		documents = append(documents, string(document))
	}
	return strings.Join(documents, "---\n"), found[1] + "\n" + found[2]
}

// sampleServers answer the probes of samples.
type sampleServers struct{ http, https *backend }

// newSampleServers' HTTPS server is particular about being asked for the name that its
// certificate was chosen by, as gateways are.
func newSampleServers() sampleServers {
	gateway := &backend{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Host != request.TLS.ServerName {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	}))}
	gateway.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	gateway.StartTLS()
	DeferCleanup(gateway.Close)
	return sampleServers{http: newBackend(), https: gateway}
}

// capture leads every probe of the object here, by the scheme and the path that it has.
func (s sampleServers) capture(object farpointv1.ExternalService) *unstructured.Unstructured {
	GinkgoHelper()
	spec := &object.Spec
	if spec.HealthCheckURL == "" {
		spec.HealthCheckURL = "tcp://" // what the operator takes for it
	}
	spec.HealthCheckURL = s.lead(spec.HealthCheckURL)
	for i := range spec.Endpoints {
		if spec.Endpoints[i].HealthCheckURL != "" {
			spec.Endpoints[i].HealthCheckURL = s.lead(spec.Endpoints[i].HealthCheckURL)
		}
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&object)
	Expect(err).NotTo(HaveOccurred())
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}
}

func (s sampleServers) lead(from farpointv1.HealthCheckURL) farpointv1.HealthCheckURL {
	GinkgoHelper()
	led, err := url.Parse(string(from))
	Expect(err).NotTo(HaveOccurred())
	servers := map[string]*backend{"http": s.http, "https": s.https, "tcp": s.http}
	Expect(servers).To(HaveKey(led.Scheme))
	led.Host = servers[led.Scheme].Listener.Addr().String()
	Expect(netip.MustParseAddrPort(led.Host).Addr().IsLoopback()).To(BeTrue())
	return farpointv1.HealthCheckURL(led.String())
}

// hostOf is empty for a URL that leaves it to the endpoint.
func hostOf(of farpointv1.HealthCheckURL) string {
	GinkgoHelper()
	parsed, err := url.Parse(string(of))
	Expect(err).NotTo(HaveOccurred())
	return parsed.Hostname()
}

// outlines describe slices by their number of endpoints, address type and ports.
func outlines(all []discoveryv1.EndpointSlice) []string {
	var found []string
	for _, slice := range all {
		var ports []string
		for _, port := range slice.Ports {
			text := fmt.Sprintf("%s %d/%s", *port.Name, *port.Port, *port.Protocol)
			if port.AppProtocol != nil {
				text += " " + *port.AppProtocol
			}
			ports = append(ports, text)
		}
		slices.Sort(ports)
		found = append(found, fmt.Sprintf("%d %s, %s", len(slice.Endpoints), slice.AddressType, strings.Join(ports, ", ")))
	}
	return found
}

func lastLine(of string) string {
	lines := strings.Split(strings.TrimSpace(of), "\n")
	return lines[len(lines)-1]
}
