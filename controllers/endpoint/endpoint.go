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
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// HasFamily reports whether a Service has an address family. Slices of DNS names are written
// only where somebody asks for them, whatever families the Service has.
func HasFamily(service *corev1.Service, family discoveryv1.AddressType) bool {
	return family == discoveryv1.AddressTypeFQDN || len(service.Spec.IPFamilies) == 0 || slices.Contains(service.Spec.IPFamilies, corev1.IPFamily(family))
}

// StateOf returns the state that the spec asks for, which is Active by default.
func StateOf(spec *farpointv1.Endpoint) farpointv1.EndpointState {
	if spec.State == "" {
		return farpointv1.EndpointActive
	}
	return spec.State
}

// MaxPerObject is the maximum number of endpoints of an object, as in the CRD for those in the
// spec.
const MaxPerObject = 1000

// AddressTypeOf returns the type of the slices that an endpoint is published in.
func AddressTypeOf(e *Endpoint) discoveryv1.AddressType {
	switch {
	case !e.Address.IsValid():
		return discoveryv1.AddressTypeFQDN
	case e.Address.Is4():
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}

// Endpoint is an endpoint of the spec that can be published, or one that has left the
// spec and is draining.
type Endpoint struct {
	// Index is its place in the expansion of the spec; beyond it for one that has left.
	Index int
	// Name is the text of its first key.
	Name string
	Spec *farpointv1.Endpoint
	// Address is not valid for a name that is published as such.
	Address netip.Addr
	// Text is the canonical form of address, or the name, which the slices have.
	Text  string
	Ports *PortSet
	// Resolved is where the address comes from; nil if the spec has it.
	Resolved *ResolvedFrom
	// Held endpoints have a health check that cannot be made as the spec has it, and are probed
	// by the last sound one: a mistake in an edit must not take a live endpoint out.
	Held bool
	// Unprobed endpoints are held and have no health check that can be made: they can be found
	// dead, but not healthy.
	Unprobed bool
	// StateUntil is when the state of Spec ends by itself; zero if it does not.
	StateUntil time.Time
	// DrainUntil is when an endpoint that has left the spec is removed; zero for all others.
	DrainUntil time.Time
}

// ResolvedFrom is how a DNS name led to an address.
type ResolvedFrom struct {
	// Address is the spec's, and Name the canonical name that probes use.
	Address, Name string
	// Target is Name if SRV records name it.
	Target string
}

// Rejection says why an endpoint of the spec is set aside.
type Rejection struct {
	Reason, Message string
}
