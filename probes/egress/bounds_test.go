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
	"strings"
	"testing"
)

// Two tenants' rules, and what they do not allow.
var (
	shopRules = TenantRules{
		Source:          "policy shop",
		AllowedCIDRs:    prefixes("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32", "64:ff9b::/96"),
		DeniedCIDRs:     prefixes("192.0.2.128/25", "2001:db8:dead::/48", "203.0.113.0/24", "198.51.100.0/24"),
		AllowedSuffixes: []string{"example.com", "partner.example"},
		DeniedSuffixes:  []string{"internal.example.com"},
		AllowedPorts:    []PortRange{{443, 443}, {8000, 8999}},
		DeniedPorts:     []PortRange{{8080, 8081}},
		AllowedSchemes:  []string{"https", "tcp"},
		DeniedSchemes:   []string{"tcp"},
	}
	allRules = TenantRules{Source: "policy all", DeniedCIDRs: prefixes("192.0.2.7/32"), DeniedPorts: []PortRange{{1, 1023}}, DeniedSuffixes: []string{"com"}, DeniedSchemes: []string{"icmp"}}

	boundsCases = []struct {
		what string
		// shop is who does not allow it by shopRules, and both by these and allRules.
		shop, both string
	}{
		{"address 192.0.2.1", "", ""},
		{"address 192.0.2.7", "", "policy all"},
		{"address 192.0.2.127", "", ""},
		{"address 192.0.2.128", "policy shop", "policy shop"},
		{"address ::ffff:192.0.2.128", "policy shop", "policy shop"},
		{"address 198.51.100.1", "policy shop", "policy shop"}, // in both lists
		{"address 203.0.113.1", "policy shop", "policy shop"},
		{"address 10.0.0.1", "policy shop", "policy shop"},
		{"address 2001:db8::1", "", ""},
		{"address 2001:db8::1%eth0", "", ""},
		{"address 2001:db8:dead::1", "policy shop", "policy shop"},
		{"address 64:ff9b::192.0.2.1", "", ""},
		{"address 64:ff9b::192.0.2.7", "", "policy all"},
		{"address 64:ff9b::192.0.2.200", "policy shop", "policy shop"},
		{"address 64:ff9b::10.0.0.1", "", ""}, // the gateway is allowed, and this is not denied
		{"address fd00::1", "policy shop", "policy shop"},
		{"name partner.example", "", ""},
		{"name api.Partner.Example.", "", ""},
		{"name notpartner.example", "policy shop", "policy shop"},
		{"name example", "policy shop", "policy shop"},
		{"name example.com", "", "policy all"},
		{"name a.b.example.com", "", "policy all"},
		{"name internal.example.com", "policy shop", "policy shop"},
		{"name db.internal.example.com", "policy shop", "policy shop"},
		{"name notinternal.example.com", "", "policy all"},
		{"port 443", "", "policy all"},
		{"port 442", "policy shop", "policy shop"},
		{"port 8000", "", ""},
		{"port 8080", "policy shop", "policy shop"},
		{"port 8081", "policy shop", "policy shop"},
		{"port 8999", "", ""},
		{"port 9000", "policy shop", "policy shop"},
		{"scheme https", "", ""},
		{"scheme tcp", "policy shop", "policy shop"},
		{"scheme http", "policy shop", "policy shop"},
		{"scheme icmp", "policy shop", "policy shop"},
	}
)

// boundsError is the error of bounds for an address, a name, a scheme or a port, as in "port 80".
func boundsError(t *testing.T, bounds *Bounds, what string) error {
	t.Helper()
	kind, value, _ := strings.Cut(what, " ")
	switch kind {
	case "address":
		return bounds.CheckAddress(netip.MustParseAddr(value))
	case "name":
		return bounds.CheckName(value)
	case "scheme":
		return bounds.CheckScheme(value)
	}
	var port uint16
	if _, err := fmt.Sscan(value, &port); err != nil {
		t.Fatal(err)
	}
	return bounds.CheckPort(port)
}

func TestBounds(t *testing.T) {
	for _, test := range boundsCases {
		for _, judged := range []struct {
			bounds *Bounds
			who    string
		}{{NewBounds(shopRules), test.shop}, {NewBounds(shopRules, allRules), test.both}} {
			err := boundsError(t, judged.bounds, test.what)
			if (err == nil) != (judged.who == "") || err != nil && (!errors.Is(err, ErrOutOfBounds) || !strings.HasSuffix(err.Error(), "not allowed by "+judged.who)) {
				t.Errorf("%s: %v, want it refused by %q", test.what, err, judged.who)
			}
		}
		for _, unbound := range []*Bounds{nil, NewBounds(), NewBounds(TenantRules{})} {
			if err := boundsError(t, unbound, test.what); err != nil {
				t.Errorf("%s without any rules: %v", test.what, err)
			}
		}
	}
}

// Rules that are added never let anybody do more.
func FuzzBoundsOnlyNarrow(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, []byte{192, 0, 2, 0}, uint8(24), []byte{192, 0, 2, 1}, uint8(32), uint16(80), uint16(443))
	f.Add([]byte{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{10, 0, 0, 0}, uint8(8), []byte{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(8), uint16(1), uint16(2))
	f.Fuzz(func(t *testing.T, at, allowed []byte, allowedBits uint8, denied []byte, deniedBits uint8, port, other uint16) {
		addr, ok := netip.AddrFromSlice(at)
		if !ok {
			return
		}
		var rules TenantRules
		add := func(list *[]netip.Prefix, bytes []byte, bits uint8) {
			if from, ok := netip.AddrFromSlice(bytes); ok {
				if prefix, err := from.Unmap().Prefix(int(bits)); err == nil {
					*list = append(*list, prefix)
				}
			}
		}
		add(&rules.AllowedCIDRs, allowed, allowedBits)
		add(&rules.DeniedCIDRs, denied, deniedBits)
		rules.DeniedPorts = []PortRange{{min(port, other), max(port, other)}}
		one, both := NewBounds(rules), NewBounds(TenantRules{DeniedCIDRs: rules.DeniedCIDRs}, rules)
		if one.CheckAddress(addr) != nil && both.CheckAddress(addr) == nil {
			t.Errorf("%s is allowed by two rules, and not by one of them", addr)
		}
		// The same by going through the lists.
		longest := func(list []netip.Prefix) int {
			most := -1
			for _, prefix := range list {
				if prefix.Contains(addr.Unmap()) {
					most = max(most, prefix.Bits())
				}
			}
			return most
		}
		want := longest(rules.AllowedCIDRs)
		if len(rules.AllowedCIDRs) == 0 {
			want = 0
		}
		if got := one.CheckAddress(addr) == nil; got && want <= longest(rules.DeniedCIDRs) || !got && want > longest(rules.DeniedCIDRs) && len(embeddedIPv4(addr)) == 0 {
			t.Errorf("%s allowed: %v by %+v", addr, got, rules)
		}
		if one.CheckPort(port) == nil || one.CheckPort(other) == nil {
			t.Errorf("port %d or %d is allowed by %+v", port, other, rules)
		}
	})
}
