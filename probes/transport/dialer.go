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

package transport

import (
	"net/netip"

	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/resolver"
)

// Dialer opens the connections of all probers. It checks every address it is
// about to connect to, after name resolution, so that a name that resolves
// differently the second time gains nothing.
type Dialer struct {
	policy *egress.Policy
	// Bounds are those of the tenant whose probes these are; nil are none.
	Bounds *egress.Bounds
	// Check returns an error if no probe may connect to an address and port; 0 for protocols
	// without ports.
	Check func(netip.AddrPort) error
	// names resolves the names in probe URLs.
	names *resolver.Cache
	Roots *rootPools
}

// NewDialer returns a dialer that connects only where the policy lets it.
func NewDialer(policy *egress.Policy) *Dialer {
	d := &Dialer{
		policy: policy,
		names:  resolver.NewCache(nil),
		Roots:  &rootPools{},
	}
	d.guard()
	return d
}

// Within returns a dialer that also keeps within the bounds; nil for none. It shares the cached
// names and CA pools.
func (d *Dialer) Within(bounds *egress.Bounds) *Dialer {
	within := *d
	within.Bounds = bounds
	within.guard()
	return &within
}

// guard has every connection checked.
func (d *Dialer) guard() {
	d.Check = func(to netip.AddrPort) error {
		err := d.policy.CheckProbe(to.Addr())
		if err == nil {
			err = d.checkBounds(to)
		}
		return err
	}
}

func (d *Dialer) checkBounds(to netip.AddrPort) error {
	if err := d.Bounds.CheckAddress(to.Addr()); err != nil || to.Port() == 0 {
		return err
	}
	return d.Bounds.CheckPort(to.Port())
}

// Admit returns an error if no probe may connect to the destination. The addresses of a name are
// checked when a probe connects.
func (d *Dialer) Admit(to Destination) error {
	for _, name := range [...]string{to.ServerName, to.DialName} {
		if name == "" {
			continue
		}
		if err := d.Bounds.CheckName(name); err != nil {
			return err
		}
	}
	switch {
	case to.DialName == "":
		return d.Check(to.Addr)
	case to.Addr.Port() == 0:
		return nil
	}
	return d.Bounds.CheckPort(to.Addr.Port())
}

// ResolveBy makes the dialer use these name servers for the names in probe URLs, instead of the
// host's. Call it before the first probe, and before Within.
func (d *Dialer) ResolveBy(servers []netip.AddrPort) { d.names = resolver.NewCache(servers) }
