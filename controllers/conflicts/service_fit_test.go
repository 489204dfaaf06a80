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

package conflicts

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestPortMismatch(t *testing.T) {
	serving := func(ports []corev1.ServicePort) Neighbours {
		service := fixtures.Service()
		service.Spec.Ports = ports
		return Neighbours{Service: service}
	}
	endpoints := fixtures.Planned(t, farpointv1.ExternalServiceSpec{
		Endpoints: []farpointv1.Endpoint{{Address: "192.0.2.1", Ports: []farpointv1.EndpointPort{{Name: "htpp", Port: 80}}}},
	}, fixtures.OnePort).Accepted
	if reason, message := PortMismatch(endpoints, serving(fixtures.OnePort)); reason != farpointv1.PortNotInServiceReason || !strings.Contains(message, `no port "htpp"/TCP, only "http"/TCP`) {
		t.Errorf("%s: %s", reason, message)
	}
	udp := []corev1.ServicePort{{Name: "htpp", Port: 80, Protocol: corev1.ProtocolUDP}}
	if reason, _ := PortMismatch(endpoints, serving(udp)); reason != farpointv1.PortNotInServiceReason {
		t.Errorf("%q for a port of another protocol", reason)
	}
	own := func(name string, protocol corev1.Protocol) farpointv1.Endpoint {
		return farpointv1.Endpoint{Address: "192.0.2.1", HealthCheckURL: "tcp://:80", Ports: []farpointv1.EndpointPort{{Name: name, Port: 80, Protocol: protocol}}}
	}
	endpoints = fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{own("htpp", corev1.ProtocolUDP)}}, udp).Accepted
	if reason, message := PortMismatch(endpoints, serving(udp)); reason != "" {
		t.Errorf("%s: %s, although name and protocol match", reason, message)
	}
	endpoints = fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{own("http", corev1.ProtocolTCP), own("https", corev1.ProtocolUDP)}}, fixtures.OnePort).Accepted
	if reason, message := PortMismatch(endpoints, serving(fixtures.OnePort)); reason != farpointv1.PortNotInServiceReason || !strings.Contains(message, `no port "https"/UDP`) {
		t.Errorf("%s: %s, for a port of the second endpoint", reason, message)
	}
	endpoints = fixtures.Planned(t, farpointv1.ExternalServiceSpec{Ports: []farpointv1.EndpointPort{{Name: "http", Port: 80}}, Endpoints: []farpointv1.Endpoint{{Address: "192.0.2.1"}}}, fixtures.TwoPorts).Accepted
	if reason, message := PortMismatch(endpoints, serving(fixtures.TwoPorts)); reason != farpointv1.PortWithoutEndpointsReason || !strings.Contains(message, `"admin"/TCP (its targetPort "admin" is a name`) {
		t.Errorf("%s: %s, for a Service's port without endpoints", reason, message)
	}
	if reason, _ := PortMismatch(endpoints, serving(fixtures.OnePort)); reason != "" {
		t.Errorf("%q although all ports match", reason)
	}
	if reason, _ := PortMismatch(endpoints, serving(nil)); reason != "" {
		t.Errorf("%q for a headless Service without ports", reason)
	}
	elsewhere := fixtures.RivalSlice("other", "192.0.2.9")
	elsewhere.Ports = []discoveryv1.EndpointPort{endpoint.NewPort("admin", corev1.ProtocolTCP, 9090, nil)}
	around := serving(fixtures.TwoPorts)
	around.Rivals = []*discoveryv1.EndpointSlice{elsewhere}
	if reason, message := PortMismatch(endpoints, around); reason != "" {
		t.Errorf("%s: %s, although another ExternalService has it", reason, message)
	}
}

// A headless Service has both families in every cluster, and no cluster IP that leads
// nowhere.
func TestFamilyMismatch_HeadlessService_NeedNotHaveEndpointsOfBoth(t *testing.T) {
	service := fixtures.Service()
	service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	endpoints := []endpoint.Endpoint{*fixtures.Healthy("192.0.2.1", fixtures.HTTPPort(80)).Endpoint}
	if reason, _ := FamilyMismatch(endpoints, Neighbours{Service: service}); reason != farpointv1.AddressFamilyWithoutEndpointsReason {
		t.Errorf("with a cluster IP: %q", reason)
	}
	rival := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv6}
	if reason, _ := FamilyMismatch(endpoints, Neighbours{Service: service, Rivals: []*discoveryv1.EndpointSlice{rival}}); reason != "" {
		t.Errorf("with IPv6 endpoints of another ExternalService: %q", reason)
	}
	service.Spec.ClusterIP = corev1.ClusterIPNone
	if reason, _ := FamilyMismatch(endpoints, Neighbours{Service: service}); reason != "" {
		t.Errorf("headless: %q", reason)
	}
}
