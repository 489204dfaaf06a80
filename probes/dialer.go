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
	"net/netip"
)

// Dialer opens the connections of all probers. It checks every address it is
// about to connect to, after name resolution, so that a name that resolves
// differently the second time gains nothing.
type Dialer struct {
	policy *EgressPolicy
	// bounds are those of the tenant whose probes these are; nil are none.
	bounds *Bounds
	// check returns an error if no probe may connect to a place. Port 0 is that of what has
	// none.
	check func(netip.AddrPort) error
	// names resolves the names in probe URLs.
	names *nameCache
	roots *rootPools
}

// NewDialer returns a dialer that connects only where the policy lets it.
func NewDialer(policy *EgressPolicy) *Dialer {
	d := &Dialer{
		policy: policy,
		names:  newNameCache(nil),
		roots:  &rootPools{},
	}
	d.guard()
	return d
}

// Within returns a dialer that connects only where the bounds let it as well; nil are
// none. What can be shared is.
func (d *Dialer) Within(bounds *Bounds) *Dialer {
	within := *d
	within.bounds = bounds
	within.guard()
	return &within
}

// guard has every connection checked.
func (d *Dialer) guard() {
	d.check = func(to netip.AddrPort) error {
		err := d.policy.CheckProbe(to.Addr())
		if err == nil {
			err = d.checkBounds(to)
		}
		return err
	}
}

func (d *Dialer) checkBounds(to netip.AddrPort) error {
	if err := d.bounds.CheckAddress(to.Addr()); err != nil || to.Port() == 0 {
		return err
	}
	return d.bounds.CheckPort(to.Port())
}

// admit returns an error if no probe may go to the destination. What a name resolves to is
// checked when it is connected to.
func (d *Dialer) admit(to destination) error {
	for _, name := range [...]string{to.called, to.name} {
		if name == "" {
			continue
		}
		if err := d.bounds.CheckName(name); err != nil {
			return err
		}
	}
	switch {
	case to.name == "":
		return d.check(to.addr)
	case to.addr.Port() == 0:
		return nil
	}
	return d.bounds.CheckPort(to.addr.Port())
}

// ResolveBy makes the names in probe URLs resolve by these name servers instead of the
// host's. It is called before the first probe, and before Within.
func (d *Dialer) ResolveBy(servers []netip.AddrPort) { d.names = newNameCache(servers) }
