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

package sliceplan

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"farpoint.dev/farpoint/controllers/endpoint"
)

const (
	// EndpointsCapacity is the maximum number of addresses in an Endpoints object, as in
	// Kubernetes' own controller (pkg/controller/endpoint/endpoints_controller.go).
	EndpointsCapacity = 1000
	// EndpointsTruncated is the value of the annotation that says that there are more.
	EndpointsTruncated = "truncated"
)

// EndpointsContent is what an Endpoints object says.
type EndpointsContent struct {
	Subsets []corev1.EndpointSubset
	// Total counts the addresses that there would be without a limit.
	Total int
	// OtherFamily counts those that are not of the Service's first IP family.
	OtherFamily int
}

// NewEndpointsContent makes the content of a Service's Endpoints from its slices as
// Kubernetes' own controller makes it from Pods: what is ready is an address, what is not
// is one that is not ready, and what is terminating is left out. An Endpoints object has
// one IP family. Equal slices make equal contents.
func NewEndpointsContent(service *corev1.Service, from []*discoveryv1.EndpointSlice) EndpointsContent {
	var content EndpointsContent
	byPorts := map[endpoint.PortsKey]*corev1.EndpointSubset{}
	for _, slice := range from {
		if !inFirstFamily(service, slice.AddressType) {
			content.OtherFamily += len(slice.Endpoints)
			continue
		}
		key := endpoint.PortsKeyOf(slice.Ports)
		subset, ok := byPorts[key]
		if !ok {
			subset = &corev1.EndpointSubset{Ports: subsetPorts(slice.Ports)}
			byPorts[key] = subset
		}
		for i := range slice.Endpoints {
			addTo(subset, &slice.Endpoints[i])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byPorts)) {
		subset := byPorts[key]
		slices.SortFunc(subset.Addresses, byIP)
		slices.SortFunc(subset.NotReadyAddresses, byIP)
		content.Subsets = append(content.Subsets, *subset)
		content.Total += len(subset.Addresses) + len(subset.NotReadyAddresses)
	}
	if content.Total > EndpointsCapacity {
		truncate(content.Subsets)
	}
	content.Subsets = slices.DeleteFunc(content.Subsets, func(subset corev1.EndpointSubset) bool {
		return len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 // which the API server refuses
	})
	return content
}

// Truncated reports whether addresses are left out, since there are too many.
func (c *EndpointsContent) Truncated() bool { return c.Total > EndpointsCapacity }

func inFirstFamily(service *corev1.Service, addresses discoveryv1.AddressType) bool {
	if addresses == discoveryv1.AddressTypeFQDN {
		return false
	}
	return len(service.Spec.IPFamilies) == 0 || string(service.Spec.IPFamilies[0]) == string(addresses)
}

func addTo(subset *corev1.EndpointSubset, published *discoveryv1.Endpoint) {
	address := corev1.EndpointAddress{IP: published.Addresses[0], Hostname: ptr.Deref(published.Hostname, "")}
	if published.NodeName != nil {
		address.NodeName = ptr.To(*published.NodeName)
	}
	switch {
	case ptr.Deref(published.Conditions.Ready, true):
		subset.Addresses = append(subset.Addresses, address)
	case !ptr.Deref(published.Conditions.Terminating, false):
		subset.NotReadyAddresses = append(subset.NotReadyAddresses, address)
	}
}

func subsetPorts(ports []discoveryv1.EndpointPort) []corev1.EndpointPort {
	result := make([]corev1.EndpointPort, len(ports))
	for i, port := range ports {
		result[i] = corev1.EndpointPort{Name: ptr.Deref(port.Name, ""), Port: ptr.Deref(port.Port, 0), Protocol: ptr.Deref(port.Protocol, corev1.ProtocolTCP)}
		if port.AppProtocol != nil {
			result[i].AppProtocol = ptr.To(*port.AppProtocol)
		}
	}
	slices.SortFunc(result, func(a, b corev1.EndpointPort) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Protocol), string(b.Protocol)), cmp.Compare(a.Port, b.Port))
	})
	return result
}

func byIP(a, b corev1.EndpointAddress) int {
	first, errFirst := netip.ParseAddr(a.IP)
	second, errSecond := netip.ParseAddr(b.IP)
	if errFirst != nil || errSecond != nil {
		return strings.Compare(a.IP, b.IP)
	}
	return first.Compare(second)
}

// truncate cuts the subsets down to the capacity: addresses that are not ready first, and
// from each subset in proportion to its size (truncateEndpoints, there).
func truncate(subsets []corev1.EndpointSubset) {
	ready, notReady := 0, 0
	for i := range subsets {
		ready += len(subsets[i].Addresses)
		notReady += len(subsets[i].NotReadyAddresses)
	}
	room, total := EndpointsCapacity-ready, notReady
	if ready > EndpointsCapacity {
		room, total = EndpointsCapacity, ready
	}
	left := room
	for i := range subsets {
		cut := &subsets[i].NotReadyAddresses
		if ready > EndpointsCapacity {
			subsets[i].NotReadyAddresses = nil
			cut = &subsets[i].Addresses
		}
		// Rounded up, so that the last subset may have to do with less.
		share := int(math.Ceil(float64(len(*cut)) / float64(total) * float64(room)))
		*cut = (*cut)[:min(share, left, len(*cut))]
		left -= len(*cut)
	}
}
