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

package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// ErrAddressRefused is what a dial returns, wrapped, to an address that probes may
// not connect to.
var ErrAddressRefused = errors.New("address refused")

// Rules are what an EgressPolicy decides by, besides what it refuses anyway
// (refusedByDefault). The longest prefix that an address is in decides; of equal ones the
// administrator's.
type Rules struct {
	// Allowed and Denied are the administrator's word. No prefix may be in both.
	Allowed, Denied []netip.Prefix
	// Cluster are the ranges that belong to the cluster itself: what is in there is no
	// outside endpoint, and who may have it probed or published could reach other
	// people's Pods (CVE-2021-25740).
	Cluster []ClusterRange
	// AllowLoopbackProbes lets probes reach the operator's own host. For demos.
	AllowLoopbackProbes bool
}

// ClusterRange is a range of addresses that belongs to the cluster.
type ClusterRange struct {
	Prefix netip.Prefix
	// Kind names in words what the addresses are, as in "a Service of this cluster".
	Kind string
}

// Policy decides which addresses Farpoint has to do with: where probes may
// connect and what may be published. Its rules may be changed while it is in use.
type Policy struct {
	table atomic.Pointer[egressTable]
	// version counts the sets of rules.
	version atomic.Uint64
}

// NewPolicy returns a policy with these rules.
func NewPolicy(rules Rules) *Policy {
	p := &Policy{}
	p.Set(rules)
	return p
}

// Set changes the rules. What is connected stays so; every dial after it goes by the new
// ones.
func (p *Policy) Set(rules Rules) {
	p.table.Store(newEgressTable(rules))
	p.version.Add(1)
}

// Version is another one after each change of the rules: what has been decided by them may
// be decided otherwise now.
func (p *Policy) Version() uint64 { return p.version.Load() }

// CheckProbe returns an error wrapping ErrAddressRefused if no probe may connect
// to the address.
func (p *Policy) CheckProbe(addr netip.Addr) error {
	table := p.table.Load()
	if table.allowLoopbackProbes && addr.Unmap().IsLoopback() {
		return nil
	}
	if kind := table.refusal(addr); kind != "" {
		return fmt.Errorf("%w: %s is %s", ErrAddressRefused, addr, kind)
	}
	return nil
}

// CheckPublished returns an error if the address must not be in an EndpointSlice. The API
// server refuses some of these itself, but then with the whole slice (ValidateNonSpecialIP in
// k8s.io/kubernetes pkg/apis/core/validation), so that no rule allows them; others it lets
// through although no data plane can mean them.
func (p *Policy) CheckPublished(addr netip.Addr) error {
	if addr.Is4In6() {
		return fmt.Errorf("%s is an IPv4 address mapped into IPv6: write %s", addr, addr.Unmap())
	}
	if kind := noEndpoint(addr); kind != "" {
		return fmt.Errorf("%s is %s, which no Service can lead to: write the address at which nodes reach the endpoint", addr, kind)
	}
	if kind := p.table.Load().refusal(addr); kind != "" {
		return fmt.Errorf("%s is %s: write another address%s", addr, kind, OrHaveItAllowed)
	}
	return nil
}

// OrHaveItAllowed ends the message about an address that the administrator may allow.
const OrHaveItAllowed = ", or have the operator's administrator allow it (--allowed-cidrs)"

// noEndpoint names what makes an address none that a Service could ever front; empty if
// nothing does.
func noEndpoint(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return "no address"
	case addr.IsUnspecified():
		return "an unspecified address"
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsLinkLocalUnicast():
		return "a link-local address"
	case addr.IsMulticast():
		return "a multicast address"
	case addr == broadcast:
		return "the broadcast address"
	}
	return ""
}

var broadcast = netip.MustParseAddr("255.255.255.255")

// egressTable is a set of rules made ready to decide by. It is never changed.
type egressTable struct {
	// kinds say why an address is refused; "" if it is allowed.
	kinds               bart.Table[string]
	allowLoopbackProbes bool
}

