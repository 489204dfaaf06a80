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

package endpoint

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// PortSet is a list of ports that endpoints have in common. Endpoints with the same set are in
// the same slices.
type PortSet struct {
	Ports []discoveryv1.EndpointPort
	Key   PortsKey
}

// PortsKey identifies port sets that need separate slices. The order of the ports does not
// count.
type PortsKey string

// NewPortSet returns the set of these ports, whose names must not be nil: consumers treat a nil
// name and "" as two different things, and the API server fills in the rest anyway.
func NewPortSet(ports []discoveryv1.EndpointPort) *PortSet {
	return &PortSet{Ports: ports, Key: PortsKeyOf(ports)}
}

// PortsKeyOf returns the key of ports, in whatever order.
func PortsKeyOf(ports []discoveryv1.EndpointPort) PortsKey {
	words := make([]string, len(ports))
	for i := range ports {
		var text [64]byte
		word := strconv.AppendQuote(text[:0], ptr.Deref(ports[i].Name, ""))
		word = append(append(word, '/'), ptr.Deref(ports[i].Protocol, corev1.ProtocolTCP)...)
		word = strconv.AppendInt(append(word, '/'), int64(ptr.Deref(ports[i].Port, 0)), 10)
		words[i] = string(strconv.AppendQuote(append(word, '/'), ptr.Deref(ports[i].AppProtocol, "")))
	}
	slices.Sort(words)
	return PortsKey(strings.Join(words, ","))
}

// First is the port that an endpoint is named after.
func (p *PortSet) First() discoveryv1.EndpointPort { return p.Ports[0] }

// FirstOf is the number of the first port with this protocol, 0 if there is none.
func (p *PortSet) FirstOf(protocol corev1.Protocol) uint16 {
	for _, port := range p.Ports {
		if *port.Protocol == protocol {
			return uint16(*port.Port)
		}
	}
	return 0
}

// NewPort returns a port without nil fields, except for the protocol of the application.
func NewPort(name string, protocol corev1.Protocol, number int32, appProtocol *string) discoveryv1.EndpointPort {
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	return discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &number, AppProtocol: appProtocol}
}

// PortLabel is how messages name a port.
func PortLabel(name string, protocol corev1.Protocol) string {
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	return strconv.Quote(name) + "/" + string(protocol)
}
