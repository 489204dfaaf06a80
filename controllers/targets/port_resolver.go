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

package targets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
)

// portResolver finds the ports of endpoints, each distinct set once.
type portResolver struct {
	// common are spec.ports.
	common []farpointv1.EndpointPort
	// service are the Service's.
	service []corev1.ServicePort

	byNumber map[int32]*endpoint.PortSet
	shared   *endpoint.PortSet
	// last is the list that was resolved last, to lastSet: neighbours tend to have the
	// same.
	last    []farpointv1.EndpointPort
	lastSet *endpoint.PortSet
}

// resolve finds an endpoint's ports: its own list, its own number for the only port
// there is, spec.ports, or the Service's target ports. The error tells the user what to
// write.
func (r *portResolver) resolve(spec *farpointv1.Endpoint) (*endpoint.PortSet, error) {
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
func (r *portResolver) listed(list []farpointv1.EndpointPort) (*endpoint.PortSet, error) {
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
		ports = append(ports, endpoint.NewPort(name, port.Protocol, port.Port, appProtocol))
	}
	r.last, r.lastSet = list, endpoint.NewPortSet(ports)
	return r.lastSet, nil
}

func samePort(a, b farpointv1.EndpointPort) bool {
	return a.Name == b.Name && a.Port == b.Port && a.Protocol == b.Protocol && ptr.Equal(a.AppProtocol, b.AppProtocol)
}

// numbered gives the only port there is the endpoint's number.
func (r *portResolver) numbered(number int32) (*endpoint.PortSet, error) {
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
		only = set.Ports[0]
	case len(r.common) > 1:
		return nil, fmt.Errorf("port is for a single port, but spec.ports has %d: set ports of this endpoint instead of port", len(r.common))
	case len(r.service) > 1:
		return nil, fmt.Errorf("port is for a single port, but the Service has %d (%s): set ports of this endpoint instead of port", len(r.service), portNames(r.service))
	case len(r.service) == 1:
		port := r.service[0]
		only = endpoint.NewPort(port.Name, port.Protocol, number, port.AppProtocol)
	default:
		only = endpoint.NewPort("", corev1.ProtocolTCP, number, nil)
	}
	only.Port = &number
	set := endpoint.NewPortSet([]discoveryv1.EndpointPort{only})
	if r.byNumber == nil {
		r.byNumber = map[int32]*endpoint.PortSet{}
	}
	r.byNumber[number] = set
	return set, nil
}

// targeted takes the Service's numeric target ports.
func (r *portResolver) targeted() (*endpoint.PortSet, error) {
	var ports []discoveryv1.EndpointPort
	for _, port := range r.service {
		if number, ok := targetNumber(port); ok {
			ports = append(ports, endpoint.NewPort(port.Name, port.Protocol, number, port.AppProtocol))
		}
	}
	if len(ports) == 0 {
		return nil, fmt.Errorf("neither the endpoint nor spec.ports has a port, and the Service has no numeric target port: set port or ports")
	}
	return endpoint.NewPortSet(ports), nil
}

func (r *portResolver) appProtocol(name string) *string {
	for _, port := range r.service {
		if port.Name == name {
			return port.AppProtocol
		}
	}
	return nil
}

// targetNumber returns the port that a Service's port leads to, if that is a number: a name could
// only be looked up in a Pod.
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

func portNames(ports []corev1.ServicePort) string {
	names := make([]string, len(ports))
	for i, port := range ports {
		names[i] = strconv.Quote(port.Name)
	}
	return strings.Join(names, ", ")
}
