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
	"net"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// Key identifies an endpoint by where its traffic goes. Consumers would take two endpoints with
// one key for the same, with two verdicts.
type Key struct {
	Host
	Protocol corev1.Protocol
	Port     int32
}

// Host is an address or, in slices of the type FQDN, a name.
type Host struct {
	Address netip.Addr
	name    string
}

// HostOf reads the address in a slice.
func HostOf(published string) Host {
	address, err := netip.ParseAddr(published)
	if err != nil {
		return Host{name: published}
	}
	return Host{Address: address}
}

// Key returns the key of a host at a port.
func (h Host) Key(port discoveryv1.EndpointPort) Key {
	return Key{Host: h, Protocol: ptr.Deref(port.Protocol, corev1.ProtocolTCP), Port: ptr.Deref(port.Port, 0)}
}

// Host returns the address of an endpoint, or its name if that is published instead of addresses.
func (e *Endpoint) Host() Host {
	if e.Address.IsValid() {
		return Host{Address: e.Address}
	}
	return Host{name: e.Text}
}

// Keys returns the keys of an endpoint, one for each of its ports.
func (e *Endpoint) Keys() []Key {
	keys := make([]Key, len(e.Ports.Ports))
	for i, port := range e.Ports.Ports {
		keys[i] = e.Host().Key(port)
	}
	return keys
}

// String is what the scheduler, the status, Events and alerts call an endpoint: the key of its
// first port, as in 192.0.2.1:80, [2001:db8::1]:53/UDP or db.example.com:5432.
func (k Key) String() string {
	host := k.name
	if k.Address.IsValid() {
		host = k.Address.String()
	}
	text := net.JoinHostPort(host, strconv.Itoa(int(k.Port)))
	if k.Protocol != corev1.ProtocolTCP {
		text += "/" + string(k.Protocol)
	}
	return text
}
