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
	"net"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// place is where traffic goes. Two endpoints at one place would be one to consumers,
// with two verdicts.
type place struct {
	host
	protocol corev1.Protocol
	port     int32
}

// host is an address or, in slices of the type FQDN, a name.
type host struct {
	address netip.Addr
	name    string
}

// publishedHost reads what stands in a slice.
func publishedHost(published string) host {
	address, err := netip.ParseAddr(published)
	if err != nil {
		return host{name: published}
	}
	return host{address: address}
}

func (h host) place(port discoveryv1.EndpointPort) place {
	return place{host: h, protocol: ptr.Deref(port.Protocol, corev1.ProtocolTCP), port: ptr.Deref(port.Port, 0)}
}

// host of an endpoint is its name if that is published in the place of addresses.
func (e *endpoint) host() host {
	if e.address.IsValid() {
		return host{address: e.address}
	}
	return host{name: e.text}
}

func (e *endpoint) places() []place {
	places := make([]place, len(e.ports.ports))
	for i, port := range e.ports.ports {
		places[i] = e.host().place(port)
	}
	return places
}

// endpointName is what an endpoint is called by one of its ports, mostly the first.
func endpointName(address string, port discoveryv1.EndpointPort) string {
	name := net.JoinHostPort(address, strconv.Itoa(int(ptr.Deref(port.Port, 0))))
	if protocol := ptr.Deref(port.Protocol, corev1.ProtocolTCP); protocol != corev1.ProtocolTCP {
		name += "/" + string(protocol)
	}
	return name
}
