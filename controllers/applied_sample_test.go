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
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// sample is one of config/samples whose probes are led to servers of this process, so
// that none leaves the machine.
type sample struct {
	manifests
	// table is what its comment says that kubectl get extsvc prints.
	table string
	// backends are the endpoints, distinguished by their address before the path of the URL, as
	// in /192.0.2.10/health. The TCP ones cannot be distinguished.
	backends *site
	// gateway requires requests for the name by which its certificate was chosen, as gateways do.
	gateway *backend
	// databases are the databases, or other servers that a spec has started, of the machines with
	// these addresses.
	databases map[string]netip.AddrPort
}

// shown finds that table in a comment.
var shown = regexp.MustCompile(`(?m)^#   \$ kubectl get extsvc --namespace [-a-z]+\n((?:#   .*\n)+)`)

func load(file string) *sample {
	GinkgoHelper()
	return loadWith(file, nil)
}

// loadWith is load for a sample that probes databases.
func loadWith(file string, databases map[string]netip.AddrPort) *sample {
	GinkgoHelper()
	text := read(file)
	match := shown.FindStringSubmatch(text)
	Expect(match).NotTo(BeNil(), "the comment shows what kubectl get extsvc prints")
	loaded := &sample{table: strings.ReplaceAll(match[1], "#   ", ""), backends: newSite(), gateway: newGateway(), databases: databases}
	for _, object := range decoded(text) {
		switch object.GetKind() {
		case "ExternalService":
			object = loaded.capture(typed[farpointv1.ExternalService](object))
		case "ExternalServicePolicy":
			object = admitHere(typed[farpointv1.ExternalServicePolicy](object))
		case "ConfigMap":
			Expect(unstructured.SetNestedField(object.Object, loaded.gateway.authority(), "data", "ca.crt")).To(Succeed())
		}
		loaded.manifests = append(loaded.manifests, object)
	}
	return loaded
}

func newGateway() *backend {
	gateway := &backend{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Host != request.TLS.ServerName {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	}))}
	gateway.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	gateway.StartTLS()
	DeferCleanup(gateway.Close)
	return gateway
}

// capture redirects every probe of the object to this process, by its scheme and path.
func (s *sample) capture(object farpointv1.ExternalService) *unstructured.Unstructured {
	GinkgoHelper()
	for i := range object.Spec.Endpoints {
		endpoint := &object.Spec.Endpoints[i]
		for _, from := range []farpointv1.HealthCheckURL{object.Spec.HealthCheckURL, "tcp://"} { // as the operator does
			if endpoint.HealthCheckURL == "" {
				endpoint.HealthCheckURL = from
			}
		}
		endpoint.HealthCheckURL = s.lead(endpoint.HealthCheckURL, endpoint.Address)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&object)
	Expect(err).NotTo(HaveOccurred())
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}
}

// admitHere lets a policy allow the servers of this process.
func admitHere(object farpointv1.ExternalServicePolicy) *unstructured.Unstructured {
	GinkgoHelper()
	object.Spec.AllowedCIDRs = append(object.Spec.AllowedCIDRs, "127.0.0.0/8")
	object.Spec.AllowedPorts = append(object.Spec.AllowedPorts, farpointv1.PolicyPort{Port: 10000, EndPort: new(int32(65535))})
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&object)
	Expect(err).NotTo(HaveOccurred())
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}
}

func (s *sample) lead(from farpointv1.HealthCheckURL, address string) farpointv1.HealthCheckURL {
	GinkgoHelper()
	led, err := url.Parse(string(from))
	Expect(err).NotTo(HaveOccurred())
	if at, ok := s.databases[address]; ok {
		led.Host = at.String()
		return farpointv1.HealthCheckURL(led.String())
	}
	if led.Scheme == "icmp" { // it has no port
		return "icmp://127.0.0.1"
	}
	servers := map[string]*httptest.Server{"http": s.backends.Server, "https": s.gateway.Server, "tcp": s.backends.Server, "tls": s.gateway.Server}
	Expect(servers).To(HaveKey(led.Scheme))
	led.Host = servers[led.Scheme].Listener.Addr().String()
	Expect(netip.MustParseAddrPort(led.Host).Addr().IsLoopback()).To(BeTrue())
	if led.Scheme == "http" {
		led.Path = "/" + address + led.Path
	}
	return farpointv1.HealthCheckURL(led.String())
}

// hostOf returns the host of a URL; empty if the URL leaves it to the endpoint.
func hostOf(of farpointv1.HealthCheckURL) string {
	GinkgoHelper()
	parsed, err := url.Parse(string(of))
	Expect(err).NotTo(HaveOccurred())
	return parsed.Hostname()
}

// apply applies the sample. It is removed at the end of the spec.
func (s *sample) apply(ctx SpecContext) {
	GinkgoHelper()
	var documents []string
	for _, object := range s.manifests {
		document, err := yaml.Marshal(object)
		Expect(err).NotTo(HaveOccurred())
		documents = append(documents, string(document))
	}
	DeferCleanup(func(ctx SpecContext) { s.goes(ctx) })
	apply(ctx, strings.Join(documents, "---\n"), "--filename", "-")
}

