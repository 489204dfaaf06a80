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
	"strings"

	"github.com/gaissmai/bart"
)

// ErrOutOfBounds is what Bounds return, wrapped, for what they do not let a tenant do.
var ErrOutOfBounds = errors.New("not allowed")

// TenantRules say where a tenant's endpoints may be and his probes may go. A list of what
// is allowed lets in nothing else; an empty one lets in everything.
type TenantRules struct {
	// Source says whose rules these are, for messages, as in "ExternalServicePolicy shop".
	Source string
	// Of the ranges that an address is in the longest decides, and of equal ones Denied. An
	// address that stands for an IPv4 address must not lead to a denied one.
	AllowedCIDRs, DeniedCIDRs []netip.Prefix
	// DNS names, which stand for themselves and all names below them. The longest decides.
	AllowedSuffixes, DeniedSuffixes []string
	// What is denied is so although it is allowed as well.
	AllowedPorts, DeniedPorts []PortRange
	// Schemes of probe URLs, in small letters.
	AllowedSchemes, DeniedSchemes []string
}

// PortRange holds the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

func (r PortRange) contains(port uint16) bool { return r.First <= port && port <= r.Last }

// Bounds are the rules that hold for a tenant: each of them must allow what he does. They
// narrow what an EgressPolicy lets everybody do, and are never changed. nil are none.
type Bounds struct {
	rules []bound
}

// bound are TenantRules made ready to decide by.
type bound struct {
	TenantRules
	addresses bart.Table[bool]
	suffixes  map[string]bool
}

// NewBounds returns bounds that keep to all of the rules.
func NewBounds(rules ...TenantRules) *Bounds {
	b := &Bounds{rules: make([]bound, len(rules))}
	for i := range rules {
		b.rules[i].set(rules[i])
	}
	return b
}

func (b *bound) set(rules TenantRules) {
	b.TenantRules = rules
	allowed := rules.AllowedCIDRs
	if len(allowed) == 0 {
		allowed = []netip.Prefix{allIPv4, allIPv6}
	}
	for _, prefix := range allowed {
		b.addresses.Insert(prefix, true)
	}
	for _, prefix := range rules.DeniedCIDRs {
		b.addresses.Insert(prefix, false)
	}
	b.suffixes = make(map[string]bool, len(rules.AllowedSuffixes)+len(rules.DeniedSuffixes))
	for _, suffix := range rules.AllowedSuffixes {
		b.suffixes[PlainName(suffix)] = true
	}
	for _, suffix := range rules.DeniedSuffixes {
		b.suffixes[PlainName(suffix)] = false
	}
}

var (
	allIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	allIPv6 = netip.MustParsePrefix("::/0")
)

// CheckAddress returns an error if no endpoint may have the address and no probe go there.
func (b *Bounds) CheckAddress(addr netip.Addr) error {
	return b.check(func(rule *bound) bool { return rule.allowsAddress(addr) }, "the address", addr)
}

// CheckName returns an error if no endpoint may have the DNS name and no probe go there.
// What it resolves to has to be allowed as well.
func (b *Bounds) CheckName(name string) error {
	return b.check(func(rule *bound) bool { return rule.allowsName(name) }, "the name", name)
}

// CheckPort returns an error if no endpoint may have the port and no probe go there.
func (b *Bounds) CheckPort(port uint16) error {
	return b.check(func(rule *bound) bool { return rule.allowsPort(port) }, "port", port)
}

// CheckScheme returns an error if no probe may have the scheme.
func (b *Bounds) CheckScheme(scheme string) error {
	return b.check(func(rule *bound) bool { return rule.allowsScheme(scheme) }, "the scheme", scheme)
}

// check names the first rules that do not allow something.
func (b *Bounds) check(allows func(*bound) bool, what string, value any) error {
	if b == nil {
		return nil
	}
	for i := range b.rules {
		if !allows(&b.rules[i]) {
			return fmt.Errorf("%s %v is %w by %s", what, value, ErrOutOfBounds, b.rules[i].Source)
		}
	}
	return nil
}

func (b *bound) allowsAddress(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	if allowed, _ := b.addresses.Lookup(addr); !allowed {
		return false
	}
	return addr.Is4() || !slices.ContainsFunc(embeddedIPv4(addr), func(inner netip.Addr) bool {
		allowed, known := b.addresses.Lookup(inner)
		return known && !allowed
	})
}

func (b *bound) allowsName(name string) bool {
	for name = PlainName(name); ; {
		if allowed, known := b.suffixes[name]; known {
			return allowed
		}
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return len(b.AllowedSuffixes) == 0
		}
		name = parent
	}
}

// PlainName is a name as it is compared with others.
func PlainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (b *bound) allowsPort(port uint16) bool {
	holds := func(r PortRange) bool { return r.contains(port) }
	return !slices.ContainsFunc(b.DeniedPorts, holds) &&
		(len(b.AllowedPorts) == 0 || slices.ContainsFunc(b.AllowedPorts, holds))
}

func (b *bound) allowsScheme(scheme string) bool {
	return !slices.Contains(b.DeniedSchemes, scheme) &&
		(len(b.AllowedSchemes) == 0 || slices.Contains(b.AllowedSchemes, scheme))
}