func newEgressTable(rules Rules) *egressTable {
	t := &egressTable{allowLoopbackProbes: rules.AllowLoopbackProbes}
	for prefix, kind := range refusedByDefault {
		t.kinds.Insert(netip.MustParsePrefix(prefix), kind)
	}
	for _, own := range rules.Cluster {
		t.kinds.Insert(own.Prefix, own.Kind)
	}
	for _, prefix := range rules.Denied {
		t.kinds.Insert(prefix, "in a range that the operator's administrator denies")
	}
	for _, prefix := range rules.Allowed {
		t.kinds.Insert(prefix, "")
	}
	return t
}

// refusedByDefault are the addresses that are nobody's, the operator's own, or a cloud's
// services for the machine that asks.
var refusedByDefault = map[string]string{
	"0.0.0.0/8":          "an unspecified address", // RFC 1122, 3.2.1.3
	"::/128":             "an unspecified address",
	"127.0.0.0/8":        "a loopback address",
	"::1/128":            "a loopback address",
	"169.254.0.0/16":     "a link-local address",
	"fe80::/10":          "a link-local address",
	"224.0.0.0/4":        "a multicast address",
	"ff00::/8":           "a multicast address",
	"255.255.255.255/32": "the broadcast address",

	// Cloud metadata, also where the range around it is allowed.
	"169.254.169.254/32": metadataService,
	"169.254.170.2/32":   metadataService, // AWS, credentials of a task
	"169.254.170.23/32":  metadataService, // AWS, credentials of a Pod
	"fd00:ec2::/32":      metadataService, // AWS
	"fd20:ce::254/128":   metadataService, // Google Cloud
	"fd00:c1::/32":       metadataService, // Oracle Cloud
	"192.0.0.192/32":     metadataService, // Oracle Cloud, the first generation
	"100.100.100.200/32": metadataService, // Alibaba Cloud
	"168.63.129.16/32":   metadataService, // Azure
}

const metadataService = "a cloud metadata address"

// refusal names what makes an address one to keep away from; empty if nothing does.
func (t *egressTable) refusal(addr netip.Addr) string {
	addr = addr.WithZone("").Unmap()
	if !addr.IsValid() {
		return "no address"
	}
	if kind, _ := t.kinds.Lookup(addr); kind != "" {
		return kind
	}
	if addr.Is4() {
		return ""
	}
	for _, inner := range embeddedIPv4(addr) {
		if kind, _ := t.kinds.Lookup(inner); kind != "" {
			return fmt.Sprintf("a form of %s, %s", inner, kind)
		}
	}
	return ""
}

// embeddedIPv4 returns the IPv4 addresses that a gateway on the way may make of an IPv6
// address.
func embeddedIPv4(addr netip.Addr) []netip.Addr {
	b := addr.As16()
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	last := at(12, 13, 14, 15)
	switch {
	case ipv4Compatible.Contains(addr), ipv4Translated.Contains(addr), nat64.Contains(addr):
		return []netip.Addr{last}
	case nat64Local.Contains(addr):
		// RFC 6052, 2.2, for each length that the prefix may have in there: nobody says
		// which. What reads as 0.0.0.0/8 is the wrong one.
		forms := []netip.Addr{at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12), last}
		return slices.DeleteFunc(forms, func(inner netip.Addr) bool { return inner.As4()[0] == 0 })
	case sixToFour.Contains(addr):
		return []netip.Addr{at(2, 3, 4, 5)}
	case teredo.Contains(addr): // RFC 4380, 4: the server, and the client with its bits turned
		client := netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
		return []netip.Addr{at(4, 5, 6, 7), client}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214, 6.1
		return []netip.Addr{last}
	}
	return nil
}

var (
	ipv4Compatible = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	ipv4Translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, 2.1
	nat64          = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local     = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour      = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo         = netip.MustParsePrefix("2001::/32")       // RFC 4380
)