// externalServices are those of the sample, in the order of their names.
func (s *sample) externalServices() []*farpointv1.ExternalService {
	GinkgoHelper()
	var objects []*farpointv1.ExternalService
	for _, object := range ofKind[farpointv1.ExternalService](s.manifests, "ExternalService") {
		objects = append(objects, &object)
	}
	slices.SortFunc(objects, func(a, b *farpointv1.ExternalService) int { return strings.Compare(a.Name, b.Name) })
	return objects
}

// namespace is the one that all of the sample is in.
func (s *sample) namespace() string { return s.externalServices()[0].Namespace }

// comesOut waits until kubectl prints what the comment shows, and compares the slices of the
// namespace with those that are wanted.
func (s *sample) comesOut(ctx SpecContext, want ...string) {
	GinkgoHelper()
	printed := func() []string {
		return table(kubectl(ctx, "", "get", "extsvc", "--namespace", s.namespace()))
	}
	Eventually(printed).Should(Equal(table(s.table)))
	s.publishes(ctx, want...)
}

// table is what kubectl prints, except the ages.
func table(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, row(line))
	}
	return lines
}

// publishes waits until the namespace has the slices that are wanted.
func (s *sample) publishes(ctx SpecContext, want ...string) {
	GinkgoHelper()
	all := make([]any, len(want))
	for i, text := range want {
		all[i] = strings.TrimPrefix(text, "\n")
	}
	Eventually(func() []string {
		list := &discoveryv1.EndpointSliceList{}
		Expect(k8s.List(ctx, list, client.InNamespace(s.namespace()), client.MatchingLabels{discoveryv1.LabelManagedBy: farpointv1.ManagedBy})).To(Succeed())
		var drawn []string
		for _, slice := range list.Items {
			drawn = append(drawn, draw(&slice))
		}
		return drawn
	}).Should(ConsistOf(all...))
}

// goes removes the sample and its slices.
func (s *sample) goes(ctx SpecContext) {
	GinkgoHelper()
	s.remove(ctx)
	s.publishes(ctx)
}

// unusual returns the conditions of an object that differ from those of a healthy one.
func unusual(ctx SpecContext, object *farpointv1.ExternalService) func() map[string]string {
	usual := map[string]string{
		farpointv1.ReadyCondition:                 "True Published",
		farpointv1.AvailableCondition:             "True EndpointsReady",
		farpointv1.DegradedCondition:              "False NoEndpointsUnhealthy",
		farpointv1.TargetServiceResolvedCondition: "True Resolved",
		farpointv1.PortsMatchedCondition:          "True Matched",
		farpointv1.EndpointsAcceptedCondition:     "True Accepted",
		farpointv1.NoConflictsCondition:           "True NoConflicts",
		farpointv1.ProgrammedCondition:            "True Programmed",
	}
	return func() map[string]string {
		remaining := statuses(now(ctx, object))
		for kind, status := range usual {
			if remaining[kind] == status {
				delete(remaining, kind)
			} else if _, ok := remaining[kind]; !ok {
				remaining[kind] = "absent"
			}
		}
		return remaining
	}
}

// draw shows all of a slice that consumers may look at: its Service, address type, ports
// and labels, and a line for each endpoint with the conditions ready, serving and
// terminating.
func draw(slice *discoveryv1.EndpointSlice) string {
	words := []string{slice.Labels[discoveryv1.LabelServiceName] + ": " + string(slice.AddressType)}
	for _, port := range slice.Ports {
		word := fmt.Sprintf("%s %d/%s", *port.Name, *port.Port, *port.Protocol)
		if port.AppProtocol != nil {
			word += " " + *port.AppProtocol
		}
		words = append(words, word)
	}
	slices.Sort(words[1:])
	for _, key := range slices.Sorted(maps.Keys(slice.Labels)) {
		if key != discoveryv1.LabelManagedBy && key != discoveryv1.LabelServiceName {
			words = append(words, key+"="+slice.Labels[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(slice.Annotations)) {
		if key != corev1.EndpointsLastChangeTriggerTime && key != farpointv1.SliceStateAnnotation {
			words = append(words, key+"="+slice.Annotations[key])
		}
	}
	lines := []string{strings.Join(words, ", ")}
	for i := range slice.Endpoints {
		lines = append(lines, "  "+drawEndpoint(&slice.Endpoints[i]))
	}
	return strings.Join(lines, "\n")
}

func drawEndpoint(endpoint *discoveryv1.Endpoint) string {
	conditions := endpoint.Conditions
	words := []string{strings.Join(endpoint.Addresses, ","), letter(conditions.Ready) + letter(conditions.Serving) + letter(conditions.Terminating)}
	for _, field := range []struct {
		name  string
		value *string
	}{{"hostname", endpoint.Hostname}, {"node", endpoint.NodeName}, {"zone", endpoint.Zone}} {
		if field.value != nil {
			words = append(words, field.name+"="+*field.value)
		}
	}
	if endpoint.Hints != nil {
		for _, zone := range endpoint.Hints.ForZones {
			words = append(words, "for="+zone.Name)
		}
		for _, node := range endpoint.Hints.ForNodes {
			words = append(words, "for-node="+node.Name)
		}
	}
	return strings.Join(words, " ")
}
