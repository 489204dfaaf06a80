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
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// portSet is a list of ports that endpoints have in common. Endpoints with the same
// set stand in the same slices.
type portSet struct {
	ports []discoveryv1.EndpointPort
	key   portsKey
}

// portsKey tells apart port sets that have to stand in slices of their own. The order
// of the ports does not count.
type portsKey string

// newPortSet makes sure that nothing is nil: consumers take a nil name and "" for two
// different things, and the API server fills in the rest anyway.
func newPortSet(ports []discoveryv1.EndpointPort) *portSet {
	return &portSet{ports: ports, key: portsKeyOf(ports)}
}

func portsKeyOf(ports []discoveryv1.EndpointPort) portsKey {
	words := make([]string, len(ports))
	for i := range ports {
		var text [64]byte
		word := strconv.AppendQuote(text[:0], ptr.Deref(ports[i].Name, ""))
		word = append(append(word, '/'), ptr.Deref(ports[i].Protocol, corev1.ProtocolTCP)...)
		word = strconv.AppendInt(append(word, '/'), int64(ptr.Deref(ports[i].Port, 0)), 10)
		words[i] = string(strconv.AppendQuote(append(word, '/'), ptr.Deref(ports[i].AppProtocol, "")))
	}
	slices.Sort(words)
	return portsKey(strings.Join(words, ","))
}

// first is the port that an endpoint is named after.
func (p *portSet) first() discoveryv1.EndpointPort { return p.ports[0] }

// firstOf is the number of the first port with this protocol, 0 if there is none.
func (p *portSet) firstOf(protocol corev1.Protocol) uint16 {
	for _, port := range p.ports {
		if *port.Protocol == protocol {
			return uint16(*port.Port)
		}
	}
	return 0
}

// portResolver finds the ports of endpoints, each distinct set once.
type portResolver struct {
	// common are spec.ports.
	common []farpointv1.EndpointPort
	// service are the Service's.
	service []corev1.ServicePort

	byNumber map[int32]*portSet
	shared   *portSet
	// last is the list that was resolved last, to lastSet: neighbours tend to have the
	// same.
	last    []farpointv1.EndpointPort
	lastSet *portSet
}

// resolve finds an endpoint's ports: its own list, its own number for the only port
// there is, spec.ports, or the Service's target ports. The error tells the user what to
// write.
func (r *portResolver) resolve(spec *farpointv1.Endpoint) (*portSet, error) {
	switch {
	case len(spec.Ports) > 0:
		return r.listed(spec.Ports)
	case spec.Port != nil:
		return r.numbered(*spec.Port)
	case r.shared != nil:
		return r.shared, nil
	}
	var err error
	if len(r.common) > 0 {
		r.shared, err = r.listed(r.common)
	} else {
		r.shared, err = r.targeted()
	}
	return r.shared, err
}

// listed takes ports as they are written. A single unnamed port is the Service's only
// port, whatever its name.
func (r *portResolver) listed(list []farpointv1.EndpointPort) (*portSet, error) {
	if r.lastSet != nil && slices.EqualFunc(list, r.last, samePort) {
		return r.lastSet, nil
	}
	ports := make([]discoveryv1.EndpointPort, 0, len(list))
	for i, port := range list {
		if err := checkPort(list[:i], &port); err != nil {
			return nil, err
		}
		name := port.Name
		if name == "" && len(list) == 1 && len(r.service) == 1 {
			name = r.service[0].Name
		}
		appProtocol := port.AppProtocol
		if appProtocol == nil {
			appProtocol = r.appProtocol(name)
		}
		ports = append(ports, endpointPort(name, port.Protocol, port.Port, appProtocol))
	}
	r.last, r.lastSet = list, newPortSet(ports)
	return r.lastSet, nil
}

func samePort(a, b farpointv1.EndpointPort) bool {
	return a.Name == b.Name && a.Port == b.Port && a.Protocol == b.Protocol && ptr.Equal(a.AppProtocol, b.AppProtocol)
}

// numbered puts an endpoint's number in the place of the only port there is.
func (r *portResolver) numbered(number int32) (*portSet, error) {
	if known, ok := r.byNumber[number]; ok {
		return known, nil
	}
	if err := checkPortNumber(number); err != nil {
		return nil, err
	}
	var only discoveryv1.EndpointPort
	switch {
	case len(r.common) == 1:
		set, err := r.listed(r.common)
		if err != nil {
			return nil, err
		}
		only = set.ports[0]
	case len(r.common) > 1:
		return nil, fmt.Errorf("port is for a single port, but spec.ports has %d: set ports of this endpoint instead of port", len(r.common))
	case len(r.service) > 1:
		return nil, fmt.Errorf("port is for a single port, but the Service has %d (%s): set ports of this endpoint instead of port", len(r.service), portNames(r.service))
	case len(r.service) == 1:
		port := r.service[0]
		only = endpointPort(port.Name, port.Protocol, number, port.AppProtocol)
	default:
		only = endpointPort("", corev1.ProtocolTCP, number, nil)
	}
	only.Port = &number
	made := newPortSet([]discoveryv1.EndpointPort{only})
	if r.byNumber == nil {
		r.byNumber = map[int32]*portSet{}
	}
	r.byNumber[number] = made
	return made, nil
}

