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
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/phrase"
)

// FamilyMismatch compares the address families of endpoints with those of the Service; "" if they
// match. A headless Service with a second family that no endpoint has needs no fix: the API
// server gives it both, and it has no addresses that lead nowhere.
func FamilyMismatch(endpoints []endpoint.Endpoint, around Neighbours) (reason, message string) {
	service := around.Service
	if len(endpoints) == 0 || len(service.Spec.IPFamilies) == 0 {
		return "", ""
	}
	var lacking phrase.Sample
	has := map[discoveryv1.AddressType]bool{}
	for i := range endpoints {
		family := endpoint.AddressTypeOf(&endpoints[i])
		has[family] = true
		if !endpoint.HasFamily(service, family) {
			lacking.Add(endpoints[i].Name)
		}
	}
	families := make([]string, len(service.Spec.IPFamilies))
	for i, family := range service.Spec.IPFamilies {
		families[i] = string(family)
	}
	if lacking.Count > 0 {
		return farpointv1.AddressFamilyNotInServiceReason, fmt.Sprintf("%s of an address family that the Service lacks, which has only %s: clients do not reach them; give the Service both families (ipFamilyPolicy, ipFamilies), or remove the endpoints",
			lacking.With("is", "are"), strings.Join(families, " and "))
	}
	for _, slice := range around.Rivals {
		has[slice.AddressType] = true
	}
	if service.Spec.ClusterIP == corev1.ClusterIPNone || len(service.Spec.Selector) > 0 || has[discoveryv1.AddressTypeFQDN] {
		return "", ""
	}
	for _, family := range families {
		if !has[discoveryv1.AddressType(family)] {
			return farpointv1.AddressFamilyWithoutEndpointsReason, fmt.Sprintf("no endpoint has an %s address, but the Service has one, which leads nowhere: add %s endpoints, or make the Service SingleStack", family, family)
		}
	}
	return "", ""
}

// PortMismatch compares what is published with what the Service has; "" if they match.
// kube-proxy matches ports by name and protocol. A port of the Service may also lead to
// Pods, or to what other ExternalServices publish.
func PortMismatch(endpoints []endpoint.Endpoint, around Neighbours) (reason, message string) {
	if len(around.Service.Spec.Ports) == 0 {
		return "", "" // a headless Service without ports takes any
	}
	has, served := map[string]corev1.ServicePort{}, map[string]bool{}
	for _, port := range around.Service.Spec.Ports {
		has[endpoint.PortLabel(port.Name, port.Protocol)] = port
	}
	for i := range endpoints {
		if i > 0 && endpoints[i].Ports == endpoints[i-1].Ports {
			continue
		}
		for _, port := range endpoints[i].Ports.Ports {
			served[endpoint.PortLabel(*port.Name, *port.Protocol)] = true
		}
	}
	for _, label := range slices.Sorted(maps.Keys(served)) {
		if _, ok := has[label]; !ok {
			return farpointv1.PortNotInServiceReason, fmt.Sprintf("the Service has no port %s, only %s, so clients cannot reach it: use the Service's name and protocol in ports", label, strings.Join(slices.Sorted(maps.Keys(has)), ", "))
		}
	}
	if len(endpoints) == 0 || len(around.Service.Spec.Selector) > 0 {
		return "", ""
	}
	for _, slice := range around.Rivals {
		for _, port := range slice.Ports {
			served[endpoint.PortLabel(ptr.Deref(port.Name, ""), ptr.Deref(port.Protocol, ""))] = true
		}
	}
	for _, label := range slices.Sorted(maps.Keys(has)) {
		if served[label] {
			continue
		}
		hint := ""
		if port := has[label]; port.TargetPort.Type == intstr.String {
			hint = fmt.Sprintf(" (its targetPort %q is a name, which only Pods can resolve)", port.TargetPort.StrVal)
		}
		return farpointv1.PortWithoutEndpointsReason, fmt.Sprintf("no endpoint has the Service's port %s%s, so it leads nowhere: add it to ports", label, hint)
	}
	return "", ""
}
