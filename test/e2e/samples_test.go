//go:build linux && e2e

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

package e2e_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

// portOf finds the port of a URL.
var portOf = regexp.MustCompile(`:\d+`)

// sample returns the first ExternalService of a file in config/samples, with the name, namespace,
// probe settings and addresses of the scenario: the first IPv4 address and the first IPv6 address
// become those of the first host, and so on.
func (s *scenario) sample(file string) *farpointv1.ExternalService {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config/samples", file))
	s.Expect(err).NotTo(HaveOccurred())
	_, manifest, ok := strings.Cut(string(text), "\nkind: ExternalService\n")
	s.Expect(ok).To(BeTrue(), file)
	manifest, _, _ = strings.Cut(manifest, "\n---\n")
	object := &farpointv1.ExternalService{}
	s.Expect(yaml.UnmarshalStrict([]byte(manifest), object)).To(Succeed())
	object.Namespace, object.Name = s.namespace, serviceName
	var fours, sixes int
	for i := range object.Spec.Endpoints {
		endpoint := &object.Spec.Endpoints[i]
		address, err := netip.ParseAddr(endpoint.Address)
		s.Expect(err).NotTo(HaveOccurred())
		if address.Is4() {
			endpoint.Address = s.hosts[fours].Address().String()
			fours++
		} else {
			endpoint.Address = s.hosts[sixes].Address6.String()
			sixes++
		}
	}
	for i := range object.Spec.ServiceTemplate.Spec.Ports {
		object.Spec.ServiceTemplate.Spec.Ports[i].TargetPort = new(int32(e2e.BackendPort))
	}
	url := portOf.ReplaceAllString(string(object.Spec.HealthCheckURL), "")
	object.Spec.HealthCheckURL = farpointv1.HealthCheckURL(url)
	s.set(&object.Spec)
	return object
}

// apply creates an ExternalService with a serviceTemplate, and waits until there is a verdict on
// every endpoint and the right ones are published.
func (s *scenario) apply(object *farpointv1.ExternalService) {
	s.t.Helper()
	s.object = object
	s.service.Namespace, s.service.Name = s.namespace, serviceName
	s.Expect(world.Client.Create(s.ctx, s.object)).To(Succeed())
	s.cleanup(s.withdraw)
	s.Eventually(s.verdicts).WithTimeout(15 * time.Second).Should(HaveEach(farpointv1.EndpointHealthy))
	s.Expect(world.Client.Get(s.ctx, client.ObjectKeyFromObject(s.service), s.service)).To(Succeed())
	for _, endpoint := range object.Spec.Endpoints {
		if endpoint.State != farpointv1.EndpointDraining && endpoint.Priority == 0 {
			s.Eventually(s.ready).WithArguments(endpoint.Address).WithTimeout(5*time.Second).Should(BeTrue(), "%s is to be published", endpoint.Address)
		}
	}
}

// verdicts returns the verdicts on the endpoints in the status.
func (s *scenario) verdicts() []farpointv1.EndpointHealth {
	object := &farpointv1.ExternalService{}
	s.Expect(world.Client.Get(s.ctx, client.ObjectKeyFromObject(s.object), object)).To(Succeed())
	verdicts := []farpointv1.EndpointHealth{farpointv1.EndpointHealthUnknown}
	if len(object.Status.Endpoints) == len(object.Spec.Endpoints) {
		verdicts = nil
	}
	for _, endpoint := range object.Status.Endpoints {
		verdicts = append(verdicts, endpoint.Health)
	}
	return verdicts
}