// targeted takes the Service's numeric target ports.
func (r *portResolver) targeted() (*portSet, error) {
	var ports []discoveryv1.EndpointPort
	for _, port := range r.service {
		if number, ok := targetNumber(port); ok {
			ports = append(ports, endpointPort(port.Name, port.Protocol, number, port.AppProtocol))
		}
	}
	if len(ports) == 0 {
		return nil, fmt.Errorf("neither the endpoint nor spec.ports has a port, and the Service has no numeric target port: set port or ports")
	}
	return newPortSet(ports), nil
}

func (r *portResolver) appProtocol(name string) *string {
	for _, port := range r.service {
		if port.Name == name {
			return port.AppProtocol
		}
	}
	return nil
}

// targetNumber is the port that a Service's port leads to, if that is a number: a name
// could only be looked up in a Pod.
func targetNumber(port corev1.ServicePort) (int32, bool) {
	switch {
	case port.TargetPort.Type == intstr.String && port.TargetPort.StrVal != "":
		return 0, false
	case port.TargetPort.IntVal == 0:
		return port.Port, true
	default:
		return port.TargetPort.IntVal, true
	}
}

func endpointPort(name string, protocol corev1.Protocol, number int32, appProtocol *string) discoveryv1.EndpointPort {
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	return discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &number, AppProtocol: appProtocol}
}

// checkPort finds what the API server would refuse together with the whole slice and all
// other endpoints in it. The CRD's own rules say the same; this holds where the CRD is
// older than the operator.
func checkPort(before []farpointv1.EndpointPort, port *farpointv1.EndpointPort) error {
	if slices.ContainsFunc(before, func(other farpointv1.EndpointPort) bool { return other.Name == port.Name }) {
		return fmt.Errorf("two ports are named %q", port.Name)
	}
	if port.Name != "" {
		if faults := validation.IsDNS1123Label(port.Name); len(faults) > 0 {
			return fmt.Errorf("port name %q: %s", port.Name, faults[0])
		}
	}
	if port.AppProtocol != nil {
		if faults := validation.IsQualifiedName(*port.AppProtocol); len(faults) > 0 {
			return fmt.Errorf("appProtocol %q: %s", *port.AppProtocol, faults[0])
		}
	}
	switch port.Protocol {
	case "", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		return checkPortNumber(port.Port)
	}
	return fmt.Errorf("protocol %q is not TCP, UDP or SCTP", port.Protocol)
}

func checkPortNumber(number int32) error {
	if number < 1 || number > 65535 {
		return fmt.Errorf("port %d is not from 1 to 65535", number)
	}
	return nil
}

// portMismatch compares what is published with what the Service has; "" if they match.
// kube-proxy matches ports by name and protocol. A port of the Service may also lead to
// Pods, or to what other ExternalServices publish.
func portMismatch(endpoints []endpoint, around neighbours) (reason, message string) {
	if len(around.service.Spec.Ports) == 0 {
		return "", "" // a headless Service without ports takes any
	}
	has, served := map[string]corev1.ServicePort{}, map[string]bool{}
	for _, port := range around.service.Spec.Ports {
		has[portLabel(port.Name, port.Protocol)] = port
	}
	for i := range endpoints {
		if i > 0 && endpoints[i].ports == endpoints[i-1].ports {
			continue
		}
		for _, port := range endpoints[i].ports.ports {
			served[portLabel(*port.Name, *port.Protocol)] = true
		}
	}
	for _, label := range slices.Sorted(maps.Keys(served)) {
		if _, ok := has[label]; !ok {
			return farpointv1.PortNotInServiceReason, fmt.Sprintf("the Service has no port %s, only %s: endpoints are not reached by it; use the Service's name and protocol in ports", label, strings.Join(slices.Sorted(maps.Keys(has)), ", "))
		}
	}
	if len(endpoints) == 0 || hasSelector(around.service) {
		return "", ""
	}
	for _, slice := range around.rivals {
		for _, port := range slice.Ports {
			served[portLabel(ptr.Deref(port.Name, ""), ptr.Deref(port.Protocol, ""))] = true
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

// portLabel is how messages name a port.
func portLabel(name string, protocol corev1.Protocol) string {
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	return strconv.Quote(name) + "/" + string(protocol)
}

func portNames(ports []corev1.ServicePort) string {
	names := make([]string, len(ports))
	for i, port := range ports {
		names[i] = strconv.Quote(port.Name)
	}
	return strings.Join(names, ", ")
}
