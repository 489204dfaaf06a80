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

package probes

import (
	"errors"
	"fmt"
	"net/netip"
)

// EgressPolicy decides which addresses Farpoint has to do with: where probes may
// connect and what may be published.
type EgressPolicy struct {
	// AllowLoopbackProbes lets probes reach the operator's own host. For demos.
	AllowLoopbackProbes bool
}

// ErrAddressRefused is what a dial returns, wrapped, to an address that probes may
// not connect to.
var ErrAddressRefused = errors.New("address refused")

// CheckProbe returns an error wrapping ErrAddressRefused if no probe may connect
// to the address.
func (p EgressPolicy) CheckProbe(addr netip.Addr) error {
	if p.AllowLoopbackProbes && addr.Unmap().IsLoopback() {
		return nil
	}
	if kind := refusedKind(addr); kind != "" {
		return fmt.Errorf("%w: %s is %s", ErrAddressRefused, addr, kind)
	}
	return nil
}

// CheckPublished returns an error if the address must not stand in an
// EndpointSlice. The API server refuses some of these itself, but then with the
// whole slice (ValidateNonSpecialIP in k8s.io/kubernetes pkg/apis/core/validation);
// others it lets through although no data plane can mean them.
func (p EgressPolicy) CheckPublished(addr netip.Addr) error {
	if addr.Is4In6() {
		return fmt.Errorf("%s is an IPv4 address mapped into IPv6: write %s", addr, addr.Unmap())
	}
	if kind := refusedKind(addr); kind != "" {
		return fmt.Errorf("%s is %s, which cannot be an endpoint", addr, kind)
	}
	return nil
}

// refusedKind names what makes an address none that a Service could front; empty
// if nothing does.
func refusedKind(addr netip.Addr) string {
	plain := addr.WithZone("").Unmap()
	switch {
	case !plain.IsValid():
		return "no address"
	case plain.IsUnspecified() || thisNetwork.Contains(plain):
		return "an unspecified address"
	case plain.IsLoopback():
		return "a loopback address"
	case plain.IsLinkLocalUnicast():
		return "a link-local address"
	case plain.IsMulticast():
		return "a multicast address"
	case plain == broadcast:
		return "the broadcast address"
	case metadata[plain]:
		return "a cloud metadata address"
	}
	return ""
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8") // RFC 1122, 3.2.1.3
	broadcast   = netip.MustParseAddr("255.255.255.255")
	// metadata lists the clouds' metadata services that are not link-local.
	metadata = map[netip.Addr]bool{
		netip.MustParseAddr("fd00:ec2::254"):   true, // AWS
		netip.MustParseAddr("100.100.100.200"): true, // Alibaba Cloud
		netip.MustParseAddr("168.63.129.16"):   true, // Azure
	}
)
